//! SIGKILL at random moments under load: what was acknowledged is in the log and works, what was
//! not can be asked again, and nothing is doubled or orphaned.

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

use kms_proto::v1;
use serde_json::Value;
use softhsm_tests::{Deployment, gateway::Gateway, scaled, wait::until};
use uuid::Uuid;

const KEY: &str = "spaces/ingest-lyon/keys/object";
const ROTATED: &str = "spaces/ingest-lyon/keys/backup";
const LINK: &str = "spaces/warehouse/edges/link";

/// What one caller was told is done, and the one change that it heard nothing of.
#[derive(Debug, Default)]
struct Told {
    /// Ciphertexts, by their plaintexts.
    sealed: BTreeMap<String, Vec<u8>>,
    /// Pseudonyms, by their identifiers.
    pseudonyms: BTreeMap<String, String>,
    /// Keys that were made.
    keys: Vec<String>,
    /// Versions that were made by rotation.
    versions: Vec<String>,
    /// A change without an answer: the key to make, or `None` for a rotation.
    unanswered: Option<(Uuid, Option<String>)>,
}

#[test]
fn a_kill_at_any_moment_loses_and_doubles_nothing() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let mut all = Told::default();
    for round in 0..scaled(40) {
        let told = killed_under_load(&mut kms, round);
        kms.restart();
        for one in told {
            settle(&mut kms, one, &mut all);
        }
        check(&mut kms, &all);
    }
    let counted = (
        all.sealed.len(),
        all.pseudonyms.len(),
        all.keys.len(),
        all.versions.len(),
    );
    println!("{counted:?} encryptions, evaluations, keys and versions survived");

    check_logs(&mut kms, &all);
    assert!(kms.terminate().success());
    // Nothing in the token that the store does not know, nor the other way round.
    kms.doctor(&[]).succeeds();
}

/// Callers at work until the server is killed, after a random number of answers.
fn killed_under_load(kms: &mut Deployment, round: usize) -> Vec<Told> {
    let answers = AtomicUsize::new(0);
    let done = || answers.fetch_add(1, Ordering::Relaxed);
    let etl = [
        Gateway::connect(kms, "lyon-etl"),
        Gateway::connect(kms, "lyon-etl"),
    ];
    let link = Gateway::connect(kms, "link-pseudonymiser");
    let operator = Gateway::connect(kms, "olivia");
    let enough = random_below(400);
    thread::scope(|scope| {
        let mut callers = Vec::new();
        for (worker, etl) in etl.into_iter().enumerate() {
            callers.push(scope.spawn(move || encrypts(&etl, &format!("{round}-{worker}"), done)));
        }
        callers.push(scope.spawn(move || evaluates(&link, round, done)));
        callers.push(scope.spawn(move || changes(&operator, round, done)));
        until("enough answers", || {
            (answers.load(Ordering::Relaxed) >= enough).then_some(())
        });
        kms.kill();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    })
}

fn encrypts(etl: &Gateway, name: &str, done: impl Fn() -> usize) -> Told {
    let mut told = Told::default();
    for number in 0.. {
        let plaintext = format!("{name}-{number}");
        match etl.encrypt(KEY, plaintext.as_bytes(), &[]) {
            Ok(ciphertext) => told.sealed.insert(plaintext, ciphertext),
            Err(_) => break,
        };
        done();
    }
    told
}

fn evaluates(link: &Gateway, round: usize, done: impl Fn() -> usize) -> Told {
    let mut told = Told::default();
    for number in 0.. {
        let identifier = format!("SYNTHETIC-{round}-{number}");
        match link.pseudonymise(LINK, &[&identifier]) {
            Ok(pseudonyms) => told.pseudonyms.insert(identifier, pseudonyms.concat()),
            Err(_) => break,
        };
        done();
    }
    told
}

