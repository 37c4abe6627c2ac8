//! Pseudonyms along edges.

use super::touched::Touched;
use super::{Bench, Done, primary};
use crate::engine::{Engine, Reply};
use crate::hsm::Op;
use kms_core::error::{Error, Result};
use kms_core::name::EdgeName;
use kms_core::pseudonym::{Identifier, Pseudonym};
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
        let work = |input: &Zeroizing<Vec<u8>>| Op::Hmac {
            input: input.clone(),
        };
        let outputs = self.visit(bench, version, &inputs, work).await?;
        let number = version.name.number();
        let (mut results, mut counted) = (Vec::new(), Vec::new());
        for output in outputs {
            let text = output.and_then(|output| {
                Pseudonym::of_output(edge.code.clone(), number, &output)?.to_text()
            });
            counted.push(text.as_ref().map(String::len).map_err(Clone::clone));
            results.push(text.map(Zeroizing::new));
        }
        Ok(Done {
            reply: Reply::Pseudonyms(results, version.name.clone()),
            versions: Touched::protecting(&version.name, &counted),
            items: counted,
        })
    }
}

/// Whether an identifier is what the edge evaluates.
pub(super) fn fits(
    view: &View,
    edge: &kms_core::space::Edge,
    identifier: &Identifier,
) -> Result<()> {
    if identifier.input_type() != edge.input {
        let input = edge.input.name();
        let sentence = format!(
            "{} evaluates identifiers of type {input}: send them as such (kms: --input {input})",
            edge.name,
        );
        return Err(Error::invalid("identifier", sentence));
    }
    let Identifier::Pseudonym(parent) = identifier else {
        return Ok(());
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
    let current = view.key(&way_in.key).and_then(|(key, _)| key.primary);
    if current == Some(parent.version) {
        Ok(())
    } else {
        Err(Error::invalid(
            "identifier",
            "this pseudonym was made by a version of its edge's key that is not the current one; translate it first",
        ))
    }
}
