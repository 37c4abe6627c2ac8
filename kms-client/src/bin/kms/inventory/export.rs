//! The current state in the form of the document.

use super::State;
use super::document::{Domain, Edge, Key, Quota, Space};
use kms_client::{Error, Kind};
use serde::Serialize;
use serde_saphyr::FlowMap;

/// One line for each thing, so that two exports compare line by line.
#[derive(Serialize)]
struct Exported {
    spaces: Vec<FlowMap<Space>>,
    domains: Vec<FlowMap<Domain>>,
    edges: Vec<FlowMap<Edge>>,
    keys: Vec<FlowMap<Key>>,
    quotas: Vec<FlowMap<Quota>>,
}

/// YAML; a plan of it against the same state is empty.
pub(crate) fn yaml(state: State) -> Result<String, Error> {
    let space = |one: Space| Space {
        title: said(one.title),
        ..one
    };
    let domain = |one: Domain| Domain {
        title: said(one.title),
        ..one
    };
    let key = |one: Key| Key {
        title: said(one.title),
        labels: one.labels.filter(|labels| !labels.is_empty()),
        ..one
    };
    let exported = Exported {
        spaces: state
            .spaces
            .into_values()
            .map(|one| space(one.space))
            .map(FlowMap)
            .collect(),
        domains: state
            .domains
            .into_values()
            .map(domain)
            .map(FlowMap)
            .collect(),
        edges: state.edges.into_values().map(FlowMap).collect(),
        keys: state
            .keys
            .into_values()
            .map(|one| key(one.key))
            .map(FlowMap)
            .collect(),
        // What was taken back is as if it were not there.
        quotas: state
            .quotas
            .into_values()
            .map(|one| one.quota)
            .filter(|one| !one.limits.is_empty())
            .map(FlowMap)
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
