//! What a store holds when it is rebuilt from the changes log: the values that the log proves, the
//! requests that it remembers, and, of what only the lost store knew, the worst: every count that
//! must not be exceeded is at its end.

use super::ledger::Ledger;
use super::open::{Refusal, differences, replayed};
use super::request::{self, Remembered};
use super::settle::STAMP;
use super::{count, store_fault};
use crate::audit::Journal;
use crate::store::{Entry, Store, StoreError, Write};
use kms_core::caller::Principal;
use kms_core::class::Algorithm;
use kms_core::error::{Error, Result};
use kms_core::id::KeyId;
use kms_core::key::Version;
use kms_core::lifecycle::{ENCRYPTIONS_MAX, Spent};
use kms_core::name::RebuildName;
use kms_core::quota::{Account, Charged, Metered};
use kms_core::record::{Detail, Record, RequestTag, Settled};
use kms_core::replay::Replay;
use kms_core::revision::Revision;
use kms_core::state::State;
use kms_core::time::Time;
use kms_core::value::Value;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the changes log proves.
#[derive(Debug)]
pub struct Proven {
    replay: Replay,
    /// The last intention that was committed, and the revision of what it wrote.
    committed: Option<(u64, Revision)>,
    requests: Vec<Asked>,
}

/// A request that was carried out, as its client may send it again.
#[derive(Debug)]
struct Asked {
    actor: String,
    tag: RequestTag,
    time: Time,
    made: Value,
    revision: Revision,
}

/// That a store was rebuilt, and what is yet to be done about it, under `local/rebuild`: written with
/// the store, and taken away when all is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// The name of its record.
    pub name: RebuildName,
    /// What the last intention was to make, if the log does not say what became of it.
    pub unproved: Vec<KeyId>,
    /// Whether the log is known to end too early, and what holds now is not known.
    pub behind: bool,
}

/// Where it is kept.
const UNFINISHED: &str = "local/rebuild";

impl Proven {
    /// Verifies the changes log from its first entry: that none is missing or out of place, that each
    /// outcome is that of its intention, and every approval's signature.
    ///
    /// # Errors
    /// The entry at which it stops to make sense, and why.
    pub async fn by(changes: &dyn Journal) -> std::result::Result<Self, Refusal> {
        let (mut committed, mut requests) = (None, Vec::new());
        let replay = replayed(changes, |replay, record| {
            let Some((index, revision)) = settles(replay, record) else {
                return;
            };
            committed = Some((index, revision));
            requests.extend(asked(replay, record, revision));
        });
        let replay = replay.await?;
        Ok(Proven {
            replay,
            committed,
            requests,
        })
    }

    /// The log, replayed.
    #[must_use]
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// What the last intention was to make, if the log does not say what became of it.
    #[must_use]
    pub fn unproved(&self) -> Vec<KeyId> {
        let open = self.replay.open();
        open.map(|open| open.intention.plan.act.makes())
            .unwrap_or_default()
    }

    /// Whether this store is what the log says.
    pub async fn is_told_by(&self, store: &dyn Store) -> bool {
        differences(store, &self.replay)
            .await
            .is_ok_and(|differences| differences.is_empty())
    }

    /// Everything that a store holds, of which nothing is left.
    ///
    /// # Errors
    /// `Internal` when a value has no JSON form.
    pub fn contents(&self, unfinished: &Unfinished, now: Time) -> Result<Vec<Entry>> {
        let view = self.replay.view();
        let latest = view.revision();
        let local = |key: String, value: Vec<u8>, revision| Entry {
            key,
            value,
            revision,
        };
        let mut entries = vec![local(UNFINISHED.into(), json(unfinished)?, latest)];
        for stamped in view.all() {
            let value = stamped.value.encode()?;
            entries.push(local(stamped.value.name(), value, stamped.revision));
        }
        if let Some((index, revision)) = self.committed {
            entries.push(local(
                STAMP.into(),
                index.to_string().into_bytes(),
                revision,
            ));
        }
        for version in self.counted() {
            entries.push(local(count::name(&version.id), json(&EVERYTHING)?, latest));
        }
        for edge in view.edges() {
            let on = Charged::Quota(Metered::Edge(edge.name.clone()));
            for who in view.bindings().map(|binding| binding.principal()) {
                let account = json(&Account::spent(&on.limits(view, who), now))?;
                entries.push(local(on.account(who), account, latest));
            }
        }
        let nobody = Principal::scheduler()?;
        for campaign in Charged::campaigns(view) {
            let account = json(&Account::spent(&campaign.limits(view, &nobody), now))?;
            entries.push(local(campaign.account(&nobody), account, latest));
        }
        for asked in self.requests.iter().filter(|asked| asked.is_recent(now)) {
            let result = Remembered::Resource(Box::new(asked.made.clone()));
            let memory = request::memory(&asked.actor, &asked.tag, asked.time, result)?;
            if let Write::Put(key, value) = memory {
                entries.push(local(key, value, asked.revision));
            }
        }
        Ok(entries)
    }

