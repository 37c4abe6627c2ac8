//! Attestations of destruction: signed in the HSM, verified by others, and never more than is so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod story;
mod world;

use softhsm_tests::cli::{Finished, finish};
use softhsm_tests::program::find;
use std::path::Path;
use std::process::Command;

/// What stock OpenSSL says of three files of this name: `Verified OK`, or that it is not so.
pub(crate) fn openssl(directory: &Path, key: &str, name: &str) -> Finished {
    let mut command = Command::new("openssl");
    command.current_dir(directory);
    command.args(["dgst", "-sha256", "-verify", key, "-signature"]);
    command.args([format!("{name}.sig"), format!("{name}.json")]);
    finish(command)
}

/// What `kms attestation verify` says, without a context and without a service.
pub(crate) fn kms(directory: &Path, arguments: &[&str]) -> Finished {
    let mut command = Command::new(find("kms").unwrap());
    command.current_dir(directory);
    command.args(["attestation", "verify"]).args(arguments);
    finish(command)
}
