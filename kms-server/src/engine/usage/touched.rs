//! The versions that a call used, and how often, counted item by item.

use super::number;
use kms_core::error::Result;
use kms_core::name::VersionName;
use kms_core::record::Used;
use std::collections::BTreeMap;

/// The versions that a call used.
#[derive(Debug, Default)]
pub(super) struct Touched(BTreeMap<VersionName, Used>);

impl Touched {
    /// One version protected those of these items that succeeded.
    pub(super) fn protecting<T>(version: &VersionName, items: &[Result<T>]) -> Self {
        let mut touched = Touched::default();
        let protected = items.iter().flatten().count();
        if protected > 0 {
            touched.of(version).protected = number(protected);
        }
        touched
    }

    /// A version protected one item.
    pub(super) fn protected(&mut self, version: &VersionName) {
        let used = self.of(version);
        used.protected = used.protected.saturating_add(1);
    }

    /// A version processed one item.
    pub(super) fn processed(&mut self, version: &VersionName) {
        let used = self.of(version);
        used.processed = used.processed.saturating_add(1);
    }

    /// For the record.
    pub(super) fn told(self) -> Vec<Used> {
        self.0.into_values().collect()
    }

    fn of(&mut self, version: &VersionName) -> &mut Used {
        let unused = || Used {
            name: version.clone(),
            protected: 0,
            processed: 0,
        };
        self.0.entry(version.clone()).or_insert_with(unused)
    }
}
