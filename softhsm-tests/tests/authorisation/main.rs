//! Who may do what, asked through the door that everybody uses: default deny, one space apart
//! from another, nothing learned from a refusal, and what needs approvals waits in production.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod attempt;
mod every_call;

use std::{collections::BTreeSet, fmt::Write as _};

use attempt::{ATTEMPTS, compromise, create_edge};
use kms_proto::v1;
use serde_json::Value;
use softhsm_tests::{
    Deployment, Finished,
    gateway::{Gateway, reason},
};
use tonic::Status;
use tonic_types::StatusExt as _;

/// Everybody who asks: somebody of each role, services of two spaces, and a certificate that is
/// bound to nothing.
const CALLERS: [&str; 12] = [
    "stella",
    "olivia",
    "carl",
    "hugo",
    "ada",
    "lyon-ingest",
    "lyon-etl",
    "warehouse-etl",
    "warehouse-report",
    "link-pseudonymiser",
    "project-01-pseudonymiser",
    "nobody",
];

/// Who may what. Stella is a steward, Olivia an operator, Carl a custodian, Hugo an HSM officer,
/// Ada an auditor; the services are named by their spaces and roles.
const GRANTED: &str = "\
encrypt in ingest-lyon: lyon-ingest lyon-etl
encrypt in warehouse: warehouse-etl
decrypt in ingest-lyon: lyon-etl
decrypt in warehouse: warehouse-etl warehouse-report
re-encrypt in warehouse: olivia warehouse-etl
see a data key in ingest-lyon: lyon-ingest lyon-etl
have a data key in warehouse: warehouse-etl
import into ingest-lyon: stella lyon-ingest
pseudonymise into warehouse: link-pseudonymiser
pseudonymise into project-01: project-01-pseudonymiser
create a space: stella
create a domain: stella
create an edge: stella
create a key: stella olivia
change a key's title: stella olivia
rotate a key: olivia
activate a version: olivia
suspend a version: olivia carl hugo
resume a version: olivia
deactivate a version: olivia
declare a version compromised: olivia hugo
read a key: stella olivia carl ada
read a domain: stella olivia carl ada
list the keys of all spaces: stella olivia carl ada
list the keys of warehouse: stella olivia carl ada
read one's own records: stella olivia carl hugo ada lyon-ingest lyon-etl warehouse-etl warehouse-report link-pseudonymiser project-01-pseudonymiser
read the HSM's state: hugo ada
attest a destruction in warehouse: stella olivia carl ada
declare a backup of the token: hugo
list the backups of the token: hugo ada
list the destinations: hugo ada
export a key: olivia
have random bytes: lyon-ingest lyon-etl warehouse-etl warehouse-report link-pseudonymiser project-01-pseudonymiser
read what this deployment is: stella olivia carl hugo ada lyon-ingest lyon-etl warehouse-etl warehouse-report link-pseudonymiser project-01-pseudonymiser
";

#[test]
fn each_role_may_what_it_is_for_and_nothing_else() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    kms.issue("person/nobody");
    let before = inventory(&mut kms);

    let mut granted = String::new();
    let mut refused = [0; CALLERS.len()];
    let callers = CALLERS.map(|id| Gateway::connect(&mut kms, id));
    for (attempt, ask) in ATTEMPTS {
        write!(granted, "{attempt}:").unwrap();
        for ((id, by), refused) in CALLERS.iter().zip(&callers).zip(&mut refused) {
            match ask(by) {
                Ok(()) => write!(granted, " {id}").unwrap(),
                Err(status) if passed(&status) => write!(granted, " {id}").unwrap(),
                Err(status) => {
                    assert_eq!(reason(&status), "REFUSED", "{id}, {attempt}: {status:?}");
                    assert_eq!(status.code(), tonic::Code::PermissionDenied);
                    assert!(
                        *id != "nobody" || status.message().contains("no role"),
                        "{status:?}"
                    );
                    *refused += 1;
                }
            }
        }
        granted.push('\n');
    }
    assert_eq!(granted, GRANTED);
    assert_eq!(inventory(&mut kms), before, "something was changed");

    // Every refusal has its record, under the name of who was refused.
    let records = Gateway::connect(&mut kms, "ada")
        .records(v1::Log::Uses)
        .unwrap();
    for (id, refused) in CALLERS.iter().zip(refused) {
        let recorded = records
            .iter()
            .filter(|record| is_by(record, id) && record["status_code"] == "REFUSED");
        assert_eq!(recorded.count(), refused, "{id}");
    }

    nothing_is_learned_from_a_refusal(&mut kms);
    records_are_shown_to_whom_they_concern(&mut kms);
    in_development_nobody_has_to_approve(&mut kms);
}

