//! Renewal campaigns through the real door: a secret is compromised and every pseudonym gets a new
//! value, by translation under dual control; what hangs below follows; what cannot be recomputed is
//! layered.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test that cannot go on fails"
)]

mod approved;
mod bench;
mod ends;
mod expected;
mod interrupted;
mod memory;
mod national;
mod story;
mod stream;
