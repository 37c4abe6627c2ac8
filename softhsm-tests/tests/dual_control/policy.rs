//! `kms policy`: planned, applied, remembered, tested, explained.

use crate::{WAITS, approve_all, furnished, shows, waiting, write};

const CASES: &str = "\
cases:
  - {as: person/olivia, can: RotateKey, on: lab/object, expect: allowed}
  - {as: person/olivia, can: Decrypt, on: lab/object, expect: refused}
  - {as: person/hugo, can: PutPolicy, on: deployment, expect: approvals 2}
  - {as: person/carl-spare, can: Approve, on: lab, expect: allowed}
";

#[test]
fn a_policy_is_planned_agreed_to_and_in_force_at_once() {
    let kms = furnished();
    let (hugo, ada) = (kms.cli("hugo"), kms.cli("ada"));
    let shown = hugo.run(["policy", "show"]).succeeds().text();
    let shipped = softhsm_tests::program::repository().join("ops/policy/policy.cedar");
    assert!(
        shown == std::fs::read_to_string(shipped).unwrap(),
        "byte for byte"
    );
    let schema = hugo.run(["policy", "show", "--schema"]).succeeds();
    shows(&schema, &["namespace Kms"]);

    // Two approvals become one: the plan says so before anything else.
    write(&kms, "now.cedar", &shown);
    write(
        &kms,
        "weak.cedar",
        &shown.replace("context.approvals >= 2 }", "context.approvals >= 1 }"),
    );
    let plan = hugo.run(["policy", "plan", "-f", "weak.cedar"]).succeeds();
    shows(
        &plan,
        &[
            "--- in force\n+++ weak.cedar",
            "-unless { context.environment == \"development\" || context.approvals >= 2 };",
            "+unless { context.environment == \"development\" || context.approvals >= 1 };",
            "! WEAKER: person/hugo needs 1 approval instead of 2 for PruneUses, PutPolicy",
        ],
    );
    let same = hugo.run(["policy", "plan", "-f", "now.cedar"]).succeeds();
    shows(
        &same,
        &[
            "now.cedar is in force already",
            "nobody gains or loses anything",
        ],
    );
    write(
        &kms,
        "typo.cedar",
        &shown.replace(
            "resource in principal.auditor",
            "resource in principal.auditr",
        ),
    );
    for verb in [&["plan"][..], &["apply", "--reason", "x"]] {
        let mut arguments = vec!["policy"];
        arguments.extend(verb);
        arguments.extend(["-f", "typo.cedar"]);
        hugo.run(arguments).fails(3).saying("auditr");
    }

    let apply = [
        "policy",
        "apply",
        "-f",
        "weak.cedar",
        "--reason",
        "decision 7",
    ];
    hugo.run(apply)
        .fails(WAITS)
        .saying("2 more approvals are needed");
    let [name] = waiting(&hugo).try_into().unwrap();
    let asked = kms.cli("carl").run(["proposal", "show", &name]).succeeds();
    shows(
        &asked,
        &[
            "+++ proposed",
            "What that would mean",
            "! WEAKER: person/hugo needs 1 approval",
        ],
    );
    approve_all(&kms, "carl");
    hugo.run(apply)
        .fails(WAITS)
        .saying("1 more approval is needed");
    approve_all(&kms, "carol");
    shows(&hugo.run(apply).succeeds(), &["in force: policy"]);
    shows(&hugo.run(apply).succeeds(), &["nothing to do"]);

    // Who planned on what is not in force any more is told so.
    let stale = [
        "policy",
        "apply",
        "-f",
        "now.cedar",
        "--reason",
        "x",
        "--etag",
        "2",
    ];
    hugo.run(stale).fails(6).saying("changed since you read it");

    let history = ada.run(["policy", "history"]).succeeds();
    shows(
        &history,
        &["documents/policy", "founder", "person/hugo", &name],
    );
    let diff = ada.run(["policy", "history", "--diff"]).succeeds();
    shows(
        &diff,
        &[
            "carried by proposals/",
            "-unless {",
            "- principal: person/carl",
        ],
    );
    kms.cli("stella").run(["policy", "show"]).fails(4);
}

#[test]
fn a_policy_is_tested_by_cases_and_explained_by_its_lines() {
    let kms = furnished();
    let hugo = kms.cli("hugo");
    write(&kms, "cases.yaml", CASES);
    shows(
        &hugo.run(["policy", "test", "-f", "cases.yaml"]).succeeds(),
        &["all 4 cases hold"],
    );
    // A candidate that lets operators decrypt breaks one case, and is named with its line.
    let shown = hugo.run(["policy", "show"]).succeeds().text();
    let loose = format!(
        "{shown}\n@id(\"loose\") permit (principal, action == Kms::Action::\"Decrypt\", resource) \
         when {{ resource in principal.keyOperator }};\n"
    );
    write(&kms, "loose.cedar", &loose);
    let test = [
        "policy",
        "test",
        "-f",
        "cases.yaml",
        "--policy",
        "loose.cedar",
    ];
    let failed = hugo.run(test).fails(3).saying("1 of 4 cases do not hold");
    shows(
        &failed,
        &["3     person/olivia  Decrypt  lab/object  refused   allowed  loose"],
    );
    write(&kms, "cases.yaml", &CASES.replace("refused", "refusd"));
    hugo.run(test).fails(3).saying("line 3");

    let explain = |who: &str, can: &str, on: &str| {
        hugo.run(["policy", "explain", "--as", who, "--can", can, "--on", on])
            .succeeds()
    };
    shows(
        &explain("person/olivia", "RotateKey", "lab/object"),
        &[
            "allowed: person/olivia RotateKey on lab/object",
            "permitted by key-operator, line ",
            "@id(\"key-operator\")",
        ],
    );
    shows(
        &explain("person/hugo", "PutPolicy", "deployment"),
        &[
            "allowed once others agree",
            "needs  2 approvals",
            "forbidden as it is by two-approvals",
            "and then permitted by hsm-officer",
        ],
    );
    shows(
        &explain("person/carl", "Decrypt", "lab/object"),
        &[
            "refused, whoever agrees",
            "roles  key-custodian",
            "no policy permits it",
        ],
    );
    let asked = [
        "policy",
        "explain",
        "--as",
        "person/carl",
        "--can",
        "Decrypt",
        "--on",
        "deployment",
    ];
    hugo.run(asked)
        .fails(3)
        .saying("is not asked of deployment");
}