/// It went past the policy, and failed for what it asked.
fn passed(status: &Status) -> bool {
    matches!(
        reason(status).as_str(),
        "INVALID" | "NOT_FOUND" | "CONFLICT"
    )
}

/// Everything that the inventory shows, and every version.
fn inventory(kms: &mut Deployment) -> (String, Vec<v1::KeyVersion>) {
    let versions = Gateway::connect(kms, "olivia").versions("spaces/-/keys/-");
    let exported = kms.cli("stella").run(["inventory", "export"]).succeeds();
    (exported.text(), versions.unwrap())
}

/// Whoever may not list cannot tell what is not there from what is not theirs.
fn nothing_is_learned_from_a_refusal(kms: &mut Deployment) {
    let etl = Gateway::connect(kms, "lyon-etl");
    let sealed = etl
        .encrypt("spaces/ingest-lyon/keys/object", b"x", &[])
        .unwrap();
    let decrypt = |key: &str| {
        let status = etl.decrypt(key, &sealed, &[]).unwrap_err();
        told(&status, key)
    };
    let pseudonymise = |edge: &str| {
        let status = etl.pseudonymise(edge, &["SYNTHETIC-1"]).unwrap_err();
        told(&status, edge)
    };
    let versions = |key: &str| told(&etl.versions(key).unwrap_err(), key);
    for (there, absent) in [
        ("spaces/warehouse/keys/object", "spaces/warehouse/keys/none"),
        ("spaces/warehouse/keys/object", "spaces/nowhere/keys/object"),
        // The class of a key is nobody's business either.
        (
            "spaces/warehouse/keys/edge-link",
            "spaces/warehouse/keys/none",
        ),
        ("spaces/kms/keys/import-token", "spaces/kms/keys/none"),
    ] {
        assert_eq!(decrypt(there), decrypt(absent));
        assert_eq!(versions(there), versions(absent));
    }
    assert_eq!(
        pseudonymise("spaces/warehouse/edges/link"),
        pseudonymise("spaces/warehouse/edges/none")
    );

    // Who may list is told.
    let operator = Gateway::connect(kms, "olivia");
    let status = operator.rotate("spaces/warehouse/keys/none", "");
    assert_eq!(reason(&status.unwrap_err()), "NOT_FOUND");
}

/// All that a caller is told, but for the name that it asked with and the number of its call.
fn told(status: &Status, name: &str) -> (tonic::Code, String, String) {
    let details = status.get_error_details();
    let details = format!("{:?}", (details.error_info(), details.bad_request()));
    let [message, details] =
        [status.message(), details.as_str()].map(|text| text.replace(name, "NAME"));
    (status.code(), message, details)
}

