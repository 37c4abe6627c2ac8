//! How versions were used, told from the uses log: counted in memory as records become durable, and
//! kept under `local/usage` together with the place in the log that is counted. After a start what
//! the log holds behind that place is counted, so that a crash changes no number.
//!
//! What is kept is a view of the log: when it cannot be read, the whole log is counted again.

use super::{Engine, Reply, Seat, VersionUsage, store_fault};
use crate::audit::Journal;
use crate::store::{MAX_OPERATIONS, Store, Write};
use kms_core::error::{Error, Result};
use kms_core::name::VersionName;
use kms_core::record::Record;
use kms_core::usage::{Place, Usages};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// They are kept when so many records are not covered yet, which bounds how long a start takes,
const RECORDS: u64 = 65_536;

/// and otherwise when they changed, so often,
const EVERY: Duration = Duration::from_secs(60);

/// while it is looked this often.
const LOOK: Duration = Duration::from_secs(1);

/// Where the place is kept.
const PLACE: &str = "local/usage";

/// Under which each version's usage is kept, by its name.
const PREFIX: &str = "local/usage/";

/// Records and values that are read at a time.
const CHUNK: usize = 4096;

/// How versions were used.
#[derive(Debug)]
pub(super) struct Statistics {
    usages: Arc<Mutex<Arc<Usages>>>,
    /// What is kept covers the log up to this index.
    kept: AtomicU64,
}

impl Statistics {
    /// What was kept, and what the log holds beyond it. From now on the log is followed.
    pub(super) async fn opened(store: &dyn Store, log: &dyn Journal) -> Result<Self> {
        let mut usages = resumed(store).await?.unwrap_or_default();
        let (counted, end) = (usages.place().next, log.size());
        if counted > end {
            tracing::warn!(
                counted,
                end,
                "the uses log ends before what was counted of it: it was brought back from a copy, \
                 and is counted on from its end"
            );
            usages = usages.cut(end);
            // At once: what the log holds there next must not pass for what was counted.
            keep(store, &usages, 0).await?;
        }
        let kept = usages.place().next;
        loop {
            let page = log.read(usages.place().next, CHUNK).await?;
            if page.is_empty() {
                break;
            }
            for (_, bytes) in page {
                usages.feed(&Record::decode(&bytes)?);
            }
        }
        let usages = Arc::new(Mutex::new(Arc::new(usages)));
        let followed = Arc::clone(&usages);
        log.follow(Arc::new(move |record| {
            let mut usages = followed.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever looks at them keeps what they saw.
            Arc::make_mut(&mut *usages).feed(record);
        }));
        Ok(Statistics {
            usages,
            kept: AtomicU64::new(kept),
        })
    }

    /// As of now: every record that was acknowledged is counted.
    pub(super) fn usages(&self) -> Arc<Usages> {
        let usages = self.usages.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&usages)
    }

    /// How many records what is kept does not cover.
    fn behind(&self) -> u64 {
        let next = self.usages().place().next;
        next.saturating_sub(self.kept.load(Ordering::Relaxed))
    }

    /// Keeps what changed since it was kept.
    async fn keep(&self, store: &dyn Store) -> Result<()> {
        let usages = self.usages();
        keep(store, &usages, self.kept.load(Ordering::Relaxed)).await?;
        self.kept.store(usages.place().next, Ordering::Relaxed);
        Ok(())
    }
}

impl Engine {
    /// Keeps the statistics of use, now and then, until the service stops.
    pub async fn keep_statistics(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut waited = Duration::ZERO;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                stop = stopping.wait_for(|stop| *stop) => {
                    drop(stop);
                    return;
                }
            }
            waited = waited.saturating_add(LOOK);
            let behind = self.statistics.behind();
            if behind >= RECORDS || behind > 0 && waited >= EVERY {
                self.keep_usage().await;
                waited = Duration::ZERO;
            }
        }
    }

    /// Keeps the statistics of use. What is kept when the service stops, the next start need not
    /// count again.
    pub async fn keep_usage(&self) {
        if let Err(error) = self.statistics.keep(&*self.parts.store).await {
            let cause = error.cause().unwrap_or_default();
            tracing::warn!(
                cause,
                "the statistics of use could not be kept; they will be"
            );
        }
    }

    /// How a version was used.
    pub(super) fn usage(&self, seat: &Seat, name: VersionName) -> Result<Reply> {
        if seat.view.version(&name).is_none() {
            return Err(Error::not_found(&name));
        }
        let usages = self.statistics.usages();
        Ok(Reply::Usage(Box::new(VersionUsage {
            usage: usages.of(&name).cloned(),
            since: usages.place().since,
            name,
        })))
    }
}

/// Keeps what was used since this index: each version's usage, which says itself how far it is
/// counted, and the place when all are there. A crash in between leaves some that are further than
/// the place, and they are counted on from where they are.
async fn keep(store: &dyn Store, usages: &Usages, kept: u64) -> Result<()> {
    let mut writes = Vec::new();
    for (name, usage) in usages.since(kept) {
        writes.push(Write::Put(format!("{PREFIX}{name}"), encoded(usage)?));
    }
    writes.push(Write::Put(PLACE.into(), encoded(&usages.place())?));
    for some in writes.chunks(MAX_OPERATIONS) {
        let committed = store.commit(&[], some).await;
        committed.map_err(|e| store_fault(&e))?;
    }
    Ok(())
}

/// What was kept; `None`: nothing, or nothing that can be read.
async fn resumed(store: &dyn Store) -> Result<Option<Usages>> {
    let place = store.get(PLACE).await.map_err(|e| store_fault(&e))?;
    let Some(place) = place else {
        return Ok(None);
    };
    let (mut versions, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = store.scan(PREFIX, after.as_deref(), CHUNK).await;
        let page = page.map_err(|e| store_fault(&e))?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for entry in page {
            let name = entry.key.strip_prefix(PREFIX).map(str::parse);
            match (name, decoded(&entry.value)) {
                (Some(Ok(name)), Some(usage)) => versions.push((name, usage)),
                (_, _) => return Ok(again(&entry.key)),
            }
        }
    }
    let Some(place) = decoded::<Place>(&place.value) else {
        return Ok(again(PLACE));
    };
    Ok(Some(Usages::resumed(place, versions)))
}

fn again(unreadable: &str) -> Option<Usages> {
    tracing::warn!(
        unreadable,
        "what was kept of the statistics of use cannot be read: the uses log is counted again"
    );
    None
}

fn encoded(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::internal(e.to_string()))
}

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}
