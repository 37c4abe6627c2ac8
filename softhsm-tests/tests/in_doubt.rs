//! A disk that does not keep what it was given: nobody knows whether the last write is there. The
//! service answers nothing more that it would have to write down, and says so to whoever watches
//! it; a restart finds out what is true, and nothing that was acknowledged is lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::{fs, path::PathBuf};

use softhsm_tests::{
    Deployment,
    channel::health_now,
    gateway::{Gateway, reason},
    wait::until,
};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

const KEY: &str = "spaces/ingest-lyon/keys/object";
const NEW: &str = "spaces/ingest-lyon/keys/new";

#[test]
fn a_log_of_uses_in_doubt() {
    let log = |kms: &Deployment| segment(kms, "uses");
    in_doubt(
        log,
        "the log takes nothing more until the server is restarted",
        |kms| {
            Gateway::connect(kms, "lyon-etl")
                .encrypt(KEY, b"text", &[])
                .map(drop)
        },
    );
}

#[test]
fn a_log_of_changes_in_doubt() {
    let log = |kms: &Deployment| segment(kms, "changes");
    in_doubt(
        log,
        "the log takes nothing more until the server is restarted",
        make,
    );
}

#[test]
fn a_store_in_doubt() {
    let store = |kms: &Deployment| kms.data().join("store/db");
    in_doubt(
        store,
        "the store is in doubt until the server is restarted",
        make,
    );
}

fn make(kms: &mut Deployment) -> Result<(), Status> {
    let request = "16fd2706-8baf-433b-82eb-8c7fada847da";
    Gateway::connect(kms, "olivia")
        .create_key(NEW, request)
        .map(drop)
}

/// From the next `fdatasync` of this file on the disk answers with an error.
fn in_doubt(
    file: fn(&Deployment) -> PathBuf,
    said: &str,
    ask: fn(&mut Deployment) -> Result<(), Status>,
) {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let sealed = Gateway::connect(&mut kms, "lyon-etl")
        .encrypt(KEY, b"before", &[])
        .unwrap();
    assert!(kms.terminate().success());
    let file = file(&kms);
    kms.restart_under(&[
        "strace",
        "-DD",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:error=EIO",
        "-P",
        file.to_str().unwrap(),
    ]);
    assert_eq!(kms.metrics().value("kms_storage_serving"), Some(1.0));
    assert_eq!(health(&mut kms), Some(ServingStatus::Serving));

    let unknown = ask(&mut kms).unwrap_err();
    assert_eq!(reason(&unknown), "UNKNOWN_OUTCOME", "{unknown:?}");
    until("the health service to say so", || {
        (health(&mut kms)? == ServingStatus::NotServing).then_some(())
    });
    assert_eq!(kms.metrics().value("kms_storage_serving"), Some(0.0));
    assert_eq!(kms.metrics().value("kms_hsm_serving"), Some(1.0));
    let log = kms.log();
    let line = log.lines().find(|line| line.contains(said));
    let line = line.unwrap_or_else(|| panic!("{said}: not in\n{log}"));
    assert!(line.contains("Input/output error"), "{line}");
    for _ in 0..3 {
        let refused = ask(&mut kms).unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    }

    kms.kill();
    kms.restart();
    assert_eq!(health(&mut kms), Some(ServingStatus::Serving));
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    assert_eq!(etl.decrypt(KEY, &sealed, &[]).unwrap(), b"before");
    ask(&mut kms).unwrap();
    make(&mut kms).unwrap();
    let versions = Gateway::connect(&mut kms, "olivia").versions(NEW).unwrap();
    assert_eq!(versions.len(), 1);
    kms.cli("ada").run(["audit", "verify"]).succeeds();
    drop(etl);
    assert!(kms.terminate().success());
    kms.doctor(&[]).succeeds();
}

fn health(kms: &mut Deployment) -> Option<ServingStatus> {
    let endpoints = kms.server().endpoints().clone();
    health_now(&endpoints, kms.identity("ada")).ok()
}

/// The segment of a log that is written.
fn segment(kms: &Deployment, log: &str) -> PathBuf {
    let mut segments: Vec<PathBuf> = fs::read_dir(kms.data().join(log))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name != "mark"))
        .collect();
    segments.sort();
    segments.pop().unwrap()
}