/// The auditor sees all records, a steward those of the spaces, everybody else what they did.
fn records_are_shown_to_whom_they_concern(kms: &mut Deployment) {
    let actors = |id: &str, kms: &mut Deployment| -> BTreeSet<String> {
        let by = Gateway::connect(kms, id);
        [v1::Log::Uses, v1::Log::Changes]
            .into_iter()
            .flat_map(|log| by.records(log).unwrap())
            .map(|record| record["actor"]["user"]["uid"].as_str().unwrap().to_owned())
            .collect()
    };
    let me = "spiffe://dev.emc2.example/service/lyon-etl";
    assert_eq!(actors("lyon-etl", kms), BTreeSet::from([me.to_owned()]));
    let all = actors("ada", kms);
    assert!(all.len() >= CALLERS.len(), "{all:?}");
    assert!(actors("stella", kms).contains(me));

    // A log of which one sees a part is no log with gaps.
    let export = ["audit", "export", "--log", "uses", "-O"];
    let part = kms
        .cli("lyon-etl")
        .run(export.iter().chain(&["part.jsonl"]));
    part.succeeds().saying("the others are not yours to see");
    let whole = kms.cli("ada").run(export.iter().chain(&["whole.jsonl"]));
    assert!(!whole.succeeds().stderr.contains("others"));
    let verified = kms.cli("lyon-etl").run(["audit", "verify"]);
    verified.fails(3).saying("not yours to see");
    kms.cli("ada").run(["audit", "verify"]).succeeds();
}

pub(crate) fn is_by(record: &Value, id: &str) -> bool {
    let uid = record["actor"]["user"]["uid"].as_str().unwrap_or_default();
    uid.rsplit('/').next() == Some(id)
}

/// What takes approvals beside the one who asks is refused, with a sentence, until approvals can
/// be collected; everything else goes on.
#[test]
fn in_production_nothing_is_done_that_needs_approvals() {
    let mut kms = Deployment::emc2().production().start();
    let steward = kms.cli("stella");
    for space in [["warehouse", "warehouse"], ["ingest-lyon", "ingest"]] {
        let [name, kind] = space;
        steward
            .run(["space", "create", name, "--kind", kind])
            .succeeds();
    }
    steward.run(["domain", "create", "link"]).succeeds();
    let create = ["key", "create", "ingest-lyon/object"];
    let class = ["--class", "data-at-rest"];
    steward.run(create.iter().chain(&class)).succeeds();
    let before = inventory(&mut kms);

    let edge = ["edge", "create", "warehouse/link", "--code", "whlink"];
    let waits = steward.run(edge.iter().chain(&["--input", "opaque"]));
    needs_approvals(
        waits,
        "CreateEdge on spaces/warehouse/edges/link waits as proposals/",
    );
    let compromise = ["version", "compromise", "ingest-lyon/object/1"];
    let why = ["--reason", "a test", "--yes"];
    let waits = kms.cli("olivia").run(compromise.iter().chain(&why));
    needs_approvals(
        waits,
        "CompromiseVersion on ingest-lyon/object/1 waits as proposals/",
    );

    assert_eq!(inventory(&mut kms), before);
    // Each was put before the custodians, in the log that is kept.
    let records = Gateway::connect(&mut kms, "ada")
        .records(v1::Log::Changes)
        .unwrap();
    for id in ["stella", "olivia"] {
        let recorded = records.iter().filter(|record| {
            is_by(record, id)
                && record["api"]["operation"] == "Propose"
                && record["unmapped"]["kms"]["record"] == "intention"
        });
        assert_eq!(recorded.count(), 1, "{id}");
    }

    // The bleeding can be stopped by one person, in production too.
    let suspend = ["version", "suspend", "ingest-lyon/object/1"];
    let suspended = kms.cli("carl").run(suspend.iter().chain(&why[..2]));
    suspended.succeeds();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let answer = etl.encrypt("spaces/ingest-lyon/keys/object", b"x", &[]);
    assert_eq!(reason(&answer.unwrap_err()), "KEY_STATE");
}

fn needs_approvals(finished: Finished, saying: &str) {
    finished.fails(12).saying(saying);
}

/// In a deployment for development the same commands pass.
fn in_development_nobody_has_to_approve(kms: &mut Deployment) {
    let officer = Gateway::connect(kms, "hugo");
    let version = compromise(&officer, "spaces/warehouse/keys/object/versions/1").unwrap();
    assert_eq!(version.state(), v1::VersionState::Compromised);
    // What is there already is a conflict, not a refusal.
    let steward = Gateway::connect(kms, "stella");
    assert_eq!(reason(&create_edge(&steward).unwrap_err()), "CONFLICT");
}
