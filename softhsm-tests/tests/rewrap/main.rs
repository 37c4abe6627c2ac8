//! `kms rewrap` on a real server: whatever kills it, the same command finishes the work, nothing is
//! lost, and the report says what is left under each old version.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod bench;
mod files;
mod rows;
