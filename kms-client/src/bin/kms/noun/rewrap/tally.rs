//! What became of what was to be re-wrapped, counted by version.

use super::report::number;
use kms_client::{Error, Kind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What became of one item. Versions are named in full.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is under another version now.
    Moved {
        from: String,
        to: String,
        ciphertext: Vec<u8>,
    },
    /// It was under the current version already.
    Current(String),
    /// It is as it was, under the version that it names, if it names one.
    Failed {
        version: Option<String>,
        error: Error,
    },
}

/// How many items became what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// From which version to which.
    pub(super) moved: BTreeMap<String, BTreeMap<String, u64>>,
    /// Under which version already.
    pub(super) current: BTreeMap<String, u64>,
    /// Under which version still.
    pub(super) failed: BTreeMap<String, u64>,
    /// What names no version.
    pub(super) unreadable: u64,
    /// The exit code of the first failure.
    first: Option<u8>,
}

impl Tally {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        let count = match outcome {
            Outcome::Moved { from, to, .. } => {
                let from = self.moved.entry(from.clone()).or_default();
                from.entry(to.clone()).or_default()
            }
            Outcome::Current(version) => self.current.entry(version.clone()).or_default(),
            Outcome::Failed { version, error } => {
                self.first.get_or_insert(error.kind().exit_code());
                match version {
                    Some(version) => self.failed.entry(version.clone()).or_default(),
                    None => &mut self.unreadable,
                }
            }
        };
        *count += 1;
    }

    /// All items.
    pub(super) fn items(&self) -> u64 {
        let moved: u64 = self.moved.values().flat_map(BTreeMap::values).sum();
        moved + self.current.values().sum::<u64>() + self.failures()
    }

    /// Those that are not under the current version.
    pub(super) fn failures(&self) -> u64 {
        self.failed.values().sum::<u64>() + self.unreadable
    }

    /// What still refers to a version here.
    pub(super) fn left(&self, version: &str) -> u64 {
        let of = |counts: &BTreeMap<String, u64>| counts.get(version).copied().unwrap_or_default();
        let arrived = self.moved.values().map(of).sum::<u64>();
        arrived + of(&self.current) + of(&self.failed)
    }

    /// The keys whose versions were met.
    pub(super) fn keys(&self) -> BTreeSet<String> {
        let key = |version: &str| {
            version
                .split_once("/versions/")
                .map(|(key, _)| key.to_owned())
        };
        self.versions().into_iter().filter_map(key).collect()
    }

    /// The versions of a key that were met.
    pub(super) fn met<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let of_key = self.versions().into_iter();
        of_key.filter(move |version| version.split_once("/versions/").is_some_and(|v| v.0 == key))
    }

    fn versions(&self) -> BTreeSet<&str> {
        let to = self.moved.values().flat_map(BTreeMap::keys);
        let met = self.moved.keys().chain(to).chain(self.current.keys());
        met.chain(self.failed.keys()).map(String::as_str).collect()
    }

    /// The number of the newest of them that protects.
    pub(super) fn newest(&self, key: &str) -> u32 {
        let to = self.moved.values().flat_map(BTreeMap::keys);
        let protects: BTreeSet<&str> = to.chain(self.current.keys()).map(String::as_str).collect();
        let of_key = self.met(key).filter(|version| protects.contains(version));
        of_key.map(number).max().unwrap_or_default()
    }

    /// What to end with: the first failure decides.
    pub(super) fn end(&self, what: &str) -> Result<(), Error> {
        let Some(code) = self.first else {
            return Ok(());
        };
        let kind = KINDS.into_iter().find(|kind| kind.exit_code() == code);
        let (failures, items) = (self.failures(), self.items());
        Err(Error::new(
            kind.unwrap_or(Kind::Internal),
            format!("{failures} of {items} {what} were not re-wrapped"),
        ))
    }
}

/// What an item may fail with; one for each exit code.
const KINDS: [Kind; 9] = [
    Kind::Invalid,
    Kind::Refused,
    Kind::NotFound,
    Kind::Conflict,
    Kind::State,
    Kind::Unavailable,
    Kind::Unknown,
    Kind::Internal,
    Kind::Io,
];
