//! The token says otherwise than the log: what was destroyed is there again, what should be there is
//! not, or is something else.

use crate::{KEY, contents, files, lose, named, segment};
use kms_core::id::KeyId;
use softhsm_tests::Deployment;
use softhsm_tests::gateway::{Gateway, reason};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

fn objects(kms: &Deployment) -> BTreeSet<PathBuf> {
    files(&kms.token().objects())
        .into_iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "object"))
        .collect()
}

#[test]
fn what_the_log_saw_destroyed_is_destroyed_again() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let start = ["pseudonym", "renew", "start", "--edge", "warehouse/link"];
    let how = [
        "--translator",
        "service/link-pseudonymiser",
        "--expected",
        "1000",
    ];
    let why = ["--reason", "a test"];
    let olivia = kms.cli("olivia");
    olivia.run(start.iter().chain(&how).chain(&why)).succeeds();
    let kept: Vec<(PathBuf, Vec<u8>)> = files(&kms.token().objects())
        .into_iter()
        .map(|file| (file.clone(), fs::read(file).unwrap()))
        .collect();
    let finish = ["pseudonym", "renew", "finish", "--edge", "warehouse/link"];
    olivia
        .run(finish.iter().chain(&["--abandon", "--yes"]).chain(&why))
        .succeeds();
    drop(olivia);
    assert!(kms.terminate().success());
    // A backup of the token is brought back.
    let now = files(&kms.token().objects());
    let bring_back = || {
        for (file, bytes) in kept.iter().filter(|(file, _)| !now.contains(file)) {
            fs::write(file, bytes).unwrap();
        }
    };
    bring_back();
    assert_eq!(kms.doctor(&[]).code(), Some(2));
    lose(&kms);
    let rebuilt = kms.rebuild(&[]).succeeds();
    let again = named(&rebuilt.text(), "AGAIN");
    let gone = [
        "spaces/warehouse/keys/edge-link/versions/2",
        "spaces/warehouse/keys/renewal-whlink-2/versions/1",
    ];
    assert_eq!(again, gone, "{rebuilt}");
    kms.doctor(&[]).succeeds();
    // Once more, beside a store that is what the log says.
    bring_back();
    let again = kms.rebuild(&[]).succeeds();
    assert_eq!(named(&again.text(), "AGAIN"), gone, "{again}");
    assert!(again.text().contains("nothing to rebuild"), "{again}");
    kms.doctor(&[]).succeeds();
    kms.rebuild(&[]).succeeds();
    let after = contents(&kms);
    let records = after
        .iter()
        .filter(|(name, _)| name.starts_with("rebuilds/"));
    let records: Vec<_> = records.map(|(_, (_, value))| value).collect();
    assert_eq!(records.len(), 2, "{records:?}");
    for (record, name) in records.iter().flat_map(|r| gone.map(|name| (r, name))) {
        assert!(record.contains(name), "{record}");
    }
    kms.restart();
    let log = kms.cli("ada").run(["audit", "list", "--log", "changes"]);
    assert!(log.succeeds().text().contains("Rebuild"));
}

