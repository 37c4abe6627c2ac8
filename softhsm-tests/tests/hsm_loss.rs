//! The token goes away under load and comes back: meanwhile fast UNAVAILABLE and NOT_SERVING,
//! never a wrong answer; afterwards everything goes on by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use kms_proto::v1::{
    self, crypto_service_client::CryptoServiceClient, key_service_client::KeyServiceClient,
};
use softhsm_tests::{
    Deployment,
    channel::health_now,
    gateway::{Gateway, reason},
    scaled,
    wait::until,
};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

const KEY: &str = "spaces/ingest-lyon/keys/object";
const VERSION: &str = "spaces/ingest-lyon/keys/backup/versions/1";
const LINK: &str = "spaces/warehouse/edges/link";

#[test]
fn a_token_that_goes_away_is_said_so_at_once_and_taken_up_again() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    let sealed = etl.encrypt(KEY, b"before", &[]).unwrap();
    let pseudonym = link.pseudonymise(LINK, &["SYNTHETIC-1"]).unwrap();

    let mut acknowledged = 1;
    for round in 0..scaled(20) {
        acknowledged += outage(&mut kms, &sealed, round);
        assert_eq!(etl.decrypt(KEY, &sealed, &[]).unwrap(), b"before");
        assert_eq!(
            link.pseudonymise(LINK, &["SYNTHETIC-1"]).unwrap(),
            pseudonym
        );
    }

    let records = Gateway::connect(&mut kms, "ada")
        .records(v1::Log::Uses)
        .unwrap();
    let recorded = records
        .iter()
        .filter(|record| record["api"]["operation"] == "Encrypt" && record["status_id"] == 1);
    assert_eq!(recorded.count(), acknowledged);
    kms.cli("ada").run(["audit", "verify"]).succeeds();
    drop((etl, link));
    assert!(kms.terminate().success());
    only_orphans_are_left(&kms);
}

/// A key that the token made, and could not be told to destroy when it went away, is an orphan:
/// promised to nobody. Nothing else is amiss.
fn only_orphans_are_left(kms: &Deployment) {
    let found = kms.doctor(&[]);
    let orphans: Vec<String> = found
        .text()
        .lines()
        .filter_map(|line| {
            line.rsplit_once("--destroy-orphan ")
                .map(|(_, id)| id.to_owned())
        })
        .collect();
    let expected = if orphans.is_empty() { 0 } else { 2 };
    assert_eq!(found.code(), Some(expected), "{found}");
    for other in ["MISSING", "WRONG"] {
        assert!(!found.text().contains(other), "{found}");
    }
    for orphan in orphans {
        kms.doctor(&["--destroy-orphan", &orphan]);
    }
    kms.doctor(&[]).succeeds();
}

