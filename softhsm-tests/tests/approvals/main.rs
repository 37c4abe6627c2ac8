//! Dual control on a real server in production: what one person alone, a replayed signature, a
//! second card, a changed key, a race, a lost role or a killed server can do about it. Nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod rules;

use kms_proto::v1;
use softhsm_tests::{
    Deployment, Identity,
    custodian::{message, sign, waits},
    gateway::{Gateway, reason},
};
use tonic::Status;
use v1::key_service_client::KeyServiceClient;

/// EMC2's people, of whom Olivia has a spare card.
pub(crate) fn bindings() -> String {
    let emc2 = softhsm_tests::program::repository().join("ops/emc2/bindings.yaml");
    let text = std::fs::read_to_string(emc2).unwrap();
    let olivia = "  - principal: person/olivia\n";
    assert!(text.contains(olivia));
    text.replace(
        olivia,
        "  - principal: person/olivia\n    aliases: [person/olivia-spare]\n",
    )
}

pub(crate) const OBJECT: &str = "spaces/ingest-lyon/keys/object";

/// A production deployment with one key, and cards for everybody.
pub(crate) fn production() -> Deployment {
    let mut kms = Deployment::emc2()
        .bindings(&bindings())
        .production()
        .start();
    kms.issue("person/stranger");
    let steward = kms.cli("stella");
    let create = ["space", "create", "ingest-lyon", "--kind", "ingest"];
    steward.run(create).succeeds();
    Gateway::connect(&mut kms, "stella")
        .create_key(OBJECT, "")
        .unwrap();
    kms
}

pub(crate) fn compromise(by: &Gateway, number: u32) -> Result<v1::KeyVersion, Status> {
    let request = v1::MoveVersionRequest {
        name: format!("{OBJECT}/versions/{number}"),
        reason: "a laptop was lost".to_owned(),
        ..v1::MoveVersionRequest::default()
    };
    by.call(async |channel| {
        KeyServiceClient::new(channel)
            .compromise_version(request)
            .await
    })
    .map(tonic::Response::into_inner)
}

pub(crate) fn state(by: &Gateway, number: usize) -> v1::VersionState {
    by.versions(OBJECT).unwrap()[number - 1].state()
}

/// The name of the deployment, which is under every signature.
pub(crate) const NAME: &str = "emc2-dev";

/// Approves as a custodian does.
pub(crate) fn approve(kms: &mut Deployment, id: &str, name: &str) -> Result<v1::Proposal, Status> {
    let custodian = Gateway::connect(kms, id);
    let shown = custodian.proposal(name)?;
    let signature = signed(kms.identity(id), &format!("person/{id}"), &shown);
    custodian.approve(name, signature)
}

fn signed(identity: &Identity, custodian: &str, shown: &v1::Proposal) -> Vec<u8> {
    sign(identity, &message(NAME, custodian, shown))
}

