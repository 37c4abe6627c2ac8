//! What the engine knows of how versions were used, as of one moment.

use super::Engine;
use super::count::{PREFIX, name};
use kms_core::error::Result;
use kms_core::id::KeyId;
use kms_core::lifecycle::{Spent, Uses};
use kms_core::name::VersionName;
use kms_core::time::Time;
use kms_core::usage::Usages;
use kms_core::view::View;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of how versions were used.
#[derive(Debug)]
pub(super) struct Known {
    usages: Arc<Usages>,
    spent: BTreeMap<KeyId, Spent>,
}

impl Uses for Known {
    fn last(&self, version: &VersionName) -> Option<Time> {
        self.usages.of(version).map(|usage| usage.last)
    }

    fn processed(&self, version: &VersionName) -> u64 {
        self.usages.of(version).map_or(0, |usage| usage.processed)
    }

    fn spent(&self, id: &KeyId) -> Spent {
        self.spent.get(id).copied().unwrap_or_default()
    }
}

impl Engine {
    /// What is known without asking the store: when versions were used, not how much they have
    /// protected.
    pub(super) fn known_at_hand(&self) -> Known {
        Known {
            usages: self.statistics.usages(),
            spent: BTreeMap::new(),
        }
    }

    /// What is known of every primary version.
    pub(super) async fn known(&self, view: &View) -> Result<Known> {
        let counted = self.encryptions.all(&*self.parts.store, PREFIX).await?;
        let keys = view.spaces().flat_map(|space| view.keys_in(&space.name));
        let primaries = keys.filter_map(|key| view.primary(key));
        let spent = primaries
            .filter_map(|version| Some((version.id, *counted.get(&name(&version.id))?)))
            .collect();
        let usages = self.statistics.usages();
        Ok(Known { usages, spent })
    }
}