/// Makes a key and rotates another, in turn.
fn changes(operator: &Gateway, round: usize, done: impl Fn() -> usize) -> Told {
    let mut told = Told::default();
    for number in 0.. {
        let request = Uuid::new_v4();
        let name = format!("spaces/ingest-lyon/keys/k-{round}-{number}");
        let answer = if number % 2 == 0 {
            let made = operator.create_key(&name, &request.to_string());
            made.map(|key| told.keys.push(key.name))
        } else {
            let made = operator.rotate(ROTATED, &request.to_string());
            made.map(|version| told.versions.push(version.name))
        };
        if answer.is_err() {
            told.unanswered = Some((request, (number % 2 == 0).then_some(name)));
            break;
        }
        done();
    }
    told
}

/// Asks again for what had no answer, with the same request id: now it is done, once.
fn settle(kms: &mut Deployment, mut told: Told, all: &mut Told) {
    let operator = Gateway::connect(kms, "olivia");
    match told.unanswered.take() {
        Some((request, Some(name))) => {
            let key = operator.create_key(&name, &request.to_string()).unwrap();
            all.keys.push(key.name);
        }
        Some((request, None)) => {
            let version = operator.rotate(ROTATED, &request.to_string()).unwrap();
            all.versions.push(version.name);
        }
        None => {}
    }
    all.sealed.extend(told.sealed);
    all.pseudonyms.extend(told.pseudonyms);
    all.keys.extend(told.keys);
    all.versions.extend(told.versions);
}

/// Everything works that was ever acknowledged.
fn check(kms: &mut Deployment, all: &Told) {
    let etl = Gateway::connect(kms, "lyon-etl");
    let link = Gateway::connect(kms, "link-pseudonymiser");
    let operator = Gateway::connect(kms, "olivia");
    for (plaintext, ciphertext) in &all.sealed {
        assert_eq!(
            etl.decrypt(KEY, ciphertext, &[]).unwrap(),
            plaintext.as_bytes()
        );
    }
    let identifiers: Vec<&str> = all.pseudonyms.keys().map(String::as_str).collect();
    for chunk in identifiers.chunks(10_000) {
        let again = link.pseudonymise(LINK, chunk).unwrap();
        assert!(
            again
                .iter()
                .zip(chunk)
                .all(|(new, id)| *new == all.pseudonyms[*id])
        );
    }
    for key in &all.keys {
        assert_eq!(operator.versions(key).unwrap().len(), 1, "{key}");
        let ciphertext = etl.encrypt(key, b"works", &[]).unwrap();
        assert_eq!(etl.decrypt(key, &ciphertext, &[]).unwrap(), b"works");
    }
    // Each rotation made one version, answered or not.
    let versions = operator.versions(ROTATED).unwrap();
    assert_eq!(versions.len(), all.versions.len() + 1);
    for version in &all.versions {
        assert!(
            versions.iter().any(|made| made.name == *version),
            "{version}"
        );
    }
}

/// Each acknowledged operation has its record.
fn check_logs(kms: &mut Deployment, all: &Told) {
    let auditor = Gateway::connect(kms, "ada");
    let uses = auditor.records(v1::Log::Uses).unwrap();
    let done = |action: &str| {
        let is = |record: &&Value| record["api"]["operation"] == action && record["status_id"] == 1;
        uses.iter().filter(is).count()
    };
    assert!(done("Encrypt") >= all.sealed.len() + all.keys.len());
    assert!(done("Pseudonymise") >= all.pseudonyms.len());

    let changes = auditor.records(v1::Log::Changes).unwrap();
    let text: Vec<String> = changes.iter().map(ToString::to_string).collect();
    for name in all.keys.iter().chain(&all.versions) {
        let quoted = format!("\"{name}\"");
        assert!(
            text.iter().any(|record| record.contains(&quoted)),
            "{name} has no record"
        );
    }
    kms.cli("ada").run(["audit", "verify"]).succeeds();
}

fn random_below(limit: u32) -> usize {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    usize::try_from(u32::from_le_bytes(bytes) % limit).unwrap()
}
