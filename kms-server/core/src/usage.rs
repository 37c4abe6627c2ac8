//! How versions were used: how often, when first and last, and by whom. Told from the records of the
//! uses log and from nothing else, so that whoever reads the log comes to the same numbers.

use crate::caller::Identity;
use crate::name::VersionName;
use crate::record::{Detail, Record, Used};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Those who used a version are told one by one up to so many: those who did so lately. The others'
/// uses are still counted.
pub const USERS_MAX: usize = 256;

/// How one version was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// So many items it protected.
    pub protected: u64,
    /// So many it processed.
    pub processed: u64,
    /// When it was first used.
    pub first: Time,
    /// When it was last used.
    pub last: Time,
    /// By whom: principals, or what else used it.
    pub users: BTreeMap<String, User>,
    /// Uses by those who are not told one by one.
    pub others: u64,
    /// What the log holds before this index is counted.
    through: u64,
}

/// How one user used a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// So many items, protected or processed.
    pub count: u64,
    /// When last.
    pub last: Time,
}

/// How every version was used, as of a place in the uses log. A clone is cheap, and stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usages {
    place: Place,
    versions: BTreeMap<VersionName, Arc<Usage>>,
}

/// How far the uses log is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The index of the next record.
    pub next: u64,
    /// Every use since then is counted; of earlier ones the log may have been pruned before they
    /// were.
    pub since: Option<Time>,
}

impl Usages {
    /// Goes on from what was kept: where, and each version as it stood then or later.
    #[must_use]
    pub fn resumed(place: Place, versions: impl IntoIterator<Item = (VersionName, Usage)>) -> Self {
        let shared = |(name, usage)| (name, Arc::new(usage));
        Usages {
            place,
            versions: versions.into_iter().map(shared).collect(),
        }
    }

    /// Counts a record. Records come in the log's order; one that is counted already is passed over,
    /// and where some are missing, all that is counted is counted since.
    pub fn feed(&mut self, record: &Record) {
        let index = record.index();
        if index < self.place.next {
            return;
        }
        if index > self.place.next || self.place.since.is_none() {
            self.place.since = Some(record.time());
        }
        self.place.next = index.saturating_add(1);
        let Detail::Use(counts) = record.detail() else {
            return;
        };
        if counts.versions.is_empty() {
            return;
        }
        let user = user(record);
        for used in &counts.versions {
            let met = self.versions.get_mut(&used.name);
            if let Some(usage) = met {
                if usage.through <= index {
                    Arc::make_mut(usage).add(used, &user, record);
                }
            } else {
                let mut usage = Usage::begun(record.time());
                usage.add(used, &user, record);
                self.versions.insert(used.name.clone(), Arc::new(usage));
            }
        }
    }

    /// How far the log is counted.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// How a version was used; `None`: not at all, as far as is counted.
    #[must_use]
    pub fn of(&self, version: &VersionName) -> Option<&Usage> {
        self.versions.get(version).map(|usage| &**usage)
    }

    /// The versions that were used by records from this index on, or just before.
    pub fn since(&self, index: u64) -> impl Iterator<Item = (&VersionName, &Usage)> {
        let later = move |usage: &Usage| usage.through >= index;
        let each = self.versions.iter().map(|(name, usage)| (name, &**usage));
        each.filter(move |(_, usage)| later(usage))
    }

    /// The same, of a log that ends before this index: what comes next there is not counted yet.
    #[must_use]
    pub fn cut(self, end: u64) -> Self {
        let cut = |(name, usage): (VersionName, Arc<Usage>)| {
            let through = usage.through.min(end);
            let usage = Usage {
                through,
                ..Usage::clone(&usage)
            };
            (name, usage)
        };
        let next = self.place.next.min(end);
        let place = Place { next, ..self.place };
        Usages::resumed(place, self.versions.into_iter().map(cut))
    }
}

impl Usage {
    fn begun(time: Time) -> Self {
        Usage {
            protected: 0,
            processed: 0,
            first: time,
            last: time,
            users: BTreeMap::new(),
            others: 0,
            through: 0,
        }
    }

    fn add(&mut self, used: &Used, user: &str, record: &Record) {
        let (time, index) = (record.time(), record.index());
        self.protected = self.protected.saturating_add(used.protected);
        self.processed = self.processed.saturating_add(used.processed);
        // The clock may have been set back meanwhile.
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        self.through = index.saturating_add(1);
        let count = used.protected.saturating_add(used.processed);
        if let Some(user) = self.users.get_mut(user) {
            user.count = user.count.saturating_add(count);
            user.last = user.last.max(time);
            return;
        }
        if self.users.len() >= USERS_MAX {
            self.make_room();
        }
        self.users
            .insert(user.to_owned(), User { count, last: time });
    }

    /// Whoever used it longest ago is told among the others.
    fn make_room(&mut self) {
        let oldest = self.users.iter().min_by_key(|(_, user)| user.last);
        let oldest = oldest.map(|(name, _)| name.clone());
        let gone = oldest.and_then(|name| self.users.remove(&name));
        let count = gone.map_or(0, |user| user.count);
        self.others = self.others.saturating_add(count);
    }
}

/// A principal; what has none is told as the record tells it.
fn user(record: &Record) -> String {
    let identity: Result<Identity, _> = record.actor().parse();
    identity.map_or_else(
        |_not_one| record.actor().to_owned(),
        |identity| identity.principal.to_string(),
    )
}
