//! How many times a version has encrypted. AES-GCM with random 96-bit nonces must never go beyond
//! 2^32 encryptions under one key (NIST SP 800-38D section 8.3); the count is durable before it is
//! spent, so that a crash can only over-count.

use super::store_fault;
use crate::store::{Store, Write};
use kms_core::error::{Error, Result};
use kms_core::id::KeyId;
use std::collections::HashMap;
use tokio::sync::Mutex;

/// Encryptions under one version, at most.
pub(super) const LIMIT: u64 = 1 << 32;

/// Reserved at a time.
pub(super) const BLOCK: u64 = 1 << 16;

/// The counts of all versions.
#[derive(Debug, Default)]
pub(super) struct Counts {
    by_version: Mutex<HashMap<KeyId, Count>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    spent: u64,
    reserved: u64,
}

impl Counts {
    /// Spends so many encryptions of a version: reserved in the store before this returns.
    pub(super) async fn spend(&self, store: &dyn Store, id: &KeyId, wanted: u64) -> Result<()> {
        let mut counts = self.by_version.lock().await;
        let name = format!("local/encryptions/{id}");
        let count = match counts.get(id) {
            Some(count) => *count,
            // After a start, all that was reserved counts as spent.
            None => {
                let reserved = stored(store, &name).await?;
                Count {
                    spent: reserved,
                    reserved,
                }
            }
        };
        let spent = count.spent.saturating_add(wanted);
        if spent > LIMIT {
            return Err(Error::state(
                "this version has encrypted as often as it safely may (2^32); rotate the key",
            ));
        }
        let mut reserved = count.reserved;
        if spent > reserved {
            reserved = spent.saturating_add(BLOCK).min(LIMIT);
            let write = Write::Put(name, reserved.to_string().into_bytes());
            store
                .commit(&[], &[write])
                .await
                .map_err(|e| store_fault(&e))?;
        }
        counts.insert(*id, Count { spent, reserved });
        Ok(())
    }
}

async fn stored(store: &dyn Store, name: &str) -> Result<u64> {
    let entry = store.get(name).await.map_err(|e| store_fault(&e))?;
    let Some(entry) = entry else { return Ok(0) };
    let text = String::from_utf8(entry.value).map_err(|e| Error::internal(e.to_string()))?;
    text.parse()
        .map_err(|e| Error::internal(format!("{name}: {e}")))
}
