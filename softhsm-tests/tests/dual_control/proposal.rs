//! `kms proposal`: asked, shown, agreed to, carried out, or not.

use crate::{
    PEOPLE, WAITS, approve_all, furnished, production, shipped_policy, shows, waiting, write,
};
use softhsm_tests::{Deployment, deployment::SMALL_INVENTORY, partner};

const COMPROMISE: [&str; 6] = [
    "version",
    "compromise",
    "lab/object/1",
    "--yes",
    "--reason",
    "PIN leaked, incident 43",
];

#[test]
fn one_asks_another_signs_what_they_were_shown_and_it_is_carried_out_once() {
    let mut kms = furnished();
    let (olivia, carl) = (kms.cli("olivia"), kms.cli("carl"));
    let asked = olivia.run(COMPROMISE).fails(WAITS);
    let [name] = waiting(&carl).try_into().unwrap();
    let context = kms.directory().join("contexts.toml");
    for words in [
        "CompromiseVersion on lab/object/1 waits as proposals/",
        "1 more approval is needed",
        &format!("kms proposal approve {name} --reason TEXT"),
        &format!(
            "kms --config {} --context olivia proposal execute {name}",
            context.display()
        ),
    ] {
        assert!(asked.stderr.contains(words), "{words}: {asked}");
    }
    // A program gets the proposal itself; asked again, it is the same one.
    let mut as_json = COMPROMISE.to_vec();
    as_json.extend(["-o", "json"]);
    let asked = olivia.run(as_json).fails(WAITS);
    assert_eq!(asked.json()["name"], format!("proposals/{name}"));

    let shown = carl.run(["proposal", "show", &name]).succeeds();
    shows(
        &shown,
        &[
            "deployment  emc2-dev",
            "asked by    person/olivia",
            "action      CompromiseVersion",
            "on          lab/object/1",
            "reason      PIN leaked, incident 43",
            "0 of 1",
            "What is asked (what an approval signs)\n  transition: CompromiseVersion",
            "  lab/object/1\n    compromised: (none) -> 20",
            "    state: active -> compromised",
        ],
    );
    // Both forms of the name; a person is asked, and a script must say that it is sure.
    let full = format!("proposals/{name}");
    let approve = ["proposal", "approve", &full, "--reason", "checked"];
    let unsure = carl.run(approve).fails(2).saying("give --yes");
    assert!(
        unsure.stderr.contains("state: active -> compromised"),
        "shown first: {unsure}"
    );
    olivia
        .run(["proposal", "execute", &name])
        .fails(WAITS)
        .saying("1 more approval is needed");

    // By their other card it is the same person who agrees.
    kms.issue("person/carl-spare");
    kms.kill();
    kms.restart();
    let (olivia, spare) = (kms.cli("olivia"), kms.cli("carl-spare"));
    let status = spare.run(["status"]).succeeds();
    shows(
        &status,
        &[
            "you are         person/carl",
            "spiffe://dev.emc2.example/person/carl-spare",
            "also called     person/carl-spare",
        ],
    );
    let mut sure = approve.to_vec();
    sure.push("--yes");
    let agreed = spare.run(sure).succeeds();
    shows(
        &agreed,
        &[
            "has 1 of 1 approvals (person/carl)",
            "person/olivia can carry it out",
        ],
    );

    // And once: by their first card they have agreed already.
    let mut again = approve.to_vec();
    again.push("--yes");
    let again = kms.cli("carl").run(again).fails(6);
    again
        .saying("you have approved")
        .saying("another person must");

    let done = olivia.run(["proposal", "execute", &name]).succeeds();
    shows(&done, &["spaces/lab/keys/object/versions/1"]);
    olivia
        .run(["proposal", "execute", &name])
        .fails(7)
        .saying("was carried out already");
    let over = spare.run(["proposal", "show", &name]).succeeds();
    shows(
        &over,
        &["was carried out by person/olivia", ", signed: checked"],
    );
    let version = olivia.run(["version", "show", "lab/object/1", "-o", "json"]);
    assert_eq!(version.succeeds().json()["state"], "COMPROMISED");

    // The auditor has it in the log, and whose signatures these are.
    let auditor = kms.cli("ada");
    let verified = auditor.run(["audit", "verify"]).succeeds();
    shows(
        &verified,
        &["1 approvals: each is signed by the certificate"],
    );
    let known = ["audit", "verify", "--client-ca", "pki/ca.pem", "-o", "json"];
    let vouched = auditor.run(known).succeeds().json();
    assert_eq!(vouched["approvals"], 1);
    assert_eq!(vouched["authoritiesVouched"], true);
    auditor
        .run(["audit", "verify", "--client-ca", "pki/server.pem"])
        .fails(3)
        .saying("an approval by person/carl does not verify: no authority vouched");
    auditor
        .run(["audit", "verify", "--client-ca", "pki/server.key"])
        .fails(10)
        .saying("no PEM certificate");
}

