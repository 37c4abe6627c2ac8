//! What leads from the current state to the document: a pure function of both.

use super::document::{Document, Domain, Edge, Key, Quota, Space, Study};
use super::draft::Draft;
use super::state::State;
use crate::lifecycle::Written;
use crate::limits::Written as Limits;
use kms_client::{Error, Kind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Steps in the order in which they are taken. It can be kept in a file and applied later: each
/// step says what it expects, a creation that the name is free, an update the etag it was planned
/// on.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Plan {
    /// The deployment that it was made for.
    pub(crate) deployment: String,
    pub(crate) steps: Vec<Step>,
    /// What exists and is not declared. It is kept: nothing is destroyed by omission.
    pub(crate) undeclared: Vec<String>,
    /// How many declared things are as declared.
    pub(crate) unchanged: usize,
}

/// One change.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Step {
    CreateSpace(Space),
    CreateDomain(Domain),
    CreateKey(Key),
    CreateEdge(Edge),
    UpdateKey(Update),
    UpdateSpace(UpdateSpace),
    PutQuota(PutQuota),
}

/// A quota that is set, whether or not there was one.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct PutQuota {
    /// `{edge or key}/quotas/{who}`.
    pub(crate) name: String,
    /// What it was planned on; [`NEVER_SET`] where there was none.
    pub(crate) etag: String,
    pub(crate) quota: Quota,
    /// What is set already.
    pub(crate) from: Limits,
}

/// The etag of a quota that was never set.
pub(crate) const NEVER_SET: &str = "0";

/// A change of what can change in a space.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UpdateSpace {
    pub(crate) name: String,
    /// What it was planned on.
    pub(crate) etag: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<Change<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle: Option<Change<Written>>,
}

/// A change of what can change in a key.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Update {
    /// `space/key`.
    pub(crate) name: String,
    /// What it was planned on.
    pub(crate) etag: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<Change<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<Change<BTreeMap<String, String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) study: Option<Change<Option<Study>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle: Option<Change<Written>>,
}

/// From one value to another.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change<T> {
    pub(crate) from: T,
    pub(crate) to: T,
}

impl Plan {
    /// Compares; every fault of the document is told at once, each with its line.
    pub(crate) fn new(deployment: &str, document: &Document, state: &State) -> Result<Self, Error> {
        let draft = Draft::new(document, state);
        if !draft.faults.is_empty() {
            return Err(Error::new(Kind::Invalid, draft.faults.join("\n  ")));
        }
        Ok(Self {
            deployment: deployment.to_owned(),
            undeclared: draft.undeclared(),
            steps: draft.steps,
            unchanged: draft.unchanged,
        })
    }

    /// Whether each step still meets what it expects; where it does not, the plan is stale.
    pub(crate) fn check(&self, deployment: &str, state: &State) -> Result<(), Error> {
        if self.deployment != deployment {
            return Err(Error::new(
                Kind::Conflict,
                format!(
                    "the plan is for deployment {}, this one is {deployment}",
                    self.deployment
                ),
            ));
        }
        let stale = |what: String| {
            Err(Error::new(
                Kind::Conflict,
                format!("the plan is stale, plan again: {what}"),
            ))
        };
        for step in &self.steps {
            let (kind, name) = (step.kind(), step.name());
            let exists = match step {
                Step::CreateSpace(space) => state.spaces.contains_key(&space.name),
                Step::CreateDomain(domain) => state.domains.contains_key(&domain.name),
                Step::CreateKey(key) => state.keys.contains_key(&key.name),
                Step::CreateEdge(edge) => state.edges.contains_key(&edge.name()),
                Step::PutQuota(put) => {
                    let current = state.quotas.get(&put.name);
                    let etag = current.map_or(NEVER_SET, |current| current.etag.as_str());
                    if etag != put.etag {
                        return stale(format!("{kind} {name} has changed since"));
                    }
                    false
                }
                Step::UpdateSpace(update) => match state.spaces.get(&update.name) {
                    Some(current) if current.etag == update.etag => false,
                    Some(_) => return stale(format!("{kind} {name} has changed since")),
                    None => return stale(format!("{kind} {name} does not exist")),
                },
                Step::UpdateKey(update) => match state.keys.get(&update.name) {
                    Some(current) if current.etag == update.etag => false,
                    Some(_) => return stale(format!("{kind} {name} has changed since")),
                    None => return stale(format!("{kind} {name} does not exist")),
                },
            };
            if exists {
                return stale(format!("{kind} {name} exists by now"));
            }
        }
        Ok(())
    }
}

impl Step {
    /// The noun.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::CreateSpace(_) | Self::UpdateSpace(_) => "space",
            Self::CreateDomain(_) => "domain",
            Self::CreateKey(_) | Self::UpdateKey(_) => "key",
            Self::CreateEdge(_) => "edge",
            Self::PutQuota(_) => "quota",
        }
    }

    /// The short name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::CreateSpace(space) => space.name.clone(),
            Self::CreateDomain(domain) => domain.name.clone(),
            Self::CreateKey(key) => key.name.clone(),
            Self::CreateEdge(edge) => edge.name(),
            Self::UpdateKey(update) => update.name.clone(),
            Self::UpdateSpace(update) => update.name.clone(),
            Self::PutQuota(put) => put.quota.said(),
        }
    }

    /// Whether it changes what is there, rather than making something.
    pub(crate) fn changes(&self) -> bool {
        match self {
            Self::CreateSpace(_)
            | Self::CreateDomain(_)
            | Self::CreateKey(_)
            | Self::CreateEdge(_) => false,
            Self::UpdateKey(_) | Self::UpdateSpace(_) => true,
            Self::PutQuota(put) => !put.from.is_empty(),
        }
    }

    /// Whether it can only be taken once that other one has been: nothing has a quota before it is
    /// there.
    pub(crate) fn follows(&self, other: &Step) -> bool {
        let Self::PutQuota(put) = self else {
            return false;
        };
        match other {
            Self::CreateEdge(edge) => put.quota.edge.as_ref() == Some(&edge.name()),
            Self::CreateKey(key) => put.quota.key.as_ref() == Some(&key.name),
            Self::CreateSpace(_)
            | Self::CreateDomain(_)
            | Self::UpdateKey(_)
            | Self::UpdateSpace(_)
            | Self::PutQuota(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
