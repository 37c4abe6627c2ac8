//! One person stops all use of a version, with one command: within a second, on every connection,
//! whatever is under way on it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails; it looks at the clock, because it is about a second"
)]

use kms_proto::v1::{self, key_service_client::KeyServiceClient};
use softhsm_tests::{
    Deployment,
    gateway::{Gateway, reason},
    wait::until,
};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const KEY: &str = "spaces/ingest-lyon/keys/object";
const LINK: &str = "spaces/warehouse/edges/link";
const SOON: Duration = Duration::from_secs(1);

/// Callers, each on a connection of its own.
const CALLERS: usize = 6;

#[test]
fn a_suspension_stops_every_connection_within_a_second() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    kms.budget("warehouse/link", 10_000_000);
    let operator = Gateway::connect(&mut kms, "olivia");
    let mut connect = |who: &str| -> Vec<Gateway> {
        (0..CALLERS)
            .map(|_| Gateway::connect(&mut kms, who))
            .collect()
    };
    let (etl, link) = (connect("lyon-etl"), connect("link-pseudonymiser"));
    let sealed = etl.first().unwrap().encrypt(KEY, b"a text", &[]).unwrap();
    stops(&operator, KEY, &etl, |caller| {
        caller.encrypt(KEY, b"a text", &[]).map(drop)
    });
    stops(&operator, KEY, &etl, |caller| {
        caller.decrypt(KEY, &sealed, &[]).map(drop)
    });
    let edge = "spaces/warehouse/keys/edge-link";
    let names: Vec<String> = (0..50)
        .map(|number| format!("SYNTHETIC-{number}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stops(&operator, edge, &link, |caller| {
        caller.pseudonymise(LINK, &names).map(drop)
    });
}

/// Callers use a key without a pause; it is suspended, and then nothing passes; resumed, it does.
fn stops(
    operator: &Gateway,
    key: &str,
    callers: &[Gateway],
    usage: impl Fn(&Gateway) -> Result<(), tonic::Status> + Sync,
) {
    let over = AtomicBool::new(false);
    let (passed, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let latest: Mutex<Option<Instant>> = Mutex::default();
    let version = format!("{key}/versions/1");
    let usage = &usage;
    let (over, passed, refused, latest) = (&over, &passed, &refused, &latest);
    thread::scope(|scope| {
        for caller in callers {
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    match usage(caller) {
                        Ok(()) => {
                            passed.fetch_add(1, Ordering::Relaxed);
                            *latest.lock().unwrap() = Some(Instant::now());
                        }
                        Err(status) => {
                            assert_eq!(reason(&status), "KEY_STATE", "{status:?}");
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        until("uses to pass", || {
            (passed.load(Ordering::Relaxed) >= 3 * callers.len()).then_some(())
        });
        let asked = Instant::now();
        suspend(operator, &version);
        refused.store(0, Ordering::Relaxed);
        until("every caller to be refused, again and again", || {
            (refused.load(Ordering::Relaxed) >= 20 * callers.len()).then_some(())
        });
        let late = latest.lock().unwrap().unwrap();
        let late = late.saturating_duration_since(asked);
        assert!(
            late < SOON,
            "{key} was used {late:?} after it was suspended"
        );
        over.store(true, Ordering::Relaxed);
    });
    resume(operator, &version);
    for caller in callers {
        usage(caller).unwrap();
    }
}

fn suspend(operator: &Gateway, version: &str) {
    let request = v1::SuspendVersionRequest {
        name: version.to_owned(),
        reason: "a test".into(),
        ..v1::SuspendVersionRequest::default()
    };
    operator
        .call(async |channel| {
            KeyServiceClient::new(channel)
                .suspend_version(request)
                .await
        })
        .unwrap();
}

fn resume(operator: &Gateway, version: &str) {
    let request = v1::MoveVersionRequest {
        name: version.to_owned(),
        reason: "a test".into(),
        ..v1::MoveVersionRequest::default()
    };
    operator
        .call(async |channel| KeyServiceClient::new(channel).resume_version(request).await)
        .unwrap();
}
