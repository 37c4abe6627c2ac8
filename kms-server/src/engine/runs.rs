//! Runs: many calls, charged once. A call is checked off in the store before anything of it is
//! evaluated, and the first one together with its run's charge, in one commit: whatever dies,
//! nothing is evaluated that was not charged, and nothing is charged twice.

use super::ledger::{Keep, Ledger};
use super::quota::Charge;
use super::{Engine, store_fault};
use crate::store::{MAX_OPERATIONS, Store, Write};
use kms_core::error::{Error, Kind, Result};
use kms_core::quota::{Account, Batch, CALLS_MAX, Charged, Mark, PART, Reached, Run, Tally, room};
use std::collections::{BTreeMap, HashMap};
use tokio::sync::Mutex;
use uuid::Uuid;

/// The runs of each caller on each edge and in each campaign, as the store holds them.
#[derive(Debug, Default)]
pub(super) struct Runs {
    of: Mutex<HashMap<String, BTreeMap<Uuid, Run>>>,
}

/// One call of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Where it lies in it.
    pub(super) batch: Batch,
    /// The version of the edge's key that will evaluate it.
    pub(super) version: u32,
    /// What tells its content.
    pub(super) mark: Mark,
}

/// What became of one call of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CheckedOff {
    /// Whether it had been before.
    pub(super) again: bool,
    /// The quotas that are nearly spent now.
    pub(super) reached: Vec<Reached>,
}

impl Runs {
    /// Checks a call off, and charges what it costs: the first of a run all that the run expects,
    /// each of them its own request and bytes, and one that is sent again its request alone.
    ///
    /// # Errors
    /// As for the charge, and when the call does not belong to the run. Nothing is charged then,
    /// and nothing checked off.
    pub(super) async fn check_off(
        &self,
        store: &dyn Store,
        spent: &Ledger<Account>,
        charge: &mut Charge<'_>,
        part: Part,
    ) -> Result<CheckedOff> {
        let mut held = self.of.lock().await;
        let (of, life) = (charge.on.runs(charge.who), charge.on.run_life());
        if !held.contains_key(&of) {
            held.insert(of.clone(), read(store, &of).await?);
        }
        let runs = held.entry(of.clone()).or_default();
        let Part {
            batch,
            version,
            mark,
        } = part;
        let known = runs.get(&batch.id());
        let known = known.filter(|run| !run.is_over(life, charge.now));
        let begins = known.is_none();
        let checked = match known {
            Some(run) => run.check_off(&batch, version, mark)?,
            None => Run::begin(&batch, version, charge.now).check_off(&batch, version, mark)?,
        };
        let again = checked.is_none();
        let alone = charge.tally;
        charge.tally = Tally {
            items: if begins { batch.expected() } else { 0 },
            bytes: if again { 0 } else { alone.bytes },
            ..alone
        };
        if begins {
            for id in room(runs, life, charge.now)? {
                forget(store, &of, id).await?;
                runs.remove(&id);
            }
        }
        let written = checked.as_ref().map(|run| {
            let (number, bytes) = run.last_part();
            Write::Put(part_name(&of, batch.id(), number), bytes)
        });
        let limits = charge.limits;
        let account = charge.on.account(charge.who);
        let keep = Keep::Durable(store);
        match spent.spend_with(keep, &account, charge, written).await {
            Ok((before, after)) => {
                if let Some(run) = checked {
                    runs.insert(batch.id(), run);
                }
                let reached = after.reached(&before, limits);
                Ok(CheckedOff { again, reached })
            }
            Err(error) => {
                // The store knows what is true.
                if error.kind() == Kind::Unknown {
                    held.remove(&of);
                }
                Err(error)
            }
        }
    }
}

impl Engine {
    /// Forgets the runs that are over, whoever began them.
    pub(super) async fn forget_old_runs(&self) -> Result<()> {
        for (prefix, life) in Charged::KEPT {
            self.forget_old(prefix, life).await?;
        }
        Ok(())
    }

    async fn forget_old(&self, prefix: &str, life: u64) -> Result<()> {
        let (store, now) = (&*self.parts.store, self.pace.now(&*self.parts.clock));
        let mut after: Option<String> = None;
        loop {
            let page = store.scan(prefix, after.as_deref(), PAGE).await;
            let page = page.map_err(|e| store_fault(&e))?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.key.clone());
            let mut over = Vec::new();
            for entry in page {
                if run(&entry.key, [entry.value.as_slice()])?.is_over(life, now) {
                    over.push(Write::Delete(entry.key));
                }
            }
            for writes in over.chunks(MAX_OPERATIONS) {
                let gone = store.commit(&[], writes).await;
                gone.map_err(|e| store_fault(&e))?;
            }
        }
    }
}

/// Entries read at a time.
const PAGE: usize = 256;

/// Under `local/`, outside the view: `{runs of a caller}{run}/{part}`.
fn part_name(of: &str, id: Uuid, number: usize) -> String {
    format!("{of}{id}/{number:04}")
}

async fn read(store: &dyn Store, of: &str) -> Result<BTreeMap<Uuid, Run>> {
    let mut parts: BTreeMap<Uuid, Vec<Vec<u8>>> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.scan(of, after.as_deref(), PAGE).await;
        let page = page.map_err(|e| store_fault(&e))?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for entry in page {
            let id = entry
                .key
                .get(of.len()..)
                .and_then(|rest| rest.split_once('/'));
            let id = id.and_then(|(id, _)| id.parse().ok());
            let id: Uuid = id.ok_or_else(|| Error::internal(format!("{}: no run", entry.key)))?;
            parts.entry(id).or_default().push(entry.value);
        }
    }
    let whole = |(id, parts): (Uuid, Vec<Vec<u8>>)| {
        let name = part_name(of, id, 0);
        Ok((id, run(&name, parts.iter().map(Vec::as_slice))?))
    };
    parts.into_iter().map(whole).collect()
}

fn run<'a>(name: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Run> {
    Run::of_parts(parts)
        .map_err(|e| Error::internal(format!("{name}: {}", e.cause().unwrap_or(e.message()))))
}

/// Every part that it may have: what a crash left is not taken for a part of the next.
async fn forget(store: &dyn Store, of: &str, id: Uuid) -> Result<()> {
    let parts = 0..CALLS_MAX.div_ceil(PART);
    let gone: Vec<Write> = parts
        .map(|number| Write::Delete(part_name(of, id, number)))
        .collect();
    let gone = store.commit(&[], &gone).await;
    gone.map(drop).map_err(|e| store_fault(&e))
}

#[cfg(test)]
mod tests;
