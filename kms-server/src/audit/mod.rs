//! The two logs of a deployment, *changes* and *uses*: what is answered is in one of them
//! first.
//!
//! This module keeps final bytes in order, durably, and knows nothing of what they say. A
//! [`Log`] is a directory: segments of 65,536 entries, each named by the index of its first,
//! framed as C2SP tlog-tiles entry bundles (256 entries are a byte range of a segment), and
//! a `mark` that says how many entries were acknowledged.
//!
//! - `log`: what a caller sees.
//! - `writer`: group commit, and what holds when a disk fails.
//! - `recovery`: what may be repaired when a log is opened, and what may not.
//! - `segment`, `mark`: what is on disk, in frames ([`kms_core::frame`]).

mod disk;
mod error;
mod journal;
mod log;
mod mark;
mod recovery;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

pub use error::LogError;
pub use journal::{DiskJournal, Follower, Journal};
pub use log::{Check, Log};

/// Whether a file of a log's directory is one of its segments, by its name.
#[must_use]
pub fn is_segment(name: &str) -> bool {
    segment::first_of_name(name).is_some()
}
