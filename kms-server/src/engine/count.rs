//! How much a version has encrypted. AES-GCM with random 96-bit nonces must never go beyond 2^32
//! encryptions under one key (NIST SP 800-38D section 8.3).

use super::Engine;
use super::ledger::{Count, Keep, Spending};
use kms_core::error::{Error, Result};
use kms_core::id::KeyId;
use kms_core::lifecycle::{ENCRYPTIONS_MAX, InForce, Spent};
use serde::Deserialize;

/// Written down ahead, at most: encryptions, and bytes.
const BLOCK: Spent = Spent {
    encryptions: 1 << 16,
    bytes: 1 << 28,
};

/// So much more, and so much of it written down ahead.
struct More {
    wanted: Spent,
    block: Spent,
}

/// After a start all that was written down counts as spent: of what a key allows, a block is a small
/// part.
fn block(life: InForce) -> Spent {
    let part = |limit: Option<u64>, most: u64| limit.map_or(most, |limit| most.min(limit / 64));
    Spent {
        encryptions: part(life.encryptions, BLOCK.encryptions),
        bytes: part(life.bytes, BLOCK.bytes),
    }
}

impl Engine {
    /// Spends encryptions of a version. Where it has protected as much as it may by what holds for
    /// its key, the clockwork is told; where it has encrypted as often as is safe, it is refused.
    pub(super) async fn count_encryptions(
        &self,
        id: &KeyId,
        life: InForce,
        wanted: Spent,
    ) -> Result<()> {
        let keep = Keep::Durable(&*self.parts.store);
        let more = More {
            wanted,
            block: block(life),
        };
        let (before, after) = self.encryptions.spend(keep, &name(id), &more).await?;
        if life.is_half_spent(after) && !life.is_half_spent(before) {
            tracing::warn!(%id, "half of what a version may protect is spent");
        }
        if life.is_spent(after) && !life.is_spent(before) {
            tracing::warn!(%id, "a version has protected as much as it may; it is rotated");
            self.clockwork.bell.notify_one();
        }
        Ok(())
    }
}

/// As the store may hold it: before bytes were counted, it held a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Spent(Spent),
    Encryptions(u64),
}

/// Where it is counted.
pub(super) fn name(id: &KeyId) -> String {
    format!("{PREFIX}{id}")
}

/// What the names of all counts begin with.
pub(super) const PREFIX: &str = "local/encryptions/";

impl Spending for More {
    type Of = Spent;

    fn spend(&self, spent: &Spent) -> Result<Spent> {
        let spent = Spent {
            encryptions: spent.encryptions.saturating_add(self.wanted.encryptions),
            bytes: spent.bytes.saturating_add(self.wanted.bytes),
        };
        if spent.encryptions > ENCRYPTIONS_MAX {
            return Err(Error::state(
                "this version has encrypted as often as it safely may (2^32); rotate the key",
            ));
        }
        Ok(spent)
    }

    fn covered(&self, written: &Spent, spent: &Spent) -> bool {
        spent.encryptions <= written.encryptions && spent.bytes <= written.bytes
    }

    fn ahead(&self, spent: &Spent) -> Spent {
        let encryptions = spent.encryptions.saturating_add(self.block.encryptions);
        Spent {
            encryptions: encryptions.min(ENCRYPTIONS_MAX),
            bytes: spent.bytes.saturating_add(self.block.bytes),
        }
    }
}

impl Count for Spent {
    fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::internal(e.to_string()))
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let spent: Written =
            serde_json::from_slice(bytes).map_err(|e| Error::internal(e.to_string()))?;
        Ok(match spent {
            Written::Spent(spent) => spent,
            Written::Encryptions(encryptions) => Spent {
                encryptions,
                bytes: 0,
            },
        })
    }
}
