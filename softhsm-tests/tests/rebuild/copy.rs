//! The logs come from a copy, and a log that was edited is refused by name.

use crate::{KEY, contents, copy_directory, named, segment, values_but_of};
use kms_core::envelope::Envelope;
use softhsm_tests::Deployment;
use softhsm_tests::gateway::{Gateway, reason};
use softhsm_tests::{cli::finish, program::repository};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn an_empty_machine_is_rebuilt_from_a_copy_of_the_logs() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    assert!(kms.terminate().success());
    let before = contents(&kms);
    let copy = kms.directory().join("copy");
    for log in ["changes", "uses"] {
        copy_directory(&kms.data().join(log), &copy.join(log));
    }
    fs::remove_dir_all(kms.data()).unwrap();
    // The lock of the token lies there too.
    fs::create_dir(kms.data()).unwrap();
    let from = copy.to_str().unwrap().to_owned();
    let dry = kms.rebuild(&[&from, "--dry-run"]).succeeds();
    assert!(dry.text().contains("nothing was changed"), "{dry}");
    for part in ["store", "changes", "uses"] {
        assert!(!kms.data().join(part).exists(), "{part}");
    }
    let elsewhere = kms.directory().to_str().unwrap().to_owned();
    kms.rebuild(&[&elsewhere])
        .fails(1)
        .saying("there is no log in");

    let rebuilt = kms.rebuild(&[&from]).succeeds();
    let rotated = named(&rebuilt.text(), "ROTATED");
    assert_eq!(
        values_but_of(&contents(&kms), &rotated),
        values_but_of(&before, &rotated)
    );
    // Interrupted, the same is run again, from the same copy: the log here went on from it.
    kms.rebuild(&[&from]).succeeds();
    kms.restart();
    kms.cli("stella")
        .run([
            "space", "create", "another", "--title", "Another", "--kind", "project",
        ])
        .succeeds();
    assert!(kms.terminate().success());
    // The log of another deployment is not brought in over this one.
    let mut other = Deployment::emc2().start();
    assert!(other.terminate().success());
    let other = other.data().to_str().unwrap().to_owned();
    kms.rebuild(&[&other])
        .fails(1)
        .saying("it is not the one in");
}

/// Machine and token are lost. The token comes back by its vendor's procedure, older than the logs.
#[test]
fn an_empty_machine_with_a_token_of_yesterday() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let sealed = etl.encrypt(KEY, b"of yesterday", &[]).unwrap();
    drop(etl);
    assert!(kms.terminate().success());
    let saved = kms.directory().join("token.tar");
    softhsm_token(&kms, "save", &saved);
    kms.restart();
    let operator = Gateway::connect(&mut kms, "olivia");
    operator
        .create_key("spaces/ingest-lyon/keys/today", "")
        .unwrap();
    drop(operator);
    assert!(kms.terminate().success());
    let copy = kms.directory().join("copy");
    for log in ["changes", "uses"] {
        copy_directory(&kms.data().join(log), &copy.join(log));
    }
    fs::remove_dir_all(kms.data()).unwrap();
    fs::remove_dir_all(kms.token().objects()).unwrap();

    fs::create_dir(kms.data()).unwrap();
    softhsm_token(&kms, "restore", &saved);
    let rebuilt = kms.rebuild(&[copy.to_str().unwrap()]);
    assert_eq!(rebuilt.code(), Some(2), "{rebuilt}");
    let today = "spaces/ingest-lyon/keys/today/versions/1";
    assert_eq!(named(&rebuilt.text(), "MISSING"), [today], "{rebuilt}");
    kms.restart();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    assert_eq!(etl.decrypt(KEY, &sealed, &[]).unwrap(), b"of yesterday");
    etl.encrypt(KEY, b"of tomorrow", &[]).unwrap();
}

