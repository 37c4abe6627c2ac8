//! `kms emergency`: declared, loud, short and reviewed.

use crate::{PEOPLE, WAITS, approve_all, shipped_policy, shows};
use softhsm_tests::{Deployment, program::repository};

#[test]
fn an_emergency_is_declared_used_ended_and_reviewed() {
    let policy = tempfile::tempdir().unwrap();
    let glass = repository().join("ops/policy/break-glass.cedar");
    let glass = std::fs::read_to_string(glass).unwrap();
    shipped_policy(policy.path(), |text| text + &glass);
    let builder = Deployment::emc2().bindings(PEOPLE).production();
    let kms = builder.policy(policy.path()).start();
    let [stella, olivia, hugo, carl, carol] =
        ["stella", "olivia", "hugo", "carl", "carol"].map(|id| kms.cli(id));
    stella
        .run(["space", "create", "lab", "--kind", "project"])
        .succeeds();
    let create = ["key", "create", "lab/object", "--class", "data-at-rest"];
    stella.run(create).succeeds();
    hugo.run(["emergency", "end", "--reason", "x"])
        .fails(5)
        .saying("no emergency is under way");

    let declare = [
        "emergency",
        "declare",
        "--minutes",
        "30",
        "--reason",
        "incident 42",
    ];
    hugo.run(declare).fails(WAITS).saying("DeclareEmergency");
    approve_all(&kms, "carl");
    shows(
        &hugo.run(declare).succeeds(),
        &["running      yes", "approved by  person/carl"],
    );
    let status = olivia.run(["status"]).succeeds();
    assert!(
        status.text().starts_with("EMERGENCY: emergencies/e"),
        "{status}"
    );

    // What took one approval takes none.
    let compromise = [
        "version",
        "compromise",
        "lab/object/1",
        "--yes",
        "--reason",
        "incident 42",
    ];
    olivia.run(compromise).succeeds();
    let end = ["emergency", "end", "--reason", "contained"];
    shows(
        &hugo.run(end).succeeds(),
        &["running      no", "by person/hugo: contained"],
    );
    assert!(
        !olivia
            .run(["status"])
            .succeeds()
            .text()
            .contains("EMERGENCY")
    );
    hugo.run(declare).fails(7).saying("has not been reviewed");

    let list = carol
        .run(["emergency", "list", "-o", "json"])
        .succeeds()
        .json();
    let name = list["emergencies"][0]["name"].as_str().unwrap();
    let id = name.strip_prefix("emergencies/").unwrap();
    let review = [
        "emergency",
        "review",
        id,
        "--findings",
        "one version compromised, rightly",
    ];
    carl.run(review)
        .fails(4)
        .saying("somebody else must review it");
    carol.run(review).succeeds();
    let list = carol.run(["emergency", "list"]).succeeds();
    shows(
        &list,
        &[
            "reviewed",
            "incident 42",
            "one version compromised, rightly",
        ],
    );
}

#[test]
fn the_glass_is_off_unless_it_was_turned_on() {
    let kms = crate::production();
    kms.cli("hugo")
        .run(["emergency", "declare", "--minutes", "30", "--reason", "x"])
        .fails(4);
    let none = kms.cli("ada").run(["emergency", "list"]).succeeds();
    assert!(
        none.stderr.contains("no emergency was ever declared"),
        "{none}"
    );
}
