//! Bad input of every sort: one clear sentence that says what to do, the right status, a
//! record where a caller is known, and nothing lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod certificate;
mod ciphertext;
mod file;
mod identifier;
mod inventory;
mod name;
mod request;
mod start;

use kms_proto::v1;
use serde_json::Value;
use softhsm_tests::{
    Deployment,
    gateway::{Gateway, reason},
};
use tonic::Status;

const OBJECT: &str = "spaces/ingest-lyon/keys/object";
const BACKUP: &str = "spaces/ingest-lyon/keys/backup";
const LINK: &str = "spaces/warehouse/edges/link";

/// The records of the uses log that say that `principal` asked for `action` and was told
/// `word`.
fn refusals(kms: &mut Deployment, principal: &str, action: &str, word: &str) -> Vec<Value> {
    let records = Gateway::connect(kms, "ada").records(v1::Log::Uses).unwrap();
    let told = |record: &Value| {
        let actor = record["actor"]["user"]["uid"].as_str().unwrap_or_default();
        actor.ends_with(principal)
            && record["api"]["operation"] == action
            && record["status_code"] == word
    };
    records.into_iter().filter(told).collect()
}

/// The answer is this status, its stable word is `word`, and its sentence says `saying`.
#[track_caller]
fn told<T: std::fmt::Debug>(answer: Result<T, Status>, word: &str, saying: &str) {
    let status = answer.expect_err("a refusal");
    assert_eq!(reason(&status), word, "{status:?}");
    assert!(
        status.message().contains(saying),
        "{saying:?} in {:?}",
        status.message()
    );
}
