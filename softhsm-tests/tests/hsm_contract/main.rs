//! The contract of `Hsm` on the real pool and SoftHSM, and what only a real token shows: what
//! happens when it goes away, and what it refuses to whoever has its PIN and not our code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects and fails loudly"
)]

mod abuse;
mod crash;
mod outage;
mod probe;

use kms_server::hsm::{Hsm, Pool};
use softhsm_tests::InProcessToken;
use softhsm_tests::hsm_contract::Bench;

/// A token of its own, with a pool on it.
struct SoftHsm {
    token: InProcessToken,
    pool: Pool,
}

impl Bench for SoftHsm {
    fn empty(test: &str) -> Self {
        // A label has 32 bytes.
        let label: String = test.chars().take(32).collect();
        let token = InProcessToken::empty(&label);
        let pool = token.pool();
        Self { token, pool }
    }

    fn hsm(&self) -> &dyn Hsm {
        &self.pool
    }
}

impl Drop for SoftHsm {
    fn drop(&mut self) {
        self.pool.stop();
    }
}

softhsm_tests::hsm_contract!(SoftHsm);
