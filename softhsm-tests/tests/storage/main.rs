//! What is kept on disk: the store and the logs, through the real disk, kills and full disks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that fails may say so by a panic, and reads how long it may take"
)]

mod log;
mod process;
mod store;