/// One outage under load; returns how many encryptions were acknowledged.
fn outage(kms: &mut Deployment, sealed: &[u8], round: usize) -> usize {
    // In every other round a change is under way when the token goes. Either way what needs no
    // token can be changed meanwhile.
    let cut_off = round % 2 == 1;
    let (answers, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let writers = [0; 2].map(|_| Gateway::connect(kms, "lyon-etl"));
    let reader = Gateway::connect(kms, "lyon-etl");
    let operator = Gateway::connect(kms, "olivia");
    thread::scope(|scope| {
        // Also when the test fails: whoever waits for a condition must not wait for ever.
        let end = Stop(&stop);
        let maker = cut_off.then(|| scope.spawn(|| makes_keys(&operator, round)));
        let workers = writers.each_ref().map(|etl| {
            scope.spawn(|| {
                let mut done = 0;
                while !stop.load(Ordering::Relaxed) {
                    match etl.encrypt(KEY, b"meanwhile", &[]) {
                        Ok(_) => done += 1,
                        Err(status) => is_unavailable(&status),
                    }
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                done
            })
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // A ciphertext that is whole is never called anything else.
                match reader.decrypt(KEY, sealed, &[]) {
                    Ok(plaintext) => assert_eq!(plaintext, b"before"),
                    Err(status) => is_unavailable(&status),
                }
            }
        });
        until("load", || {
            (answers.load(Ordering::Relaxed) > 20).then_some(())
        });
        let (here, away) = (kms.token().objects(), kms.directory().join("away"));
        fs::rename(&here, &away).unwrap();
        health(kms, ServingStatus::NotServing);
        while_it_is_away(kms);
        suspensions_go_through(kms);
        fs::rename(&away, &here).unwrap();
        health(kms, ServingStatus::Serving);
        drop(end);
        if let Some(maker) = maker {
            let (name, request) = maker.join().unwrap();
            until("the change that was cut off to be settled", || {
                operator.create_key(&name, &request).ok()
            });
            assert_eq!(operator.versions(&name).unwrap().len(), 1, "{name}");
        }
        workers.map(|worker| worker.join().unwrap()).iter().sum()
    })
}

/// Makes keys until one is not made, or nobody knows whether it was; returns its name and the id
/// of the request.
fn makes_keys(operator: &Gateway, round: usize) -> (String, String) {
    for number in 0.. {
        let name = format!("spaces/ingest-lyon/keys/made-{round}-{number}");
        let request = uuid::Uuid::new_v4().to_string();
        if let Err(status) = operator.create_key(&name, &request) {
            assert!(
                matches!(reason(&status).as_str(), "UNAVAILABLE" | "UNKNOWN_OUTCOME"),
                "{status:?}"
            );
            return (name, request);
        }
    }
    unreachable!("numbers do not end")
}

/// What needs the token is refused at once, what does not goes on.
fn while_it_is_away(kms: &mut Deployment) {
    let etl = Gateway::connect(kms, "lyon-etl");
    let link = Gateway::connect(kms, "link-pseudonymiser");
    let operator = Gateway::connect(kms, "olivia");
    // Each answer comes long before a deadline that a service which waits would miss.
    let soon = |message| {
        let mut request = tonic::Request::new(message);
        request.set_timeout(Duration::from_secs(2));
        request
    };
    for _ in 0..10 {
        let request = v1::EncryptRequest {
            name: KEY.into(),
            plaintext: b"away".into(),
            ..v1::EncryptRequest::default()
        };
        let answer = etl.call(async |channel| {
            CryptoServiceClient::new(channel)
                .encrypt(soon(request))
                .await
        });
        is_unavailable(&answer.unwrap_err());
    }
    is_unavailable(&link.pseudonymise(LINK, &["SYNTHETIC-2"]).unwrap_err());
    let name = "spaces/ingest-lyon/keys/never";
    is_unavailable(&operator.create_key(name, "").unwrap_err());
    is_unavailable(&operator.rotate(KEY, "").unwrap_err());
    assert_eq!(kms.metrics().value("kms_hsm_serving"), Some(0.0));

    assert_eq!(operator.versions(KEY).unwrap().len(), 1);
    let hsm = kms.cli("hugo").run(["hsm", "show"]).succeeds().text();
    assert!(hsm.contains("tried again by itself"), "{hsm}");
}

/// The bleeding can be stopped without the token; and what cannot be done leaves nothing in the log
/// of changes, which is kept for ever.
fn suspensions_go_through(kms: &mut Deployment) {
    let operator = Gateway::connect(kms, "olivia");
    let auditor = Gateway::connect(kms, "ada");
    // What was under way when the token went may get its outcome here: it is given up.
    let begun = |record: &&serde_json::Value| record["unmapped"]["kms"]["record"] == "intention";
    let changes = || {
        let records = auditor.records(v1::Log::Changes).unwrap();
        records.iter().filter(begun).count()
    };
    let before = changes();
    is_unavailable(&operator.rotate(KEY, "").unwrap_err());
    assert_eq!(changes(), before);
    operator.call(async |channel| {
        let mut keys = KeyServiceClient::new(channel);
        let suspend = v1::SuspendVersionRequest {
            name: VERSION.into(),
            reason: "a test".into(),
            ..v1::SuspendVersionRequest::default()
        };
        keys.suspend_version(suspend).await.unwrap();
        let resume = v1::MoveVersionRequest {
            name: VERSION.into(),
            reason: "a test".into(),
            ..v1::MoveVersionRequest::default()
        };
        keys.resume_version(resume).await.unwrap();
    });
    assert_eq!(changes(), before + 2);
    kms.cli("ada").run(["audit", "verify"]).succeeds();
}

/// Tells the callers to stop when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn health(kms: &mut Deployment, status: ServingStatus) {
    let (endpoints, anybody) = (
        kms.server().endpoints().clone(),
        kms.identity("ada").clone(),
    );
    until(status.as_str_name(), || {
        (health_now(&endpoints, &anybody).ok()? == status).then_some(())
    });
}

#[track_caller]
fn is_unavailable(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(reason(status), "UNAVAILABLE", "{status:?}");
}