#[test]
fn what_is_turned_down_or_taken_back_says_so() {
    let kms = furnished();
    let (olivia, carol) = (kms.cli("olivia"), kms.cli("carol"));
    olivia.run(COMPROMISE).fails(WAITS);
    let [first] = waiting(&olivia).try_into().unwrap();
    let reject = ["proposal", "reject", &first, "--reason", "it is version 2"];
    let told = carol.run(reject).succeeds();
    shows(&told, &["was rejected by person/carol", "it is version 2"]);
    olivia
        .run(["proposal", "execute", &first])
        .fails(7)
        .saying("was rejected");

    olivia.run(COMPROMISE).fails(WAITS);
    let [second] = waiting(&olivia).try_into().unwrap();
    assert_ne!(first, second);
    let withdraw = ["proposal", "withdraw", &second, "--reason", "contained"];
    carol.run(withdraw).fails(4);
    olivia.run(withdraw).succeeds();
    assert!(waiting(&olivia).is_empty());
    let all = olivia.run(["proposal", "list", "--all"]).succeeds();
    shows(
        &all,
        &[
            "withdrawn",
            "rejected",
            "0 of 1",
            "CompromiseVersion",
            "lab/object/1",
        ],
    );
    olivia
        .run(["proposal", "show", "p000000000"])
        .fails(5)
        .saying("proposals/p000000000");
    olivia.run(["proposal", "show", "No Proposal"]).fails(2);
}

#[test]
fn steps_of_an_inventory_that_others_must_agree_to_wait_together() {
    let kms = production();
    let steward = kms.cli("stella");
    write(&kms, "small.yaml", SMALL_INVENTORY);
    let apply = ["inventory", "apply", "-f", "small.yaml"];
    steward
        .run(apply)
        .fails(WAITS)
        .saying("10 of 12 steps are done, 2 wait for others");
    assert_eq!(waiting(&steward).len(), 2);
    approve_all(&kms, "carl");
    let done = steward.run(apply).succeeds();
    shows(&done, &["2 steps taken, 10 as declared before"]);
    assert!(waiting(&steward).is_empty());
    shows(&steward.run(apply).succeeds(), &["nothing to do"]);
}

/// The wrapped material is in nobody's record: what is agreed to is its digest, and the same import
/// is sent again.
#[test]
fn an_import_is_agreed_to_and_sent_again() {
    // SoftHSM has only the OAEP that production refuses: a development deployment whose policy asks
    // for approvals all the same.
    let policy = tempfile::tempdir().unwrap();
    shipped_policy(policy.path(), |text| {
        text.replace("context.environment == \"development\" || ", "")
    });
    let builder = Deployment::emc2().bindings(PEOPLE);
    let kms = builder.policy(policy.path()).start();
    let steward = kms.cli("stella");
    let space = ["space", "create", "lab", "--kind", "project"];
    steward.run(space).succeeds();
    for (key, how) in [
        ("lab/import", &["--class", "import-wrapping"][..]),
        (
            "lab/partner",
            &["--class", "data-at-rest", "--origin", "external"],
        ),
    ] {
        let create = ["key", "create", key];
        steward.run(create.iter().chain(how)).succeeds();
    }
    let wrapped = partner::wrap(&kms, "stella", "lab/partner", "lab/import", &[7; 32]);
    let submit = || partner::submit(&kms, "stella", "lab/partner", &wrapped);
    submit().fails(WAITS).saying("the same command again");
    let [name] = waiting(&kms.cli("carl")).try_into().unwrap();
    let shown = kms.cli("carl").run(["proposal", "show", &name]).succeeds();
    shows(
        &shown,
        &["ImportKey", "lab/partner", "wrapped: ", "token expires: 20"],
    );
    approve_all(&kms, "carl");
    steward
        .run(["proposal", "execute", &name])
        .fails(3)
        .saying("send the same import again");
    // Other material is another import, to which nobody agreed.
    let other = partner::wrap(&kms, "stella", "lab/partner", "lab/import", &[8; 32]);
    partner::submit(&kms, "stella", "lab/partner", &other).fails(WAITS);
    shows(&submit().succeeds(), &["lab/keys/partner/versions/1"]);
}