#[test]
fn one_asks_another_agrees_and_nobody_gets_around_it() {
    let mut kms = production();
    let olivia = Gateway::connect(&mut kms, "olivia");
    let name = waits(compromise(&olivia, 1));
    assert_eq!(
        waits(compromise(&olivia, 1)),
        name,
        "asked again, it waits there"
    );
    let shown = olivia.proposal(&name).unwrap();
    assert_eq!((shown.approvals_needed, shown.approvals.len()), (1, 0));
    let change = shown
        .differences
        .iter()
        .find(|d| d.field == "state")
        .expect("what would happen is shown");
    assert_eq!(
        (change.before.as_str(), change.after.as_str()),
        ("active", "compromised")
    );

    // One's own, with either card; and who may not see it does not learn that it is there.
    for (card, is) in [
        ("olivia", "person/olivia"),
        ("olivia-spare", "person/olivia"),
    ] {
        let own = Gateway::connect(&mut kms, card);
        let refused = own.approve(&name, signed(kms.identity(card), is, &shown));
        assert_eq!(reason(&refused.unwrap_err()), "REFUSED", "{card}");
    }
    let hugo = Gateway::connect(&mut kms, "hugo");
    assert_eq!(reason(&hugo.proposal(&name).unwrap_err()), "NOT_FOUND");
    let early = olivia.execute(&name).unwrap_err();
    assert_eq!(reason(&early), "APPROVAL_REQUIRED");

    // Another's signature, a signature under other terms, a signature under this proposal of
    // another's key.
    let carl = Gateway::connect(&mut kms, "carl");
    let [of_carl, of_carol] = ["carl", "carol"].map(|id| kms.identity(id).clone());
    let mut changed = shown.clone();
    changed.command = changed.command.replace("/versions/1", "/versions/2");
    for (what, forged) in [
        ("carol's", signed(&of_carol, "person/carl", &shown)),
        (
            "carl's in carol's name",
            signed(&of_carl, "person/carol", &shown),
        ),
        (
            "of a changed proposal",
            signed(&of_carl, "person/carl", &changed),
        ),
        (
            "of another deployment",
            sign(&of_carl, &message("emc2", "person/carl", &shown)),
        ),
        ("none", vec![]),
    ] {
        let refused = carl.approve(&name, forged).unwrap_err();
        assert_eq!(reason(&refused), "INVALID", "{what}: {refused:?}");
    }

    // A right one; replayed by its owner and by another.
    let right = signed(&of_carl, "person/carl", &shown);
    carl.approve(&name, right.clone()).unwrap();
    assert_eq!(
        reason(&carl.approve(&name, right.clone()).unwrap_err()),
        "CONFLICT"
    );
    let carol = Gateway::connect(&mut kms, "carol");
    assert_eq!(reason(&carol.approve(&name, right).unwrap_err()), "INVALID");

    // Whoever did not ask does not carry it out. The server dies; what was agreed is there.
    assert_eq!(reason(&hugo.execute(&name).unwrap_err()), "REFUSED");
    kms.kill();
    kms.restart();
    let olivia = Gateway::connect(&mut kms, "olivia");
    assert_eq!(state(&olivia, 1), v1::VersionState::Active);

    // Eight at once, with both cards: one of them carries it out.
    let racers: Vec<Gateway> = (0..8)
        .map(|at| Gateway::connect(&mut kms, ["olivia", "olivia-spare"][at % 2]))
        .collect();
    let done: Vec<Result<_, Status>> = std::thread::scope(|scope| {
        let asked = racers
            .iter()
            .map(|racer| scope.spawn(|| racer.execute(&name)));
        let asked: Vec<_> = asked.collect();
        asked.into_iter().map(|a| a.join().unwrap()).collect()
    });
    let (carried, late): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
    assert_eq!(carried.len(), 1, "{late:?}");
    for late in late {
        assert_eq!(reason(&late.unwrap_err()), "KEY_STATE");
    }
    assert_eq!(state(&olivia, 1), v1::VersionState::Compromised);
    let over = olivia.proposal(&name).unwrap();
    assert_eq!(over.state(), v1::ProposalState::Executed);
    assert_eq!(over.approvals[0].custodian, "person/carl");

    // The log says who asked, who agreed and what came of it, and verifies.
    let auditor = kms.cli("ada");
    auditor.run(["audit", "verify"]).succeeds();
    let records = Gateway::connect(&mut kms, "ada").records(v1::Log::Changes);
    let carried: Vec<_> = records
        .unwrap()
        .into_iter()
        .filter(|r| r["unmapped"]["kms"]["proposal"] == name.as_str())
        .collect();
    assert_eq!(carried.len(), 1);
    assert_eq!(carried[0]["api"]["operation"], "CompromiseVersion");
    assert!(kms.terminate().success());
    kms.restart();
}

#[test]
fn what_was_agreed_to_is_not_what_is_there_any_more() {
    let mut kms = production();
    let olivia = Gateway::connect(&mut kms, "olivia");
    let name = waits(compromise(&olivia, 1));
    approve(&mut kms, "carl", &name).unwrap();
    olivia.rotate(OBJECT, "").unwrap();
    let overtaken = olivia.execute(&name).unwrap_err();
    assert_eq!(reason(&overtaken), "KEY_STATE", "{overtaken:?}");
    assert!(
        overtaken.message().contains("was changed since"),
        "{overtaken:?}"
    );
    let shown = olivia.proposal(&name).unwrap();
    assert_eq!(shown.state(), v1::ProposalState::Overtaken);
    let late = approve(&mut kms, "carol", &name).unwrap_err();
    assert_eq!(reason(&late), "KEY_STATE");
    // The same command today is another proposal, to which nobody has agreed yet.
    let anew = waits(compromise(&olivia, 1));
    assert_ne!(anew, name);
    assert_eq!(olivia.proposal(&anew).unwrap().approvals.len(), 0);

    // Turned down is turned down, for all.
    let request = v1::EndProposalRequest {
        name: anew.clone(),
        reason: "not without the incident's number".to_owned(),
        request_id: String::new(),
    };
    let carol = Gateway::connect(&mut kms, "carol");
    carol
        .call(async |channel| {
            v1::proposal_service_client::ProposalServiceClient::new(channel)
                .reject_proposal(request)
                .await
        })
        .unwrap();
    assert_eq!(
        reason(&approve(&mut kms, "carl", &anew).unwrap_err()),
        "KEY_STATE"
    );
    assert_eq!(reason(&olivia.execute(&anew).unwrap_err()), "KEY_STATE");
    assert_eq!(state(&olivia, 1), v1::VersionState::Deactivated);
}
