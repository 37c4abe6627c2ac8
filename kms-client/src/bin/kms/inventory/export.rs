//! The current state in the form of the document.

use super::State;
use super::document::{Domain, Edge, Key, Space};
use kms_client::{Error, Kind};
use serde::Serialize;

#[derive(Serialize)]
struct Exported {
    spaces: Vec<Space>,
    domains: Vec<Domain>,
    edges: Vec<Edge>,
    keys: Vec<Key>,
}

/// YAML; a plan of it against the same state is empty.
pub(crate) fn yaml(state: State) -> Result<String, Error> {
    let exported = Exported {
        spaces: state
            .spaces
            .into_values()
            .map(|one| Space {
                title: said(one.title),
                ..one
            })
            .collect(),
        domains: state
            .domains
            .into_values()
            .map(|one| Domain {
                title: said(one.title),
                ..one
            })
            .collect(),
        edges: state.edges.into_values().collect(),
        keys: state
            .keys
            .into_values()
            .map(|one| Key {
                title: said(one.key.title),
                labels: one.key.labels.filter(|labels| !labels.is_empty()),
                ..one.key
            })
            .collect(),
    };
    serde_saphyr::to_string(&exported).map_err(|e| {
        Error::new(
            Kind::Internal,
            format!("the inventory has no YAML form: {e}"),
        )
    })
}

/// What is empty is left out.
fn said(title: Option<String>) -> Option<String> {
    title.filter(|title| !title.is_empty())
}
