//! The rights of a person: followed along the edges, when others agreed, for an hour, by the one who
//! asked; and nobody learns who it is who need not.

use crate::{LINK, evaluate};
use kms_core::pseudonym::Pseudonym;
use kms_proto::v1;
use softhsm_tests::deployment::SMALL_INVENTORY;
use softhsm_tests::{Deployment, Finished, gateway::Gateway};

const PERSON: &str = "CANARY-4711";

const MORE: &str = "
spaces:
  - {name: project-02, kind: project, title: Another project}
  - {name: child, kind: outside, title: A child system}
domains:
  - {name: project, source: project-01, title: Pseudonyms of a project}
edges:
  - {target: project-02, domain: warehouse, code: p02, input: pseudonym, exportable: false}
  - {target: child, domain: project, code: child, input: pseudonym, exportable: false}
";

/// In production, with everything approved that needs it.
fn deployment() -> Deployment {
    let kms = Deployment::emc2().production().start();
    for (file, inventory) in [("small.yaml", SMALL_INVENTORY), ("more.yaml", MORE)] {
        std::fs::write(kms.directory().join(file), inventory).unwrap();
        let apply = || kms.cli("stella").run(["inventory", "apply", "-f", file]);
        // What waits for others lets the rest be applied; it is asked again behind each agreement.
        while apply().code() == Some(12) {
            agree(&kms, &["carl"]);
        }
        apply().succeeds();
    }
    kms
}

fn waiting(kms: &Deployment) -> Vec<String> {
    let listed = kms.cli("ada").run(["proposal", "list", "-o", "json"]);
    let listed = listed.succeeds().json();
    let proposals = listed["proposals"].as_array().unwrap().iter();
    let waits = proposals.filter(|p| p["state"] == "WAITING");
    waits
        .map(|p| p["name"].as_str().unwrap().to_owned())
        .collect()
}

fn agree(kms: &Deployment, custodians: &[&str]) {
    for name in waiting(kms) {
        for custodian in custodians {
            let approve = ["proposal", "approve", &name, "--reason", "seen", "--yes"];
            kms.cli(custodian).run(approve).succeeds();
        }
    }
}

fn chain(kms: &Deployment, who: &str, person: &str, ticket: &str) -> Finished {
    let asked = [
        "pseudonym",
        "chain",
        "--edge",
        "warehouse/link",
        "--reason",
        "erasure, request 42",
    ];
    let asked = asked.into_iter().chain(["--ticket", ticket, "-o", "json"]);
    kms.cli(who).run_with(asked, person.as_bytes())
}

fn steps(answer: &Finished) -> Vec<(String, String)> {
    let json = answer.json();
    let steps = json["steps"].as_array().unwrap().iter();
    let text =
        |step: &serde_json::Value, of: &str| step[of].as_str().unwrap_or_default().to_owned();
    steps
        .map(|step| (text(step, "edge"), text(step, "pseudonym")))
        .collect()
}

#[test]
fn a_person_is_followed_when_two_others_agreed_and_by_nobody_else() {
    let mut kms = deployment();
    chain(&kms, "stella", PERSON, "t1").fails(12);
    // One is not enough, and whoever agrees is not told who it is.
    agree(&kms, &["carl"]);
    let name = waiting(&kms).remove(0);
    let shown = kms
        .cli("carol")
        .run(["proposal", "show", &name])
        .succeeds()
        .text();
    assert!(
        shown.contains("ChainPerson") && shown.contains("request 42"),
        "{shown}"
    );
    assert!(!shown.contains(PERSON), "{shown}");
    chain(&kms, "stella", PERSON, "t1").fails(12);
    agree(&kms, &["carol"]);
    // Another than whom they agreed to.
    chain(&kms, "stella", "CANARY-4712", "t1").fails(12);
    let followed = chain(&kms, "stella", PERSON, "t1").succeeds();
    let found = steps(&followed);
    let edges: Vec<&str> = found.iter().map(|(edge, _)| edge.as_str()).collect();
    assert_eq!(
        edges,
        [
            LINK,
            "spaces/project-01/edges/warehouse",
            "spaces/project-02/edges/warehouse",
            "spaces/child/edges/project",
        ]
    );
    // They are the pseudonyms that everybody else has.
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    let link = evaluate(&link, LINK, std::iter::once(PERSON.to_owned())).remove(0);
    assert_eq!(found[0].1, link.to_text().unwrap());
    let code = |text: &str| Pseudonym::parse(text).unwrap().code.as_str().to_owned();
    let codes: Vec<String> = found.iter().map(|(_, text)| code(text)).collect();
    assert_eq!(codes, ["whlink", "p01", "p02", "child"]);

    // Again within the hour, also behind a crash; by nobody else, whatever they hold.
    kms.kill();
    kms.restart();
    assert_eq!(
        steps(&chain(&kms, "stella", PERSON, "t1").succeeds()),
        found
    );
    for (who, code) in [
        ("olivia", 4),
        ("hugo", 4),
        ("link-pseudonymiser", 4),
        ("carl", 4),
    ] {
        chain(&kms, who, PERSON, "t1").fails(code);
    }
    // One record each, with its edge, its versions, and no value.
    let records = Gateway::connect(&mut kms, "ada")
        .records(v1::Log::Uses)
        .unwrap();
    let records: Vec<_> = records
        .iter()
        .filter(|r| r["api"]["operation"] == "ChainPerson" && r["status_id"] == 1)
        .collect();
    assert_eq!(records.len(), 2, "{records:#?}");
    for log in [v1::Log::Uses, v1::Log::Changes] {
        let all = Gateway::connect(&mut kms, "ada").records(log).unwrap();
        let all = serde_json::to_string(&all).unwrap();
        assert!(
            !all.contains("CANARY") && !all.contains(&found[0].1),
            "a value in {log:?}"
        );
    }
    assert!(!kms.log().contains("CANARY"));
}

#[test]
fn a_development_deployment_does_without_and_says_where_nothing_is_evaluated() {
    let kms = Deployment::emc2().start();
    kms.furnish();
    let suspend = [
        "version",
        "suspend",
        "project-01/edge-warehouse/1",
        "--reason",
        "a hold",
    ];
    kms.cli("olivia").run(suspend).succeeds();
    let followed = chain(&kms, "stella", PERSON, "t1").succeeds();
    let found = steps(&followed);
    assert!(found[0].1.starts_with("h1-whlink-v1-"), "{followed}");
    assert_eq!(found[1].1, "");
    assert!(followed.text().contains("suspended"), "{followed}");
    // Its own quota: so many in a day, whoever asks.
    for number in 2..=20 {
        chain(&kms, "stella", PERSON, &format!("t{number}")).succeeds();
    }
    chain(&kms, "stella", PERSON, "t21")
        .fails(8)
        .saying("20 people");
    // What was allowed holds.
    chain(&kms, "stella", PERSON, "t20").succeeds();
}
