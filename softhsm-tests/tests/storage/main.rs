//! What is kept on disk: the store and the logs, through the real disk, kills and full disks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails may say so by a panic"
)]

mod log;
mod process;
mod store;
