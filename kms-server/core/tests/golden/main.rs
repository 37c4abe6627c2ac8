//! The facts of this service, printed from the functions that decide, for a security officer to
//! read; and properties that hold for whatever is asked.
#![allow(
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects and fails loudly"
)]

mod approvals;
mod attestation;
mod burnt;
mod due;
mod erasure;
mod grid;
mod import;
mod invariants;
mod invented;
mod judgement;
mod life;
mod lifecycle;
mod linkable;
mod records;
mod renewal;
mod rules;
mod sample;
mod usage;
