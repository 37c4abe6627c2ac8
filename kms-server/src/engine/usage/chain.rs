//! One person, followed along the edges.

use super::pseudonyms::fits;
use super::touched::Touched;
use super::{Bench, Done, primary};
use crate::engine::{Engine, Followed, Reply};
use kms_core::error::{Error, Result};
use kms_core::graph::Graph;
use kms_core::name::EdgeName;
use kms_core::pseudonym::{Identifier, Pseudonym};
use kms_core::space::Edge;

impl Engine {
    /// The person's pseudonym in each space that is reached from this edge on. Where an edge cannot
    /// be evaluated the step has the reason, and nothing below it is reached that way.
    pub(super) async fn follow(
        &self,
        bench: &Bench<'_>,
        name: &EdgeName,
        identifier: &Identifier,
    ) -> Result<Done> {
        let (first, _) = bench
            .view
            .edge(name)
            .ok_or_else(|| Error::not_found(name))?;
        fits(bench.view, first, identifier)?;
        let mut versions = Touched::default();
        let made = self
            .evaluated(bench, first, identifier, &mut versions)
            .await?;
        let mut steps = vec![(first, None, Ok(made))];
        let graph = Graph::of(bench.view);
        for edge in graph.below(first.name.target()) {
            let source = graph.source(edge);
            let here: Vec<_> = steps
                .iter()
                .filter(|(into, _, _)| Some(into.name.target()) == source)
                .filter_map(|(into, _, made)| {
                    Some((into.name.clone(), Identifier::Pseudonym(made.clone().ok()?)))
                })
                .collect();
            for (parent, input) in here {
                let made = self.evaluated(bench, edge, &input, &mut versions).await;
                steps.push((edge, Some(parent), made));
            }
        }
        let mut items = Vec::new();
        let mut followed = Vec::new();
        for (edge, parent, made) in steps {
            let pseudonym = made.and_then(|made| made.to_text());
            items.push(pseudonym.as_ref().map(String::len).map_err(Clone::clone));
            followed.push(Followed {
                edge: edge.name.clone(),
                parent,
                pseudonym: pseudonym.map(zeroize::Zeroizing::new),
            });
        }
        Ok(Done {
            reply: Reply::Followed(followed),
            items,
            versions,
        })
    }

    async fn evaluated(
        &self,
        bench: &Bench<'_>,
        edge: &Edge,
        input: &Identifier,
        versions: &mut Touched,
    ) -> Result<Pseudonym> {
        let version = primary(bench.view, &edge.key)?;
        if !bench.permit.covers(&version.id) {
            return Err(Error::state(format!(
                "{} is {}: it evaluates nothing",
                version.name, version.state
            )));
        }
        let inputs = vec![Ok(input.canonical())];
        let evaluated = self.evaluate(bench, (edge, version), inputs).await?;
        let mut evaluated = evaluated.into_iter();
        let made = evaluated
            .next()
            .ok_or_else(|| Error::internal("the HSM gave too few answers"))??;
        versions.protected(&version.name);
        Ok(made)
    }
}
