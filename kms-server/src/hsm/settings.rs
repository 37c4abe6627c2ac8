//! Where the token is, and how it is reached.

use serde::Deserialize;
use std::path::PathBuf;

/// The `[hsm]` section of the configuration. Paths are used as they are: whoever reads the file
/// resolves relative ones.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The PKCS#11 module: code that runs inside the server.
    pub module: PathBuf,
    /// The token's label; exactly one token must have it.
    pub token: String,
    /// The file that holds the PIN: readable by its owner alone, one line.
    pub pin_file: PathBuf,
    /// Threads that talk to the token, one session each. One or two for a soft token; as many as
    /// calls in flight for a network HSM (10 to 60).
    #[serde(default = "two")]
    pub threads: usize,
    /// Calls that may wait for a thread before `RESOURCE_EXHAUSTED`.
    #[serde(default = "queue")]
    pub queue: usize,
    /// Locked while connecting, against other processes that start on the same token.
    pub lock_file: PathBuf,
    /// How long a call waits for its answer, in milliseconds, before it counts as `Unknown` (or,
    /// if no thread has begun it, is withdrawn).
    #[serde(default = "timeout")]
    pub timeout_ms: u64,
}

fn two() -> usize {
    2
}

fn queue() -> usize {
    1024
}

fn timeout() -> u64 {
    30_000
}
