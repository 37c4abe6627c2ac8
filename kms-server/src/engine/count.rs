//! How many times a version has encrypted. AES-GCM with random 96-bit nonces must never go beyond
//! 2^32 encryptions under one key (NIST SP 800-38D section 8.3).

use super::Engine;
use super::ledger::{Count, Keep, Spending};
use kms_core::error::{Error, Result};
use kms_core::id::KeyId;

/// Encryptions under one version, at most.
const LIMIT: u64 = 1 << 32;

/// Written down ahead.
const BLOCK: u64 = 1 << 16;

/// How many times a version has encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Encryptions(u64);

/// So many more.
struct More(u64);

impl Engine {
    /// Spends so many encryptions of a version.
    pub(super) async fn count_encryptions(&self, id: &KeyId, wanted: u64) -> Result<()> {
        let name = format!("local/encryptions/{id}");
        let keep = Keep::Durable(&*self.parts.store);
        self.encryptions.spend(keep, &name, &More(wanted)).await
    }
}

impl Spending for More {
    type Of = Encryptions;

    fn spend(&self, spent: &Encryptions) -> Result<Encryptions> {
        let spent = spent.0.saturating_add(self.0);
        if spent > LIMIT {
            return Err(Error::state(
                "this version has encrypted as often as it safely may (2^32); rotate the key",
            ));
        }
        Ok(Encryptions(spent))
    }

    fn covered(&self, written: &Encryptions, spent: &Encryptions) -> bool {
        spent.0 <= written.0
    }

    fn ahead(&self, spent: &Encryptions) -> Encryptions {
        Encryptions(spent.0.saturating_add(BLOCK).min(LIMIT))
    }
}

impl Count for Encryptions {
    fn encode(&self) -> Result<Vec<u8>> {
        Ok(self.0.to_string().into_bytes())
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let text = str::from_utf8(bytes).map_err(|e| Error::internal(e.to_string()))?;
        let count = text.parse().map_err(|e| Error::internal(format!("{e}")));
        count.map(Encryptions)
    }
}