fn softhsm_token(kms: &Deployment, verb: &str, file: &Path) {
    let mut script = Command::new(repository().join("ops/lib/softhsm-token"));
    script.arg(verb).arg(kms.token().conf()).arg(file);
    finish(script).succeeds();
}

/// The newest log is lost, and an older copy of it is all there is: that does not go unnoticed.
#[test]
fn an_older_log_is_refused_and_taken_only_when_told() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    assert!(kms.terminate().success());
    let copy = kms.directory().join("copy");
    copy_directory(kms.data(), &copy);
    kms.restart();
    let operator = Gateway::connect(&mut kms, "olivia");
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    operator.rotate(KEY, "").unwrap();
    let sealed = etl.encrypt(KEY, b"of the second version", &[]).unwrap();
    drop((operator, etl));
    assert!(kms.terminate().success());
    // The whole data directory goes back, as a snapshot does: it agrees with itself.
    fs::remove_dir_all(kms.data()).unwrap();
    copy_directory(&copy, kms.data());
    let second = "spaces/ingest-lyon/keys/object/versions/2";
    let dry = kms.rebuild(&["--dry-run"]);
    assert_eq!(dry.code(), Some(2), "{dry}");
    assert_eq!(named(&dry.text(), "LATER"), [second], "{dry}");
    kms.rebuild(&[]).fails(1).saying("this is an older log");

    let rebuilt = kms.rebuild(&["--behind"]);
    assert_eq!(rebuilt.code(), Some(2), "{rebuilt}");
    let report = rebuilt.text();
    assert_eq!(named(&report, "LATER"), [second], "{rebuilt}");
    let unproved = named(&report, "UNPROVED");
    let edge = "spaces/warehouse/keys/edge-link/versions/1".to_owned();
    assert!(unproved.contains(&edge), "{rebuilt}");
    let again = kms.rebuild(&[]);
    assert!(again.text().contains("nothing to rebuild"), "{again}");
    kms.restart();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let held = etl.decrypt(KEY, &sealed, &[]).unwrap_err();
    assert_eq!(reason(&held), "KEY_STATE", "{held}");
    let fresh = etl.encrypt(KEY, b"x", &[]).unwrap();
    assert_eq!(Envelope::parse(&fresh).unwrap().id.version, 3);
    // Once somebody has said that it is good, it processes again.
    let deactivate = ["version", "deactivate", "ingest-lyon/object/2"];
    let why = ["--reason", "looked at"];
    kms.cli("olivia")
        .run(deactivate.iter().chain(&why))
        .succeeds();
    let opened = etl.decrypt(KEY, &sealed, &[]).unwrap();
    assert_eq!(opened, b"of the second version");
    drop(etl);
    assert!(kms.terminate().success());
    kms.doctor(&[]).succeeds();
}

#[test]
fn an_edited_log_is_refused_by_name() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    assert!(kms.terminate().success());
    fs::remove_dir_all(kms.data().join("store")).unwrap();
    let segment = segment(&kms);
    let right = fs::read(&segment).unwrap();
    let at = |part: &[u8]| right.windows(part.len()).position(|w| w == part).unwrap();
    // The same length, so that only the digest knows.
    let mut edited = right.clone();
    edited[at(b"\"Backups\"") + 1] ^= 1;
    fs::write(&segment, &edited).unwrap();
    kms.rebuild(&[]).fails(1).saying("changes log, entry");
    assert!(!kms.data().join("store").exists());
    fs::write(&segment, &right[..right.len() - 10]).unwrap();
    kms.rebuild(&[]).fails(1).saying("records are lost");
    fs::write(&segment, &right).unwrap();
    fs::rename(kms.data().join("uses"), kms.data().join("elsewhere")).unwrap();
    kms.rebuild(&[]).fails(1).saying("lost log is restored");
    assert!(!kms.data().join("store").exists());
    fs::rename(kms.data().join("elsewhere"), kms.data().join("uses")).unwrap();
    kms.rebuild(&[]).succeeds();
    kms.restart();
}
