//! Policy and bindings that change while everybody is connected.

use super::{NAME, OBJECT, approve, compromise, production};
use kms_proto::v1;
use softhsm_tests::{
    Deployment,
    custodian::{message, sign, waits},
    gateway::{Gateway, reason},
    program::repository,
};
use std::time::Duration;
use tonic::Status;
use v1::{
    policy_service_client::PolicyServiceClient, proposal_service_client::ProposalServiceClient,
};

/// How soon a change of the rules must reach everybody.
const SOON: Duration = Duration::from_secs(2);

fn put_bindings(by: &Gateway, bindings: Vec<v1::Binding>) -> Result<String, Status> {
    let request = v1::PutBindingsRequest {
        bindings,
        reason: "a test".to_owned(),
        request_id: String::new(),
    };
    by.call(async |channel| {
        PolicyServiceClient::new(channel)
            .put_bindings(request)
            .await
    })
    .map(|answer| answer.into_inner().etag)
}

fn put_policy(by: &Gateway, policy: &str) -> Result<String, Status> {
    let request = v1::PutPolicyRequest {
        policy: policy.to_owned(),
        reason: "a test".to_owned(),
        ..v1::PutPolicyRequest::default()
    };
    by.call(async |channel| PolicyServiceClient::new(channel).put_policy(request).await)
        .map(|answer| answer.into_inner().etag)
}

/// Nothing, for this person or service.
fn nobody(principal: &str) -> v1::Binding {
    v1::Binding {
        principal: principal.to_owned(),
        ..v1::Binding::default()
    }
}

/// Has both custodians agree, and carries it out.
fn carry_out(kms: &mut Deployment, officer: &Gateway, name: &str) {
    for id in ["carl", "carol"] {
        approve(kms, id, name).unwrap();
    }
    officer.execute(name).unwrap();
}

#[test]
fn a_role_that_is_taken_away_is_gone_on_every_connection() {
    let mut kms = production();
    let officer = Gateway::connect(&mut kms, "hugo");
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    etl.encrypt(OBJECT, b"x", &[]).unwrap();

    // Another custodian first: with fewer than two the officers would be locked out.
    let refused = put_bindings(&officer, vec![nobody("person/carol")]).unwrap_err();
    assert_eq!(reason(&refused), "INVALID");
    assert!(
        refused.message().contains("lock every officer out"),
        "{refused:?}"
    );
    let third = v1::Binding {
        principal: "person/cora".to_owned(),
        roles: vec![v1::binding::Grant {
            role: "key-custodian".to_owned(),
            ..v1::binding::Grant::default()
        }],
        ..v1::Binding::default()
    };
    let name = waits(put_bindings(&officer, vec![third]));
    carry_out(&mut kms, &officer, &name);

    // Carol watches, and has agreed to a compromise, when she and the etl lose their roles.
    let olivia = Gateway::connect(&mut kms, "olivia");
    let agreed = waits(compromise(&olivia, 1));
    approve(&mut kms, "carol", &agreed).unwrap();
    let carol = Gateway::connect(&mut kms, "carol");
    let mut watched = carol
        .call(async |channel| {
            ProposalServiceClient::new(channel)
                .watch_proposals(v1::WatchProposalsRequest::default())
                .await
        })
        .unwrap()
        .into_inner();
    let first = carol.call(async |_| watched.message().await).unwrap();
    assert!(first.is_some(), "she sees what there is");
    let gone = vec![nobody("person/carol"), nobody("service/lyon-etl")];
    let name = waits(put_bindings(&officer, gone));
    for id in ["carl", "carol"] {
        approve(&mut kms, id, &name).unwrap();
    }
    // What the policy said of a use is remembered for a second; the very next call is refused.
    etl.encrypt(OBJECT, b"x", &[]).unwrap();
    officer.execute(&name).unwrap();
    let refused = etl.encrypt(OBJECT, b"x", &[]).unwrap_err();
    assert_eq!(reason(&refused), "REFUSED");
    let ended = carol.call(async |_| {
        tokio::time::timeout(SOON, async {
            loop {
                match watched.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("a stream ends with its reason"),
                    Err(status) => return status,
                }
            }
        })
        .await
    });
    assert_eq!(
        reason(&ended.expect("the stream ends within two seconds")),
        "REFUSED"
    );

    // What she agreed to counts no more.
    let still = olivia.execute(&agreed).unwrap_err();
    assert_eq!(reason(&still), "APPROVAL_REQUIRED");
    assert!(still.message().contains("0 of 1"), "{still:?}");
    approve(&mut kms, "carl", &agreed).unwrap();
    olivia.execute(&agreed).unwrap();
}

