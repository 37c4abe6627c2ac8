//! Counts that a crash must not set back: what is spent is written down before, a block ahead, so
//! that a process that dies has at most counted too much.

use super::store_fault;
use crate::store::{Store, Write};
use kms_core::error::{Error, Kind, Result};
use std::collections::{BTreeMap, HashMap};
use tokio::sync::Mutex;

/// What is counted under one name.
pub(super) trait Count: Clone + Default + Send + std::fmt::Debug {
    /// As the store holds it.
    fn encode(&self) -> Result<Vec<u8>>;

    /// Of what the store holds.
    fn decode(bytes: &[u8]) -> Result<Self>;
}

/// One spending of a count.
pub(super) trait Spending: Sync {
    /// What is counted.
    type Of: Count;

    /// The count afterwards, or why it may not be spent.
    fn spend(&self, spent: &Self::Of) -> Result<Self::Of>;

    /// Whether what is written down covers what is spent.
    fn covered(&self, written: &Self::Of, spent: &Self::Of) -> bool;

    /// What to write down: a block ahead.
    fn ahead(&self, spent: &Self::Of) -> Self::Of;
}

/// Where a name is counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keep<'a> {
    /// In the store too: it outlives the process.
    Durable(&'a dyn Store),
    /// In this process alone.
    Passing,
}

/// Counts by name.
#[derive(Debug, Default)]
pub(super) struct Ledger<C> {
    by_name: Mutex<HashMap<String, Held<C>>>,
}

#[derive(Debug, Clone, Default)]
struct Held<C> {
    spent: C,
    /// In the store.
    written: C,
}

impl<C: Count> Ledger<C> {
    /// Spends: where it is kept in the store, it is covered there before this returns. Gives what was
    /// spent before, and what is spent now. On an error nothing is spent.
    pub(super) async fn spend(
        &self,
        keep: Keep<'_>,
        name: &str,
        spending: &impl Spending<Of = C>,
    ) -> Result<(C, C)> {
        self.spend_with(keep, name, spending, None).await
    }

    /// Spends, and writes something else in the same commit, of what is kept in the store: both are
    /// true, or neither.
    pub(super) async fn spend_with(
        &self,
        keep: Keep<'_>,
        name: &str,
        spending: &impl Spending<Of = C>,
        beside: Option<Write>,
    ) -> Result<(C, C)> {
        let mut held = self.by_name.lock().await;
        let mut count = match held.get(name) {
            Some(count) => count.clone(),
            None => begun(keep, name).await?,
        };
        let before = count.spent.clone();
        count.spent = spending.spend(&before)?;
        if let Keep::Durable(store) = keep {
            let mut writes: Vec<Write> = beside.into_iter().collect();
            if !spending.covered(&count.written, &count.spent) {
                count.written = spending.ahead(&count.spent);
                writes.push(Write::Put(name.to_owned(), count.written.encode()?));
            }
            if !writes.is_empty()
                && let Err(fault) = store.commit(&[], &writes).await
            {
                let fault = store_fault(&fault);
                // The store knows what is true.
                if fault.kind() == Kind::Unknown {
                    held.remove(name);
                }
                return Err(fault);
            }
        }
        let after = count.spent.clone();
        held.insert(name.to_owned(), count);
        Ok((before, after))
    }

    /// What is spent so far under every name that begins so, in this process or before it.
    pub(super) async fn all(&self, store: &dyn Store, prefix: &str) -> Result<BTreeMap<String, C>> {
        let mut found = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = store.scan(prefix, after.as_deref(), PAGE).await;
            let page = page.map_err(|e| store_fault(&e))?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for entry in page {
                let count = decoded(&entry.key, &entry.value)?;
                found.insert(entry.key, count);
            }
        }
        let held = self.by_name.lock().await;
        let spent = held.iter().filter(|(name, _)| name.starts_with(prefix));
        found.extend(spent.map(|(name, held)| (name.clone(), held.spent.clone())));
        Ok(found)
    }

    /// What is spent so far.
    pub(super) async fn spent(&self, keep: Keep<'_>, name: &str) -> Result<C> {
        let held = self.by_name.lock().await;
        match held.get(name) {
            Some(count) => Ok(count.spent.clone()),
            None => Ok(begun(keep, name).await?.spent),
        }
    }
}

/// After a start, all that was written down counts as spent.
async fn begun<C: Count>(keep: Keep<'_>, name: &str) -> Result<Held<C>> {
    let Keep::Durable(store) = keep else {
        return Ok(Held::default());
    };
    let entry = store.get(name).await.map_err(|e| store_fault(&e))?;
    let Some(entry) = entry else {
        return Ok(Held::default());
    };
    let written: C = decoded(name, &entry.value)?;
    Ok(Held {
        spent: written.clone(),
        written,
    })
}

/// Entries read at a time.
const PAGE: usize = 1024;

fn decoded<C: Count>(name: &str, bytes: &[u8]) -> Result<C> {
    C::decode(bytes)
        .map_err(|e| Error::internal(format!("{name}: {}", e.cause().unwrap_or(e.message()))))
}
