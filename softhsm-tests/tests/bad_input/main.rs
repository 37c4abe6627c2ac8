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

/// All of these in one deployment: what one of them refuses must not stand in the way of the next.
#[test]
fn callers_are_told_what_to_mend() {
    let mut kms = Deployment::emc2().start();
    inventory::an_inventory_with_a_fault_is_refused_before_anything_is_made(&kms);
    kms.furnish();
    name::a_typo_in_a_keys_name_never_makes_a_key(&mut kms);
    name::a_name_is_never_used_again_and_a_class_never_bent(&kms);
    ciphertext::a_ciphertext_that_is_not_what_it_was_opens_nothing(&mut kms);
    file::a_sealed_file_that_is_not_what_it_was_opens_nothing_and_leaves_no_file(&kms);
    identifier::an_identifier_of_the_wrong_type_has_its_own_error_and_spoils_no_other(&mut kms);
    identifier::a_csv_file_is_told_by_line_and_no_value_of_it(&kms);
    request::a_payload_that_is_too_long_is_told_of_data_keys(&mut kms);
    request::a_mechanism_that_the_token_lacks_is_refused_with_those_that_it_has(&kms);
    request::an_import_that_is_not_what_it_should_be_brings_nothing_in(&mut kms);
    request::a_stale_etag_changes_nothing(&mut kms);
    request::a_list_goes_on_where_its_page_ended(&mut kms);
    request::a_request_id_gives_the_same_result_and_only_for_the_same_request(&mut kms);
    inventory::what_can_never_change_is_named_and_a_stale_plan_is_refused(&kms);
}

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
