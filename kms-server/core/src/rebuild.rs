//! A store that was lost and rebuilt from the changes log: what the log proves, and what is done
//! about the rest.

use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::key::Learned;
use crate::name::{RebuildName, VersionName};
use crate::state::State;
use crate::time::Time;
use crate::view::View;
use serde::{Deserialize, Serialize};

/// That the store was rebuilt, or what more was found when it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebuild {
    /// Its name.
    pub name: RebuildName,
    /// When.
    pub time: Time,
    /// What was found.
    pub found: Evidence,
    /// The versions that the log saw destroyed, and whose keys were in the token again: they are
    /// destroyed again.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub destroyed: Vec<VersionName>,
    /// The active versions that could not be proved: they are suspended.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub suspended: Vec<VersionName>,
    /// The versions of keys of ours that the token had, and the log did not know: it ended before
    /// they were made. They are held, suspended.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub later: Vec<VersionName>,
}

/// What the store was rebuilt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Entries of the changes log, all of them verified.
    pub entries: u64,
    /// Values that they prove.
    pub values: u64,
    /// Versions whose keys the token does not show.
    pub missing: u64,
    /// Objects of the token that are in no record.
    pub strange: u64,
}

/// What is to be recorded, and done with it, in one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The name of the record.
    pub name: RebuildName,
    /// What the store was rebuilt from.
    pub evidence: Evidence,
    /// Destroyed versions whose keys are in the token again.
    pub again: Vec<VersionName>,
    /// Active versions that could not be proved, and why not.
    pub unproved: Vec<(VersionName, String)>,
    /// Versions that the token has and the log does not know, and what the token tells of them.
    pub later: Vec<(VersionName, Learned)>,
}

impl Found {
    /// So many versions at most are dealt with in one change.
    pub const MOST: usize = 20;

    /// The keys that are destroyed again.
    ///
    /// # Errors
    /// `State` when the log did not see one of them destroyed.
    pub(crate) fn gone(&self, view: &View) -> Result<Vec<KeyId>> {
        let gone = |name: &VersionName| {
            let version = view.version(name).map(|(version, _)| version);
            let gone = version.filter(|version| version.state == State::Destroyed);
            gone.map(|version| version.id)
                .ok_or_else(|| Error::state(format!("{name} was not destroyed")))
        };
        self.again.iter().map(gone).collect()
    }
}