    /// The versions whose encryptions are counted, and whose counts are lost.
    pub fn counted(&self) -> impl Iterator<Item = &Version> {
        let values = self.replay.view().all();
        let versions = values.filter_map(|stamped| stamped.value.as_version());
        versions.filter(|version| {
            version.algorithm == Algorithm::Aes256 && version.state != State::Destroyed
        })
    }
}

/// What a version may encrypt at all: from here on it encrypts nothing, and is due to be rotated.
const EVERYTHING: Spent = Spent {
    encryptions: ENCRYPTIONS_MAX,
    bytes: u64::MAX,
};

impl Asked {
    fn is_recent(&self, now: Time) -> bool {
        self.time.plus_millis(request::REMEMBERED) > now
    }
}

/// The intention that this record says was committed, and as of which revision.
fn settles(replay: &Replay, record: &Record) -> Option<(u64, Revision)> {
    let Detail::Outcome(outcome) = record.detail() else {
        return None;
    };
    match outcome.settled {
        Settled::Committed { revision, .. } => Some((replay.open()?.index, revision)),
        Settled::Abandoned { .. } => None,
    }
}

fn asked(replay: &Replay, record: &Record, revision: Revision) -> Option<Asked> {
    let open = replay.open()?;
    let Detail::Outcome(outcome) = record.detail() else {
        return None;
    };
    let Settled::Committed { learned, .. } = &outcome.settled else {
        return None;
    };
    let plan = &open.intention.plan;
    let values = plan.values(learned);
    Some(Asked {
        actor: open.record.actor().to_owned(),
        tag: open.intention.request.clone()?,
        time: open.record.time(),
        made: values.into_iter().find(|v| v.name() == plan.subject)?,
        revision,
    })
}

/// What is yet to be done about a store that was rebuilt.
///
/// # Errors
/// `Unavailable` when the store cannot be read, `Internal` when it holds something else.
pub async fn unfinished(store: &dyn Store) -> Result<Option<Unfinished>> {
    let entry = store.get(UNFINISHED).await.map_err(|e| store_fault(&e))?;
    let decoded = entry.map(|entry| serde_json::from_slice(&entry.value));
    decoded
        .transpose()
        .map_err(|e| Error::internal(format!("{UNFINISHED}: {e}")))
}

/// The versions whose counts were lost, and that encrypt nothing any more.
///
/// # Errors
/// `Unavailable` when the store cannot be read.
pub async fn spent(store: &dyn Store) -> Result<BTreeSet<KeyId>> {
    let counted: Ledger<Spent> = Ledger::default();
    let counted = counted.all(store, count::PREFIX).await?;
    let spent = counted
        .into_iter()
        .filter(|(_, spent)| *spent == EVERYTHING);
    let ids =
        spent.filter_map(|(name, _)| name.strip_prefix(count::PREFIX)?.to_owned().try_into().ok());
    Ok(ids.collect())
}

/// All is done.
///
/// # Errors
/// Those of the store.
pub async fn finish(store: &dyn Store) -> std::result::Result<(), StoreError> {
    let gone = Write::Delete(UNFINISHED.into());
    store.commit(&[], &[gone]).await.map(|_revision| ())
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::internal(e.to_string()))
}
