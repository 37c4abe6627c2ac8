//! Plans that make an identifier domain or an edge.

use super::key::{first_version, new_key, open};
use super::{Ground, Plan, absent, new, written};
use crate::class::Class;
use crate::command::Change;
use crate::deployment::Side;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::key::Origin;
use crate::name::{DomainName, SpaceName};
use crate::space::{Domain, Edge, InputType, SpaceKind};
use crate::value::Value;

pub(super) fn create_domain(
    ground: Ground<'_>,
    name: &DomainName,
    title: &str,
    source: Option<&SpaceName>,
) -> Result<Plan> {
    absent(ground.view, &name.to_string())?;
    if let Some(source) = source {
        let (space, _) = ground
            .view
            .space(source)
            .ok_or_else(|| Error::not_found(source))?;
        if space.kind == SpaceKind::Outside {
            return Err(Error::invalid(
                "source",
                format!("{source} is outside: its pseudonyms lead nowhere from here"),
            ));
        }
        // Two domains of the same pseudonyms would be two ways into a space.
        let same = |domain: &&Domain| domain.source.as_ref() == Some(source);
        if let Some(other) = ground.view.domains().find(same) {
            return Err(Error::conflict(format!(
                "the pseudonyms of {source} are those of {} already",
                other.name
            )));
        }
    }
    let domain = Domain {
        name: name.clone(),
        title: title.to_owned(),
        source: source.cloned(),
        created: ground.now,
    };
    Ok(written(vec![new(Value::Domain(domain))]))
}

pub(super) fn create_edge(ground: Ground<'_>, change: &Change) -> Result<Plan> {
    let Change::CreateEdge {
        name,
        code,
        input,
        exportable,
    } = change
    else {
        return Err(Error::internal("create_edge plans CreateEdge alone"));
    };
    let view = ground.view;
    absent(view, &name.to_string())?;
    open(ground, name.target())?;
    let (domain, _) = view
        .domain(name.domain())
        .ok_or_else(|| Error::not_found(name.domain()))?;
    let source = domain.source.as_ref();
    if source.is_some_and(|source| Graph::of(view).reached(name.target()).contains(&source)) {
        return Err(Error::invalid(
            "name",
            "an edge cannot lead from a space's pseudonyms back into it, over other edges neither",
        ));
    }
    if *input == InputType::Nir && view.founded()?.side != Side::Supplier {
        return Err(Error::invalid(
            "input",
            "national identifiers are evaluated in a supplier's own deployment, and this is a \
             warehouse's: nobody holds both secrets; evaluate there, and send the pseudonyms here",
        ));
    }
    let fits = match (&domain.source, input) {
        (Some(_), InputType::Pseudonym) | (None, InputType::Opaque | InputType::Nir) => true,
        (Some(_), InputType::Opaque | InputType::Nir) | (None, InputType::Pseudonym) => false,
    };
    if !fits {
        let sentence = "an edge from a domain that is a space's pseudonyms evaluates pseudonyms; from any other it evaluates opaque identifiers or national ones";
        return Err(Error::invalid("input", sentence));
    }
    if let Some(other) = view.edge_of_code(code) {
        return Err(Error::conflict(format!(
            "the code {code} is that of {}; codes are never used again",
            other.name
        )));
    }
    let key_name = name.key()?;
    absent(view, &key_name.to_string())?;
    let edge = Edge {
        name: name.clone(),
        code: code.clone(),
        input: *input,
        exportable: *exportable,
        key: key_name.clone(),
        created: ground.now,
    };
    let title = format!("Edge from {} to {}", name.domain(), name.target());
    let key = new_key(
        ground,
        &key_name,
        Class::Pseudonymisation,
        title,
        Origin::Generated,
        *exportable,
    );
    first_version(ground, key, vec![new(Value::Edge(edge))])
}
