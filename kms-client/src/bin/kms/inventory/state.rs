//! What there is, in the words of the document.

use super::document::{Class, Domain, Edge, Input, Key, Origin, Quota, Space, SpaceKind, Study};
use crate::intake::Intake;
use crate::lifecycle::Written;
use crate::limits;
use kms_client::{Client, Error, name, v1};
use kms_core::name::{SERVICE_SPACE, TABLE_PREFIX};
use kms_core::quota::{Metered, QuotaName};
use std::collections::BTreeMap;

/// The current state, by short name; what a document cannot say (the deployment's own space and
/// keys, the keys of edges and of renewal campaigns) is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) spaces: BTreeMap<String, CurrentSpace>,
    pub(crate) domains: BTreeMap<String, Domain>,
    pub(crate) edges: BTreeMap<String, Edge>,
    pub(crate) keys: BTreeMap<String, Current>,
    /// By full name; one that was taken back has no limits.
    pub(crate) quotas: BTreeMap<String, CurrentQuota>,
}

/// A quota, and the etag that a change of it must carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurrentQuota {
    pub(crate) quota: Quota,
    pub(crate) etag: String,
}

/// A space, and the etag that a change of it must carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurrentSpace {
    pub(crate) space: Space,
    pub(crate) etag: String,
}

/// A key, and the etag that a change of it must carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) key: Key,
    pub(crate) etag: String,
}

impl State {
    /// Reads all of it.
    pub(crate) async fn read(client: &Client) -> Result<Self, Error> {
        let spaces = client.all_spaces().await?;
        let domains = client.all_domains().await?;
        let edges = client.all_edges("spaces/-").await?;
        let keys = client.all_keys("spaces/-").await?;
        let quotas = client.all_quotas("spaces/-").await?;
        Ok(Self {
            spaces: spaces
                .iter()
                .filter_map(space)
                .map(|one| (one.space.name.clone(), one))
                .collect(),
            domains: domains
                .iter()
                .map(domain)
                .map(|one| (one.name.clone(), one))
                .collect(),
            edges: edges
                .iter()
                .filter_map(edge)
                .map(|one| (one.name(), one))
                .collect(),
            keys: keys
                .iter()
                .filter_map(key)
                .map(|one| (one.key.name.clone(), one))
                .collect(),
            quotas: quotas
                .iter()
                .filter_map(|one| Some((one.name.clone(), quota(one)?)))
                .collect(),
        })
    }
}

fn space(space: &v1::Space) -> Option<CurrentSpace> {
    if space.name == SERVICE_SPACE {
        return None;
    }
    let kind = match space.kind() {
        v1::SpaceKind::Ingest => SpaceKind::Ingest,
        v1::SpaceKind::Warehouse => SpaceKind::Warehouse,
        v1::SpaceKind::Project => SpaceKind::Project,
        v1::SpaceKind::Platform => SpaceKind::Platform,
        v1::SpaceKind::Outside => SpaceKind::Outside,
        v1::SpaceKind::Unspecified => return None,
    };
    Some(CurrentSpace {
        space: Space {
            name: name::short(&space.name),
            kind,
            title: Some(space.title.clone()),
            lifecycle: Written::of(space.lifecycle.as_ref()),
        },
        etag: space.etag.clone(),
    })
}

fn domain(domain: &v1::Domain) -> Domain {
    let source = name::short(&domain.source);
    Domain {
        name: name::short(&domain.name),
        source: (!source.is_empty()).then_some(source),
        title: Some(domain.title.clone()),
    }
}

fn edge(edge: &v1::Edge) -> Option<Edge> {
    let short = name::short(&edge.name);
    let (target, domain) = short.split_once('/')?;
    let input = match edge.input() {
        v1::InputType::Opaque => Input::Opaque,
        v1::InputType::Pseudonym => Input::Pseudonym,
        v1::InputType::Nir => Input::Nir,
        v1::InputType::Unspecified => return None,
    };
    Some(Edge {
        target: target.to_owned(),
        domain: domain.to_owned(),
        code: edge.code.clone(),
        input,
        exportable: edge.exportable,
    })
}

fn key(key: &v1::Key) -> Option<Current> {
    let slug = key.name.rsplit('/').next().unwrap_or_default();
    if slug.starts_with(TABLE_PREFIX) {
        return None;
    }
    let class = match key.class() {
        v1::KeyClass::DataAtRest => Class::DataAtRest,
        v1::KeyClass::ImportWrapping => Class::ImportWrapping,
        v1::KeyClass::Exchange => Class::Exchange,
        v1::KeyClass::Pseudonymisation | v1::KeyClass::Service | v1::KeyClass::Unspecified => {
            return None;
        }
    };
    let origin = match key.origin() {
        v1::Origin::External => Origin::External,
        v1::Origin::Generated | v1::Origin::Unspecified => Origin::Generated,
    };
    Some(Current {
        key: Key {
            name: name::short(&key.name),
            class,
            title: Some(key.title.clone()),
            labels: Some(key.labels.clone()),
            study: key.study.as_ref().and_then(Study::of),
            lifecycle: Written::of(key.lifecycle.as_ref()),
            origin,
            exportable: key.exportable,
            intake: key.intake.as_ref().and_then(Intake::of),
        },
        etag: key.etag.clone(),
    })
}

fn quota(quota: &v1::Quota) -> Option<CurrentQuota> {
    let named: QuotaName = quota.name.parse().ok()?;
    let on = name::short(&named.on().to_string());
    let (edge, key) = match named.on() {
        Metered::Edge(_) => (Some(on), None),
        Metered::Key(_) => (None, Some(on)),
    };
    let who = named.who().map(ToString::to_string);
    Some(CurrentQuota {
        quota: Quota {
            edge,
            key,
            who: who.unwrap_or_else(|| "each".to_owned()),
            limits: limits::written(&quota.limits),
            reason: quota.reason.clone(),
        },
        etag: quota.etag.clone(),
    })
}
