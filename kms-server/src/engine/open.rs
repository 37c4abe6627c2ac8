//! Opening: the store must be what the changes log says, or nothing is served.

use super::answers::Answers;
use super::ledger::Ledger;
use super::onward::Onward;
use super::pace::Pace;
use super::runs::Runs;
use super::scheduler::Clockwork;
use super::settle::{Go, Lane, STAMP};
use super::statistics::Statistics;
use super::{Engine, Parts, Seat, restored};
use crate::audit::Journal;
use crate::store::Store;
use arc_swap::ArcSwap;
use kms_core::decide::in_force;
use kms_core::error::{Error, Kind};
use kms_core::record::Record;
use kms_core::replay::Replay;
use kms_core::revision::Revision;
use kms_core::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// Why a deployment is not served: one sentence that says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Refusal {
    pub(super) fn of(error: &Error) -> Self {
        let cause = error.cause().map(|c| format!(" ({c})")).unwrap_or_default();
        Refusal(format!("{}{cause}", error.message()))
    }
}

/// Entries read at a time.
const CHUNK: usize = 4096;

impl Engine {
    /// Opens a deployment: replays the changes log, compares the store with it, and settles what a
    /// crash left open.
    ///
    /// # Errors
    /// When the store is not what the log says: it was edited, rolled back, or lost. Nothing is
    /// repaired and nothing is served.
    pub async fn open(parts: Parts) -> Result<Self, Refusal> {
        let unfinished = restored::unfinished(&*parts.store).await;
        if unfinished.map_err(|e| Refusal::of(&e))?.is_some() {
            return Err(Refusal(
                "a rebuild of the store was begun and is not finished: run `kms-server rebuild` \
                 again"
                    .into(),
            ));
        }
        Self::open_unfinished(parts).await
    }

    /// Opens a deployment whose store was just rebuilt: what is yet to be done about it is done by
    /// `rebuild`, and by nobody else.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_unfinished(parts: Parts) -> Result<Self, Refusal> {
        let replay = replayed(&*parts.changes, |_, _| ()).await?;
        let differences = differences(&*parts.store, &replay).await?;
        if !differences.is_empty() {
            let shown = differences
                .iter()
                .take(5)
                .cloned()
                .collect::<Vec<_>>()
                .join("; ");
            return Err(Refusal(format!(
                "the store is not what the changes log says, so this deployment is not served: \
                 {shown}{}; the store was edited, rolled back or lost: see the runbook \
                 store-and-log-disagree, and store-lost",
                if differences.len() > 5 { "; ..." } else { "" }
            )));
        }
        let view = replay.view().clone();
        let policy = in_force(&view).map_err(|e| Refusal::of(&e))?;
        let policy = policy.map(Answers::new).map(Arc::new);
        let statistics = Statistics::opened(&*parts.store, &*parts.uses)
            .await
            .map_err(|e| Refusal::of(&e))?;
        let latest = replay.latest().max(parts.clock.now());
        let engine = Engine {
            pace: Pace::new(latest, &*parts.clock),
            onward: Onward::new(latest, &*parts.clock),
            parts,
            seat: ArcSwap::from_pointee(Seat { view, policy }),
            lane: Mutex::new(Lane {
                open: replay.open().cloned(),
            }),
            encryptions: Ledger::default(),
            spent: Ledger::default(),
            runs: Runs::default(),
            clockwork: Clockwork::default(),
            statistics,
            changed: watch::Sender::new(replay.view().revision()),
        };
        engine.settle_at_start().await?;
        engine
            .forget_old_requests()
            .await
            .map_err(|e| Refusal::of(&e))?;
        engine
            .forget_old_runs()
            .await
            .map_err(|e| Refusal::of(&e))?;
        Ok(engine)
    }

    /// While the HSM is away an open change stays open: what is decided already can be used once
    /// it is back, and nothing else changes before this is settled.
    async fn settle_at_start(&self) -> Result<(), Refusal> {
        let mut lane = self.lane.lock().await;
        match self.settle_open(&mut lane, Go::Again).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == Kind::Unavailable => {
                let cause = error.cause().unwrap_or_default();
                tracing::warn!(cause, "an interrupted change is not settled yet");
                Ok(())
            }
            Err(error) => Err(Refusal::of(&error)),
        }
    }
}

/// What differs between a store and the changes log.
pub(super) async fn differences(
    store: &dyn Store,
    replay: &Replay,
) -> Result<Vec<String>, Refusal> {
    let mut differences = replay.differences(&stored(store).await?);
    differences.extend(stamp_difference(store, replay).await?);
    Ok(differences)
}

/// The changes log, read from its first entry; each record is shown before it is taken in.
pub(super) async fn replayed(
    journal: &dyn Journal,
    mut seen: impl FnMut(&Replay, &Record),
) -> Result<Replay, Refusal> {
    let mut replay = Replay::default();
    loop {
        let page = journal
            .read(replay.len(), CHUNK)
            .await
            .map_err(|e| Refusal::of(&e))?;
        if page.is_empty() {
            return Ok(replay);
        }
        for (_, bytes) in page {
            let record = Record::decode(&bytes).map_err(|e| Refusal::of(&e))?;
            seen(&replay, &record);
            replay.feed(record).map_err(|e| Refusal::of(&e))?;
        }
    }
}

async fn stored(store: &dyn Store) -> Result<BTreeMap<String, (Value, Revision)>, Refusal> {
    let mut found = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.scan("", after.as_deref(), CHUNK).await;
        let page = page.map_err(|e| Refusal(e.to_string()))?;
        let Some(last) = page.last() else {
            return Ok(found);
        };
        after = Some(last.key.clone());
        for entry in page {
            if !entry.key.starts_with("local/") {
                let value = Value::decode(&entry.value).map_err(|e| {
                    Refusal(format!(
                        "the store holds {}, which is no value: {}",
                        entry.key,
                        Refusal::of(&e)
                    ))
                })?;
                found.insert(entry.key, (value, entry.revision));
            }
        }
    }
}

/// A store that names an intention which the log does not have is ahead of it: the log was cut.
async fn stamp_difference(store: &dyn Store, replay: &Replay) -> Result<Option<String>, Refusal> {
    let stamp = store.get(STAMP).await.map_err(|e| Refusal(e.to_string()))?;
    let index = stamp
        .and_then(|s| String::from_utf8(s.value).ok())
        .and_then(|t| t.parse::<u64>().ok());
    Ok(index.filter(|index| *index >= replay.len()).map(|index| {
        format!("the store holds change {index}, and the log ends before it: the log was cut")
    }))
}
