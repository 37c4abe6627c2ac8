//! What the engine knows of how versions were used, as of one moment.

use super::Engine;
use super::count::name;
use kms_core::error::Result;
use kms_core::id::KeyId;
use kms_core::lifecycle::{Spent, Uses};
use kms_core::name::VersionName;
use kms_core::time::Time;
use kms_core::view::View;
use std::collections::BTreeMap;

/// What is known of how versions were used.
#[derive(Debug, Default)]
pub(super) struct Known {
    spent: BTreeMap<KeyId, Spent>,
}

impl Uses for Known {
    fn last(&self, _version: &VersionName) -> Option<Time> {
        None
    }

    fn spent(&self, id: &KeyId) -> Spent {
        self.spent.get(id).copied().unwrap_or_default()
    }
}

impl Engine {
    /// What is known of every primary version.
    pub(super) async fn known(&self, view: &View) -> Result<Known> {
        let counted = self
            .encryptions
            .all(&*self.parts.store, "local/encryptions/")
            .await?;
        let keys = view.spaces().flat_map(|space| view.keys_in(&space.name));
        let primaries = keys.filter_map(|key| view.primary(key));
        let spent = primaries
            .filter_map(|version| Some((version.id, *counted.get(&name(&version.id))?)))
            .collect();
        Ok(Known { spent })
    }
}
