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
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use kms_core::lifecycle::Spent;
use kms_core::{envelope::Envelope, id::KeyId};
use kms_proto::v1::{self, crypto_service_client::CryptoServiceClient};
use kms_server::store::{SledStore, Store as _};
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
    kms.budget("warehouse/link", 10_000_000);
    let mut all = Told::default();
    for round in 0..scaled(40) {
        let told = killed_under_load(&mut kms, round);
        let sealed = told.iter().flat_map(|one| one.sealed.values());
        counts_cover(&kms, all.sealed.values().chain(sealed));
        kms.restart();
        let mut fresh = Told::default();
        for one in told {
            settle(&mut kms, one, &mut fresh);
        }
        check(&mut kms, &fresh);
        all.extend(fresh);
    }
    check(&mut kms, &all);
    check_versions(&mut kms, &all);
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
        // A soft token that was killed while it wrote may fail a call afterwards, and each caller
        // stops at its first failure: then the kill has nothing left to wait for.
        until("enough answers", || {
            let over = callers.iter().all(thread::ScopedJoinHandle::is_finished);
            (over || answers.load(Ordering::Relaxed) >= enough).then_some(())
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
    all.extend(told);
}

impl Told {
    fn extend(&mut self, more: Self) {
        self.sealed.extend(more.sealed);
        self.pseudonyms.extend(more.pseudonyms);
        self.keys.extend(more.keys);
        self.versions.extend(more.versions);
    }
}

/// What is durable of the count of encryptions under each version is never less than what was
/// acknowledged (NIST SP 800-38D, section 8.3). Looked up in a copy of the store: the crash is left
/// for the server to find.
fn counts_cover<'a>(kms: &Deployment, sealed: impl Iterator<Item = &'a Vec<u8>>) {
    let mut acknowledged = BTreeMap::<KeyId, u64>::new();
    for ciphertext in sealed {
        let version = Envelope::parse(ciphertext).unwrap().id;
        *acknowledged.entry(version).or_default() += 1;
    }
    let copy = tempfile::tempdir().unwrap();
    copy_files(&kms.data().join("store"), copy.path());
    let store = SledStore::open(copy.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for (version, acknowledged) in acknowledged {
        let name = format!("local/encryptions/{version}");
        let count = runtime.block_on(store.get(&name)).unwrap();
        let count = count.unwrap_or_else(|| panic!("{version} was used and is not counted"));
        let count: Spent = serde_json::from_slice(&count.value).unwrap();
        let count = count.encryptions;
        assert!(count >= acknowledged, "{version}: {count} < {acknowledged}");
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_files(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Everything works that was ever acknowledged.
fn check(kms: &mut Deployment, all: &Told) {
    let etl = Gateway::connect(kms, "lyon-etl");
    let link = Gateway::connect(kms, "link-pseudonymiser");
    let operator = Gateway::connect(kms, "olivia");
    let sealed: Vec<(&String, &Vec<u8>)> = all.sealed.iter().collect();
    for chunk in sealed.chunks(1_000) {
        let opened = decrypt_all(&etl, chunk.iter().map(|(_, ciphertext)| *ciphertext));
        let expected = chunk.iter().map(|(plaintext, _)| plaintext.as_bytes());
        assert!(opened.iter().map(Vec::as_slice).eq(expected));
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
}

/// Each rotation made one version, answered or not, and one of them is active.
fn check_versions(kms: &mut Deployment, all: &Told) {
    let operator = Gateway::connect(kms, "olivia");
    let versions = operator.versions(ROTATED).unwrap();
    assert_eq!(versions.len(), all.versions.len() + 1);
    for version in &all.versions {
        assert!(
            versions.iter().any(|made| made.name == *version),
            "{version}"
        );
    }
    let active = |version: &&v1::KeyVersion| version.state() == v1::VersionState::Active;
    assert_eq!(versions.iter().filter(active).count(), 1);
}

fn decrypt_all<'a>(etl: &Gateway, sealed: impl Iterator<Item = &'a Vec<u8>>) -> Vec<Vec<u8>> {
    use v1::batch_decrypt_response::result::Result as Told;
    let item = |ciphertext: &Vec<u8>| v1::batch_decrypt_request::Item {
        ciphertext: ciphertext.clone(),
        context: BTreeMap::new(),
    };
    let request = v1::BatchDecryptRequest {
        name: KEY.to_owned(),
        items: sealed.map(item).collect(),
    };
    let answer = etl.call(async |channel| {
        CryptoServiceClient::new(channel)
            .batch_decrypt(request)
            .await
    });
    let results = answer.unwrap().into_inner().results;
    let opened = |result: v1::batch_decrypt_response::Result| match result.result {
        Some(Told::Ok(opened)) => opened.plaintext,
        other => panic!("a ciphertext does not open: {other:?}"),
    };
    results.into_iter().map(opened).collect()
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
