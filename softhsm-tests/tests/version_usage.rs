//! How versions were used, asked of a real server that is killed again and again: the numbers are
//! those of the uses log, and whoever may not see the inventory sees none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use kms_proto::v1::{self, crypto_service_client::CryptoServiceClient};
use serde_json::Value;
use softhsm_tests::{Deployment, gateway::Gateway, gateway::reason, scaled, wait::until};
use uuid::Uuid;

const KEY: &str = "spaces/ingest-lyon/keys/object";

/// Protected and processed, by principal and in all.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    protected: i64,
    processed: i64,
    users: BTreeMap<String, i64>,
}

/// As the records tell it.
fn logged(records: &[Value], version: &str) -> Counted {
    let mut counted = Counted::default();
    for record in records {
        let who = record["actor"]["user"]["uid"].as_str().unwrap();
        let (_, who) = who.split_once("//").unwrap().1.split_once('/').unwrap();
        let used = record["unmapped"]["kms"]["versions"].as_array();
        for used in used.into_iter().flatten() {
            if used["name"] == version {
                let count = |name: &str| used.get(name).map_or(0, |n| n.as_i64().unwrap());
                let (protected, processed) = (count("protected"), count("processed"));
                counted.protected += protected;
                counted.processed += processed;
                *counted.users.entry(who.to_owned()).or_default() += protected + processed;
            }
        }
    }
    counted
}

fn told(usage: &v1::VersionUsage) -> Counted {
    let user = |user: &v1::VersionUser| (user.principal.clone(), user.count);
    Counted {
        protected: usage.protected,
        processed: usage.processed,
        users: usage.users.iter().map(user).collect(),
    }
}

/// Encrypts, decrypts and moves batches until the server is gone.
fn works(etl: &Gateway, answers: &AtomicUsize) {
    let done = || answers.fetch_add(1, Ordering::Relaxed);
    let item = |ciphertext: &Vec<u8>| v1::batch_re_encrypt_request::Item {
        ciphertext: ciphertext.clone(),
        context: BTreeMap::new(),
    };
    while let Ok(ciphertext) = etl.encrypt(KEY, b"a text", &[]) {
        done();
        if etl.decrypt(KEY, &ciphertext, &[]).is_err() {
            return;
        }
        done();
        // One of the items is none of ours: it counts for nothing.
        let items = [item(&ciphertext), item(&ciphertext), item(&vec![7; 60])];
        let request = v1::BatchReEncryptRequest {
            name: KEY.to_owned(),
            items: items.to_vec(),
        };
        let moved = etl.call(async |channel| {
            CryptoServiceClient::new(channel)
                .batch_re_encrypt(request)
                .await
        });
        if moved.is_err() {
            return;
        }
        done();
    }
}

#[test]
fn the_numbers_are_those_of_the_log_whenever_the_server_dies() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let mut versions = vec![format!("{KEY}/versions/1")];
    for round in 0..scaled(6) {
        let etl = [
            Gateway::connect(&mut kms, "lyon-etl"),
            Gateway::connect(&mut kms, "lyon-etl"),
        ];
        let answers = AtomicUsize::new(0);
        thread::scope(|scope| {
            for etl in &etl {
                scope.spawn(|| works(etl, &answers));
            }
            let enough = || (answers.load(Ordering::Relaxed) >= 40).then_some(());
            until("enough answers", enough);
            if round % 3 == 2 {
                // It keeps what is counted, so that the next start counts only what came since.
                assert!(kms.terminate().success());
            } else {
                kms.kill();
            }
        });
        kms.restart();
        let auditor = Gateway::connect(&mut kms, "ada");
        let records = auditor.records(v1::Log::Uses).unwrap();
        for version in &versions {
            let usage = auditor.usage(version).unwrap();
            assert_eq!(told(&usage), logged(&records, version), "{version}");
            assert!(usage.protected > 0 && usage.processed > 0, "{usage:?}");
            assert!(usage.first_use_time.unwrap().seconds <= usage.last_use_time.unwrap().seconds);
            assert!(usage.counted_since.is_some());
        }
        let operator = Gateway::connect(&mut kms, "olivia");
        let made = operator.rotate(KEY, &Uuid::new_v4().to_string()).unwrap();
        assert_eq!(auditor.usage(&made.name).unwrap().last_use_time, None);
        versions.push(made.name);
    }
}

#[test]
fn the_command_line_tells_it_to_whoever_reads_the_inventory() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    etl.encrypt(KEY, b"a text", &[]).unwrap();
    let operator = kms.cli("olivia");
    let json = operator
        .run(["version", "usage", "ingest-lyon/object/1", "-o", "json"])
        .succeeds()
        .json();
    assert_eq!(json["protected"], "1");
    assert_eq!(json["users"][0]["principal"], "service/lyon-etl");
    let text = operator
        .run(["version", "usage", "ingest-lyon/object/1"])
        .succeeds()
        .text();
    assert!(text.contains("last used"), "{text}");
    assert!(text.contains("service/lyon-etl"), "{text}");
    operator
        .run(["version", "usage", "ingest-lyon/object/9"])
        .fails(5)
        .saying("does not exist");
    // Who uses a key does not learn who else does.
    let refused = etl.usage(&format!("{KEY}/versions/1")).unwrap_err();
    assert_eq!(reason(&refused), "REFUSED");
}
