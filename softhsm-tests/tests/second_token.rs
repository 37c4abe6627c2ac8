//! The main job on the other token: nothing in the product knows a token by its name.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;

use softhsm_tests::{Deployment, partner, token::Make};

#[test]
fn the_main_job_is_done_on_kryoptic_too() {
    let mut kms = Deployment::emc2().token(Make::Kryoptic).start();
    kms.furnish();
    let hsm = kms.cli("hugo").run(["hsm", "show"]).succeeds();
    assert!(hsm.text().contains("Kryoptic"), "{hsm}");

    seals_and_opens(&kms, "visits.csv");
    rotates(&kms);
    let pseudonyms = pseudonymises(&kms);
    imports(&kms);
    kms.kill();
    kms.restart();
    opens(&kms, "visits.csv");
    assert_eq!(pseudonymises(&kms), pseudonyms, "after a power cut");
    kms.terminate();
    kms.doctor(&[]).succeeds();
}

fn seals_and_opens(kms: &Deployment, file: &str) {
    fs::write(kms.directory().join(file), "a delivery").unwrap();
    let key = ["encrypt", file, "--key", "ingest-lyon/object"];
    kms.cli("lyon-etl").run(key).succeeds();
    opens(kms, file);
}

fn opens(kms: &Deployment, file: &str) {
    let sealed = format!("{file}.kms");
    let opened = kms
        .cli("lyon-etl")
        .run(["decrypt", sealed.as_str(), "-O", "-"])
        .succeeds();
    assert_eq!(opened.text(), "a delivery");
    // Changed on its way, which this token says in words of its own.
    let mut bytes = fs::read(kms.directory().join(&sealed)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(kms.directory().join("flipped.kms"), bytes).unwrap();
    kms.cli("lyon-etl")
        .run(["decrypt", "flipped.kms", "-O", "-"])
        .fails(3);
}

fn rotates(kms: &Deployment) {
    let rotate = ["key", "rotate", "ingest-lyon/object", "--reason", "a test"];
    kms.cli("olivia").run(rotate).succeeds();
    opens(kms, "visits.csv");
}

fn pseudonymises(kms: &Deployment) -> String {
    fs::write(
        kms.directory().join("people.csv"),
        "ID\nSYNTHETIC-1\nSYNTHETIC-2\n",
    )
    .unwrap();
    let edge = ["--column", "ID", "--edge", "warehouse/link", "-O", "-"];
    let map = ["pseudonym", "map", "people.csv"];
    let mapped = kms
        .cli("link-pseudonymiser")
        .run(map.into_iter().chain(edge))
        .succeeds();
    mapped.text()
}

/// By OAEP with SHA-256, which the first token lacks.
fn imports(kms: &Deployment) {
    let (who, key) = ("lyon-ingest", "ingest-lyon/partner");
    let transfer = partner::wrap(kms, who, key, "ingest-lyon/import", &[0x42; 32]);
    partner::submit(kms, who, key, &transfer).succeeds();
    fs::write(kms.directory().join("delivery"), "a delivery").unwrap();
    let seal = ["encrypt", "delivery", "--key", key];
    kms.cli("lyon-etl").run(seal).succeeds();
    opens(kms, "delivery");
}
