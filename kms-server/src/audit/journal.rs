//! A log of events: what the engine appends to before it answers.

use super::writer::Then;
use super::{Log, LogError};
use crate::health::Health;
use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use kms_core::command::LogName;
use kms_core::error::{Error, Result};
use kms_core::record::{self, Event, Record};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// What follows a log. It must be quick: the log waits for it.
pub type Follower = Arc<dyn Fn(&Record) + Send + Sync>;

/// A log of events. The trait is for tests that need a log that fails.
#[async_trait]
pub trait Journal: Send + Sync + fmt::Debug {
    /// Records an event and returns its index, when it is durable.
    ///
    /// # Errors
    /// `Unavailable`: it is not recorded. `Unknown`: it may be, and nothing more is taken before a
    /// restart.
    async fn append(&self, event: Event) -> Result<u64>;

    /// Entries as they were written, from this index on, at most so many. They may begin later: what
    /// was before may have been pruned.
    ///
    /// # Errors
    /// `Internal` when the log is damaged.
    async fn read(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>>;

    /// The number of recorded entries.
    fn size(&self) -> u64;

    /// From now on shows each record to the follower, once it is durable: in the log's order, and
    /// before anybody hears of it. There is one follower; another takes its place.
    fn follow(&self, follower: Follower);

    /// Whether it takes entries: `Down` once it is in doubt, until a restart. A full disk is no
    /// doubt: the next entry tries again.
    fn health(&self) -> watch::Receiver<Health>;
}

/// A journal on disk.
pub struct DiskJournal {
    name: LogName,
    log: Log,
    follower: ArcSwapOption<Follower>,
}

impl fmt::Debug for DiskJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DiskJournal({}, {} entries)",
            self.name.name(),
            self.log.len()
        )
    }
}

impl DiskJournal {
    /// Makes an empty one, under `data`.
    ///
    /// # Errors
    /// As [`Log::create`].
    pub fn create(data: &Path, name: LogName) -> std::result::Result<Self, LogError> {
        let log = Log::create(&data.join(name.name()), check_of(name))?;
        Ok(DiskJournal::of(name, log))
    }

    /// Opens the one under `data`.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open(data: &Path, name: LogName) -> std::result::Result<Self, LogError> {
        let log = Log::open(&data.join(name.name()), check_of(name))?;
        Ok(DiskJournal::of(name, log))
    }
}

impl DiskJournal {
    fn of(name: LogName, log: Log) -> Self {
        DiskJournal {
            name,
            log,
            follower: ArcSwapOption::empty(),
        }
    }
}

fn check_of(name: LogName) -> super::Check {
    match name {
        LogName::Changes => |index, bytes| record::is_entry(LogName::Changes, index, bytes),
        LogName::Uses => |index, bytes| record::is_entry(LogName::Uses, index, bytes),
    }
}

#[async_trait]
impl Journal for DiskJournal {
    async fn append(&self, event: Event) -> Result<u64> {
        let name = self.name;
        let follower = self.follower.load_full();
        let entry = move |index| {
            let record = Record::new(event, name, index);
            // A record that has no JSON form gives no bytes, which the log does not take.
            let bytes = record.encode().unwrap_or_default();
            let follow = |follower: Arc<Follower>| -> Box<dyn FnOnce() + Send> {
                Box::new(move || follower(&record))
            };
            (bytes, Then(follower.map(follow)))
        };
        self.log.append_and(entry).await.map_err(told)
    }

    async fn read(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        self.log.read(from, limit).await.map_err(told)
    }

    fn size(&self) -> u64 {
        self.log.len()
    }

    fn follow(&self, follower: Follower) {
        self.follower.store(Some(Arc::new(follower)));
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.log.health()
    }
}

fn told(error: LogError) -> Error {
    let cause = error.to_string();
    match error {
        LogError::Unavailable(_) | LogError::Poisoned(_) | LogError::NotOpened(_) => {
            Error::unavailable("the audit log cannot be written, so nothing is answered; an operator must look at the server's disk")
                .because(cause)
        }
        LogError::Unknown(_) => {
            Error::unknown("it is not known whether this was recorded; look at the audit log after the server has restarted")
                .because(cause)
        }
        LogError::Invalid(_) | LogError::Damaged(_) => Error::internal(cause),
    }
}
