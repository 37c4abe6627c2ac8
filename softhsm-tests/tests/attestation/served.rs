//! The same through a server and the command line, as far as no month has to pass.

use crate::openssl;
use softhsm_tests::Deployment;
use std::fs;

#[test]
fn what_is_there_has_no_attestation_and_its_key_is_for_anybody() {
    let kms = Deployment::emc2().start();
    kms.furnish();
    let ada = kms.cli("ada");
    let get = ["attestation", "get", "warehouse/object/1", "-O", "kept"];
    ada.run(get).fails(7).saying("has no attestation");
    ada.run(["attestation", "get", "warehouse", "-O", "kept"])
        .fails(7)
        .saying("is not erased");
    ada.run(["attestation", "get", "warehouse/none/1", "-O", "kept"])
        .fails(5);
    kms.cli("lyon-etl").run(get).fails(4);
    assert!(!kms.directory().join("kept").exists(), "nothing was kept");

    // The key, as OpenSSL reads it: it refuses a signature that is none.
    let key = ada.run(["attestation", "key"]).succeeds();
    let directory = kms.directory();
    fs::write(directory.join("pinned.pem"), &key.stdout).unwrap();
    fs::write(directory.join("none.json"), "{}").unwrap();
    fs::write(directory.join("none.sig"), [0x30, 6, 2, 1, 1, 2, 1, 1]).unwrap();
    let told = openssl(directory, "pinned.pem", "none");
    assert!(told.text().contains("Verification failure"), "{told}");
    ada.run(["attestation", "key", "--version", "2"]).fails(5);
}

#[test]
fn backups_are_declared_and_listed() {
    let kms = Deployment::emc2().start();
    let hugo = kms.cli("hugo");
    let declare = |taken: &str, expires: &str| {
        let times = ["--taken", taken, "--expires", expires];
        hugo.run([&["backup", "declare", "vault 2, cassette 7"][..], &times].concat())
    };
    declare("2026-01-02", "2026-01-01")
        .fails(3)
        .saying("kept until");
    declare("2399-01-01", "2400-01-01")
        .fails(3)
        .saying("once it was taken");
    declare("yesterday", "2026-01-01").fails(2);
    // A development deployment does without the custodian.
    declare("2026-01-01T02:00:00Z", "2027-01-01").succeeds();
    let shown = kms
        .cli("ada")
        .run(["backup", "list", "-o", "json"])
        .succeeds()
        .json();
    let backup = &shown["backups"][0];
    assert_eq!(backup["title"], "vault 2, cassette 7");
    assert_eq!(backup["takeTime"], "2026-01-01T02:00:00Z");
    assert_eq!(backup["expireTime"], "2027-01-01T00:00:00Z");
    assert!(
        backup["declarer"]
            .as_str()
            .unwrap()
            .ends_with("person/hugo")
    );
    kms.cli("stella").run(["backup", "list"]).fails(4);
}