#[test]
fn a_policy_that_cannot_be_lived_with_leaves_the_old_one() {
    let mut kms = production();
    let officer = Gateway::connect(&mut kms, "hugo");
    let shipped = std::fs::read_to_string(repository().join("ops/policy/policy.cedar")).unwrap();
    for (what, policy, why) in [
        (
            "a syntax error",
            format!("{shipped}permit (principal"),
            "does not parse",
        ),
        (
            "an attribute that is not there",
            shipped.replace("principal.hsmOfficer", "principal.hsmOficer"),
            "hsmOficer",
        ),
        (
            "nothing",
            "// nothing\n".to_owned(),
            "lock every officer out",
        ),
        (
            "an officer who approves",
            format!(
                "{shipped}\n@id(\"more\") permit (principal, action == Kms::Action::\"Approve\", \
                 resource) when {{ resource in principal.hsmOfficer }};"
            ),
            "whoever approves must not ask",
        ),
    ] {
        let refused = put_policy(&officer, &policy).unwrap_err();
        assert_eq!(reason(&refused), "INVALID", "{what}: {refused:?}");
        assert!(refused.message().contains(why), "{what}: {refused:?}");
    }
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    etl.encrypt(OBJECT, b"x", &[]).unwrap();

    // One that can is effective at once, on connections that were open before, and after a restart.
    let narrower = format!(
        "{shipped}\n@id(\"night\") @advice(\"come back in the morning\") forbid (principal, action \
         == Kms::Action::\"Encrypt\", resource);"
    );
    let name = waits(put_policy(&officer, &narrower));
    let shown = officer.proposal(&name).unwrap();
    assert!(shown.differences.iter().any(|d| d.after.contains("night")));
    for id in ["carl", "carol"] {
        approve(&mut kms, id, &name).unwrap();
    }
    etl.encrypt(OBJECT, b"x", &[]).unwrap();
    officer.execute(&name).unwrap();
    let refused = etl.encrypt(OBJECT, b"x", &[]).unwrap_err();
    assert_eq!(refused.message(), "come back in the morning");
    kms.kill();
    kms.restart();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    assert_eq!(
        reason(&etl.encrypt(OBJECT, b"x", &[]).unwrap_err()),
        "REFUSED"
    );
}

#[test]
fn a_deployment_does_not_begin_with_a_broken_policy() {
    let directory = tempfile::tempdir().unwrap();
    let policy = repository().join("ops/policy");
    for file in ["schema.cedarschema", "policy.cedar"] {
        std::fs::copy(policy.join(file), directory.path().join(file)).unwrap();
    }
    let file = directory.path().join("policy.cedar");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("permit (", "permit ((", 1)).unwrap();
    let kms = Deployment::emc2().policy(directory.path()).prepare();
    let refused = kms.init();
    assert_eq!(refused.code(), Some(1), "{refused}");
    refused
        .saying("policy.cedar")
        .saying("does not parse")
        .saying("line");
}

/// A custodian who signs for what she was not shown signs for nothing.
#[test]
fn a_signature_is_over_what_is_stored() {
    let mut kms = production();
    let olivia = Gateway::connect(&mut kms, "olivia");
    let name = waits(compromise(&olivia, 1));
    let carl = Gateway::connect(&mut kms, "carl");
    let mut shown = carl.proposal(&name).unwrap();
    shown.expire_millis += 1;
    let signature = sign(kms.identity("carl"), &message(NAME, "person/carl", &shown));
    assert_eq!(
        reason(&carl.approve(&name, signature).unwrap_err()),
        "INVALID"
    );
}
