//! In production nobody sets a quota alone, and what is agreed holds on every connection at once.

use crate::{LINK, evaluate, left, put};
use kms_proto::v1;
use softhsm_tests::{
    Deployment,
    custodian::waits,
    gateway::{Gateway, reason},
    wait::within,
};
use std::time::Duration;
use v1::space_service_client::SpaceServiceClient;

/// How soon a raised quota must reach everybody.
const SOON: Duration = Duration::from_secs(2);

fn approve(kms: &Deployment, proposal: &str) {
    let id = proposal.strip_prefix("proposals/").unwrap();
    let custodian = kms.cli("carl");
    custodian
        .run(["proposal", "approve", id, "--reason", "agreed", "--yes"])
        .succeeds();
}

#[test]
fn raising_takes_another_and_reaches_an_open_connection() {
    let mut kms = Deployment::emc2().production().start();
    let steward = kms.cli("stella");
    for arguments in [
        ["space", "create", "warehouse", "--kind", "warehouse"].as_slice(),
        &["domain", "create", "link", "--title", "Shared identifiers"],
    ] {
        steward.run(arguments).succeeds();
    }
    let stella = Gateway::connect(&mut kms, "stella");
    let edge = v1::CreateEdgeRequest {
        edge: Some(v1::Edge {
            name: LINK.to_owned(),
            code: "whlink".to_owned(),
            input: v1::InputType::Opaque.into(),
            ..v1::Edge::default()
        }),
        request_id: String::new(),
    };
    let waiting =
        stella.call(async |channel| SpaceServiceClient::new(channel).create_edge(edge).await);
    let name = waits(waiting);
    approve(&kms, &name);
    stella.execute(&name).unwrap();

    // Lowering is the same action.
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    let lowered = waits(put(&stella, "each", 20));
    assert_eq!(left(&link, "").unwrap(), 20_000, "it waits");
    // Whoever agrees sees what holds until then, and all that would no longer hold.
    let shown = stella.proposal(&lowered).unwrap();
    let limits = |field: &str| {
        let mut all = shown.differences.iter();
        let found = all.find(|d| d.field == field).expect("it is shown");
        (found.before.clone(), found.after.clone())
    };
    assert_eq!(
        limits("limits.day.items"),
        ("20000".to_owned(), "20".to_owned())
    );
    for (field, before) in [
        ("limits.month.items", "100000"),
        ("limits.year.items", "500000"),
    ] {
        assert_eq!(limits(field), (before.to_owned(), String::new()));
    }
    approve(&kms, &lowered);
    stella.execute(&lowered).unwrap();
    evaluate(&link, "all", 20).unwrap();
    assert_eq!(
        reason(&evaluate(&link, "more", 1).unwrap_err()),
        "EXHAUSTED"
    );

    let raised = waits(put(&stella, "each", 50));
    let shown = stella.proposal(&raised).unwrap();
    let change = shown
        .differences
        .iter()
        .find(|d| d.field == "limits.day.items");
    let change = change.expect("what would change is shown");
    assert_eq!(
        (change.before.as_str(), change.after.as_str()),
        ("20", "50")
    );
    let early = stella.execute(&raised).unwrap_err();
    assert_eq!(reason(&early), "APPROVAL_REQUIRED");
    assert_eq!(reason(&evaluate(&link, "yet", 1).unwrap_err()), "EXHAUSTED");
    approve(&kms, &raised);
    stella.execute(&raised).unwrap();
    let passed = within(SOON, || evaluate(&link, "again", 30).ok());
    passed.expect("within two seconds, on the connection that was open");
    assert_eq!(
        reason(&evaluate(&link, "over", 1).unwrap_err()),
        "EXHAUSTED"
    );

    // Two people agree to what is, not to what it was when they looked.
    let stale = waits(put(&stella, "each", 60));
    let fresh = waits(put(&stella, "each", 70));
    for name in [&stale, &fresh] {
        approve(&kms, name);
    }
    stella.execute(&fresh).unwrap();
    assert_eq!(reason(&stella.execute(&stale).unwrap_err()), "KEY_STATE");
    assert_eq!(left(&link, "").unwrap(), 20);
    kms.cli("ada").run(["audit", "verify"]).succeeds();
}