#[test]
fn what_cannot_be_proved_is_suspended_and_what_is_missing_is_named() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let operator = Gateway::connect(&mut kms, "olivia");
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let before = objects(&kms);
    operator
        .create_key("spaces/ingest-lyon/keys/lost", "")
        .unwrap();
    let sealed = etl
        .encrypt("spaces/ingest-lyon/keys/lost", b"x", &[])
        .unwrap();
    let lost: Vec<PathBuf> = objects(&kms).difference(&before).cloned().collect();
    let before = objects(&kms);
    let create = ["key", "create", "ingest-lyon/pair"];
    let class = ["--class", "import-wrapping"];
    kms.cli("olivia")
        .run(create.iter().chain(&class))
        .succeeds();
    let halves: Vec<PathBuf> = objects(&kms).difference(&before).cloned().collect();
    // The last change: the log will not say what became of it.
    operator
        .create_key("spaces/ingest-lyon/keys/last", "")
        .unwrap();
    drop((operator, etl));
    assert!(kms.terminate().success());
    let pair = id_of(&kms, "spaces/ingest-lyon/keys/pair");
    assert_eq!(lost.len(), 1);
    fs::remove_file(&lost[0]).unwrap();
    replace_pair(&kms, &pair, &halves);
    cut_last_entry(&kms);
    lose(&kms);

    let rebuilt = kms.rebuild(&[]);
    assert_eq!(rebuilt.code(), Some(2), "{rebuilt}");
    let report = rebuilt.text();
    let lost = "spaces/ingest-lyon/keys/lost/versions/1";
    assert_eq!(named(&report, "MISSING"), [lost], "{rebuilt}");
    let unproved = [
        "spaces/ingest-lyon/keys/last/versions/1",
        "spaces/ingest-lyon/keys/pair/versions/1",
    ];
    assert_eq!(named(&report, "UNPROVED"), unproved, "{rebuilt}");
    kms.restart();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let held = etl.encrypt("spaces/ingest-lyon/keys/last", b"x", &[]);
    assert_eq!(reason(&held.unwrap_err()), "KEY_STATE");
    etl.decrypt("spaces/ingest-lyon/keys/lost", &sealed, &[])
        .unwrap_err();
    // Its successor protects.
    etl.encrypt("spaces/ingest-lyon/keys/lost", b"x", &[])
        .unwrap();
    etl.encrypt(KEY, b"x", &[]).unwrap();
    let resume = ["version", "resume", "ingest-lyon/last/1"];
    let why = ["--reason", "looked at"];
    kms.cli("olivia").run(resume.iter().chain(&why)).succeeds();
}

#[test]
fn another_token_is_refused_and_nothing_is_made() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    assert!(kms.terminate().success());
    for object in objects(&kms) {
        if object.file_name().is_none_or(|name| name != "token.object") {
            fs::remove_file(object).unwrap();
        }
    }
    lose(&kms);
    kms.rebuild(&[]).fails(1).saying("is it the right token?");
    assert!(!kms.data().join("store").exists());
}

/// The id of a key's first version.
fn id_of(kms: &Deployment, key: &str) -> KeyId {
    let (_, value) = &contents(kms)[&format!("{key}/versions/1")];
    let value: serde_json::Value = serde_json::from_str(value).unwrap();
    value["id"].as_str().unwrap().to_owned().try_into().unwrap()
}

/// Another pair under the same id, as whoever holds the PIN can make one.
fn replace_pair(kms: &Deployment, id: &KeyId, halves: &[PathBuf]) {
    assert_eq!(halves.len(), 2);
    for half in halves {
        fs::remove_file(half).unwrap();
    }
    let key = kms.directory().join("mine.pem");
    let mut genpkey = Command::new("openssl");
    genpkey.args([
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:3072",
    ]);
    finish_well(genpkey.arg("-out").arg(&key));
    let pin = fs::read_to_string(kms.token().pin_file()).unwrap();
    let mut import = Command::new("softhsm2-util");
    import
        .env("SOFTHSM2_CONF", kms.token().conf())
        .arg("--import")
        .arg(&key)
        .args(["--token", kms.token().label(), "--pin", pin.trim()])
        .args(["--label", "spaces/ingest-lyon/keys/pair/versions/1"])
        .args(["--id", &id.to_string()]);
    finish_well(&mut import);
}

fn finish_well(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The changes log loses its last entry, an outcome, as if the process had died before it.
fn cut_last_entry(kms: &Deployment) {
    let segment = segment(kms);
    let bytes = fs::read(&segment).unwrap();
    let (mut at, mut last, mut count) = (0, 0, 0_u64);
    while at < bytes.len() {
        last = at;
        at += 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        count += 1;
    }
    let text = String::from_utf8_lossy(&bytes[last..]);
    assert!(text.contains("\"outcome\""), "{text}");
    File::options()
        .write(true)
        .open(&segment)
        .unwrap()
        .set_len(u64::try_from(last).unwrap())
        .unwrap();
    File::options()
        .write(true)
        .open(kms.data().join("changes/mark"))
        .unwrap()
        .write_all_at(&(count - 1).to_be_bytes(), 0)
        .unwrap();
}
