//! Dual control, the live policy and emergencies by the command line alone, as people meet them:
//! what is said, what is shown, how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod access;
mod conditions;
mod emergency;
mod policy;
mod proposal;
mod study;
mod waiting;

use softhsm_tests::{Cli, Deployment, Finished, program::repository};
use std::path::Path;

/// One person for each part, two custodians, of whom one has a spare card, and a service.
const PEOPLE: &str = r#"
bindings:
  - principal: person/stella
    roles: [{role: space-steward, spaces: ["*"]}]
  - principal: person/olivia
    roles: [{role: key-operator}]
  - principal: person/carl
    aliases: [person/carl-spare]
    roles: [{role: key-custodian}]
  - principal: person/carol
    roles: [{role: key-custodian}]
  - principal: person/hugo
    roles: [{role: hsm-officer}]
  - principal: person/ada
    roles: [{role: auditor}]
  - principal: service/notebook
    roles: [{role: data-service, spaces: [lab]}]
"#;

/// The exit code of what waits for others.
const WAITS: i32 = 12;

/// A production deployment with these people, and nothing else.
fn production() -> Deployment {
    Deployment::emc2().bindings(PEOPLE).production().start()
}

/// The same with one space and one key.
fn furnished() -> Deployment {
    let kms = production();
    let steward = kms.cli("stella");
    steward
        .run(["space", "create", "lab", "--kind", "project"])
        .succeeds();
    steward
        .run(["key", "create", "lab/object", "--class", "data-at-rest"])
        .succeeds();
    kms
}

/// The shipped policy, changed.
fn shipped_policy(directory: &Path, change: impl Fn(String) -> String) {
    let shipped = repository().join("ops/policy");
    let read = |name: &str| std::fs::read_to_string(shipped.join(name)).unwrap();
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
    write("schema.cedarschema", read("schema.cedarschema"));
    let text = read("policy.cedar");
    let changed = change(text.clone());
    assert_ne!(changed, text);
    write("policy.cedar", changed);
}

/// The short names of the proposals that wait, the latest first.
fn waiting(who: &Cli) -> Vec<String> {
    let listed = who.run(["proposal", "list", "-o", "json"]).succeeds();
    let listed = listed.json();
    let proposals = listed["proposals"].as_array().unwrap();
    let names = proposals.iter().map(|p| p["name"].as_str().unwrap());
    names
        .map(|name| name.strip_prefix("proposals/").unwrap().to_owned())
        .collect()
}

/// Somebody agrees to all that waits.
fn approve_all(kms: &Deployment, custodian: &str) {
    let custodian = kms.cli(custodian);
    let names = waiting(&custodian);
    let mut arguments = vec!["proposal", "approve", "--reason", "agreed", "--yes"];
    arguments.extend(names.iter().map(String::as_str));
    custodian.run(arguments).succeeds();
}

fn write(kms: &Deployment, name: &str, text: &str) {
    std::fs::write(kms.directory().join(name), text).unwrap();
}

#[track_caller]
fn shows(answer: &Finished, words: &[&str]) {
    for word in words {
        assert!(
            answer.text().contains(word),
            "{word:?} is not shown: {answer}"
        );
    }
}
