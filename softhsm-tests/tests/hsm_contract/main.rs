//! The contract of `Hsm` on the real pool and either token, and what only a real token shows: what
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
use softhsm_tests::token::Make;

/// A token of its own, with a pool on it.
struct OnToken {
    token: InProcessToken,
    pool: Pool,
}

impl OnToken {
    fn empty(make: Make, test: &str) -> Self {
        // A label has 32 bytes.
        let label: String = test.chars().take(32).collect();
        let token = InProcessToken::empty_of(make, &label);
        let pool = token.pool();
        Self { token, pool }
    }

    fn hsm(&self) -> &dyn Hsm {
        &self.pool
    }
}

impl Drop for OnToken {
    fn drop(&mut self) {
        self.pool.stop();
    }
}

struct SoftHsm(OnToken);

impl Bench for SoftHsm {
    fn empty(test: &str) -> Self {
        Self(OnToken::empty(Make::SoftHsm, test))
    }

    fn hsm(&self) -> &dyn Hsm {
        self.0.hsm()
    }
}

struct Kryoptic(OnToken);

impl Bench for Kryoptic {
    fn empty(test: &str) -> Self {
        Self(OnToken::empty(Make::Kryoptic, test))
    }

    fn hsm(&self) -> &dyn Hsm {
        self.0.hsm()
    }
}

mod softhsm {
    softhsm_tests::hsm_contract!(crate::SoftHsm);
}

mod kryoptic {
    softhsm_tests::hsm_contract!(crate::Kryoptic);
}
