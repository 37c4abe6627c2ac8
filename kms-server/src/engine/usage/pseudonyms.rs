//! Pseudonyms along edges.

use super::touched::Touched;
use super::{Bench, Done, primary};
use crate::engine::{Engine, Reply};
use crate::hsm::{Op, Output};
use kms_core::error::{Error, Result};
use kms_core::key::Version;
use kms_core::name::EdgeName;
use kms_core::pseudonym::{Identifier, Pseudonym};
use kms_core::renewal::stages;
use kms_core::space::Edge;
use kms_core::view::View;
use zeroize::Zeroizing;

impl Engine {
    pub(super) async fn pseudonymise(
        &self,
        bench: &Bench<'_>,
        name: &EdgeName,
        identifiers: Vec<Result<Identifier>>,
    ) -> Result<Done> {
        let (edge, _) = bench
            .view
            .edge(name)
            .ok_or_else(|| Error::not_found(name))?;
        let version = primary(bench.view, &edge.key)?;
        let inputs: Vec<Result<Zeroizing<Vec<u8>>>> = identifiers
            .into_iter()
            .map(|i| i.and_then(|i| fits(bench.view, edge, &i).map(|()| i.canonical())))
            .collect();
        let evaluated = self.evaluate(bench, (edge, version), inputs).await?;
        let (mut results, mut counted) = (Vec::new(), Vec::new());
        for pseudonym in evaluated {
            let text = pseudonym.and_then(|pseudonym| pseudonym.to_text());
            counted.push(text.as_ref().map(String::len).map_err(Clone::clone));
            results.push(text.map(Zeroizing::new));
        }
        Ok(Done {
            reply: Reply::Pseudonyms(results, version.name.clone()),
            versions: Touched::protecting(&version.name, &counted),
            items: counted,
        })
    }

    /// A version evaluates inputs: one visit to the token for each of its stages, the oldest first,
    /// each evaluating the pseudonym that the one before gave.
    pub(super) async fn evaluate(
        &self,
        bench: &Bench<'_>,
        (edge, version): (&Edge, &Version),
        mut inputs: Vec<Result<Zeroizing<Vec<u8>>>>,
    ) -> Result<Vec<Result<Pseudonym>>> {
        let mut stages = stages(bench.view, version).into_iter().peekable();
        while let Some(stage) = stages.next() {
            let evaluated = self.evaluate_stage(bench, (edge, stage), inputs).await?;
            if stages.peek().is_none() {
                return Ok(evaluated);
            }
            let next = |p: Result<Pseudonym>| p.map(|p| Identifier::Pseudonym(p).canonical());
            inputs = evaluated.into_iter().map(next).collect();
        }
        Err(Error::internal("a version without stages"))
    }

    /// One stage evaluates inputs, alone.
    pub(super) async fn evaluate_stage(
        &self,
        bench: &Bench<'_>,
        (edge, stage): (&Edge, &Version),
        inputs: Vec<Result<Zeroizing<Vec<u8>>>>,
    ) -> Result<Vec<Result<Pseudonym>>> {
        let work = |input: &Zeroizing<Vec<u8>>| Op::Hmac {
            input: input.clone(),
        };
        let outputs = self.visit(bench, stage, &inputs, work).await?;
        let number = stage.name.number();
        let pseudonym = |output: Result<Output>| {
            output.and_then(|out| Pseudonym::of_output(edge.code.clone(), number, &out))
        };
        Ok(outputs.into_iter().map(pseudonym).collect())
    }
}

/// Whether an identifier is what the edge evaluates: one of its type, and a pseudonym by the current
/// version of a way into the source space.
pub(super) fn fits(view: &View, edge: &Edge, identifier: &Identifier) -> Result<()> {
    let Some((way_in, parent)) = typed(view, edge, identifier)? else {
        return Ok(());
    };
    if is_current(view, way_in, parent) {
        Ok(())
    } else {
        Err(Error::invalid(
            "identifier",
            "this pseudonym was made by a version of its edge's key that is not the current one; translate it first",
        ))
    }
}

/// Whether a parent's pseudonym is by the current version of its edge.
pub(super) fn is_current(view: &View, way_in: &Edge, parent: &Pseudonym) -> bool {
    let current = view.key(&way_in.key).and_then(|(key, _)| key.primary);
    current == Some(parent.version)
}

/// Whether an identifier is of the edge's type; a pseudonym with the edge that it was evaluated
/// along, a way into the source space.
pub(super) fn typed<'a, 'i>(
    view: &'a View,
    edge: &Edge,
    identifier: &'i Identifier,
) -> Result<Option<(&'a Edge, &'i Pseudonym)>> {
    if identifier.input_type() != edge.input {
        let input = edge.input.name();
        let sentence = format!(
            "{} evaluates identifiers of type {input}: send them as such (kms: --input {input})",
            edge.name,
        );
        return Err(Error::invalid("identifier", sentence));
    }
    let Identifier::Pseudonym(parent) = identifier else {
        return Ok(None);
    };
    let source = view
        .domain(edge.name.domain())
        .and_then(|(d, _)| d.source.as_ref());
    let way_in = view
        .edge_of_code(&parent.code)
        .filter(|e| Some(e.name.target()) == source);
    let way_in = way_in.ok_or_else(|| {
        let space = source.map_or_else(|| "its source space".to_owned(), ToString::to_string);
        let sentence = format!(
            "this is not a pseudonym of {space}, and {} evaluates no others",
            edge.name
        );
        Error::invalid("identifier", sentence)
    })?;
    Ok(Some((way_in, parent)))
}
