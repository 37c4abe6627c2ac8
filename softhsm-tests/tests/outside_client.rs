//! An outside client: Python and grpcio, generated from the same `.proto`, over mutual TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::{path::Path, process::Command};

use data_encoding::HEXLOWER;
use kms_core::pseudonym::Pseudonym;
use serde_json::Value;
use softhsm_tests::{Deployment, cli::finish, gateway::Gateway, program::repository};

/// Debian's, which is the one that the packages python3-grpcio and python3-grpc-tools serve.
const PYTHON: &str = "/usr/bin/python3";

const KEY: &str = "spaces/ingest-lyon/keys/object";
const EDGE: &str = "spaces/warehouse/edges/link";

#[test]
fn a_python_client_encrypts_decrypts_and_pseudonymises() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();

    let ours = Gateway::connect(&mut kms, "lyon-etl")
        .encrypt(KEY, b"from Rust", &[])
        .unwrap();
    let told = python(&mut kms, &ours);

    let caller = "spiffe://dev.emc2.example/service/lyon-etl";
    assert_eq!(told["caller"], caller);
    assert_eq!(told["version"], format!("{KEY}/versions/1"));
    assert_eq!(told["opened"], "from Rust");
    assert_eq!(
        told["wrong_context"]["status"], "INVALID_ARGUMENT",
        "{told}"
    );

    // What Python sealed opens here.
    let theirs = HEXLOWER
        .decode(told["ciphertext"].as_str().unwrap().as_bytes())
        .unwrap();
    let context = [("dataset", "visits"), ("année", "2026")];
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    assert_eq!(etl.decrypt(KEY, &theirs, &context).unwrap(), b"from Python");

    // Its own reading of the pseudonyms agrees with ours, and so does the service's next answer.
    let identifiers = ["SYNTHETIC-0001", "SYNTHETIC-0002", "SYNTHETIC-0001"];
    let pseudonymiser = Gateway::connect(&mut kms, "link-pseudonymiser");
    let again = pseudonymiser.pseudonymise(EDGE, &identifiers).unwrap();
    let read = told["pseudonyms"].as_array().unwrap();
    assert_eq!(read.len(), 3);
    for (theirs, ours) in read.iter().zip(&again) {
        assert_eq!(theirs["text"], ours.as_str());
        assert_eq!(theirs["prefix"], "h1-whlink-v1-");
        let parsed = Pseudonym::parse(ours).unwrap();
        assert_eq!(theirs["value"], HEXLOWER.encode(&parsed.value));
    }
    assert_eq!(again[0], again[2]);
    assert_ne!(again[0], again[1]);
}

/// Generates the stubs and runs the client.
fn python(kms: &mut Deployment, ciphertext: &[u8]) -> Value {
    let stubs = kms.directory().join("stubs");
    std::fs::create_dir(&stubs).unwrap();
    generate(&stubs);
    let endpoint = kms.server().endpoints().listeners[0].clone();
    // The certificate names localhost.
    let endpoint = endpoint.replace("127.0.0.1", "localhost");
    let mut command = Command::new(PYTHON);
    command
        .arg(repository().join("softhsm-tests/outside/client.py"))
        .arg("--stubs")
        .arg(&stubs)
        .args(["--endpoint", &endpoint, "--pki"])
        .arg(kms.directory().join("pki"))
        .args(["--encrypt", "lyon-etl", KEY, "from Python"])
        .args(["--decrypt", KEY, &HEXLOWER.encode(ciphertext)])
        .args(["--pseudonymise", "link-pseudonymiser", EDGE])
        .args(["SYNTHETIC-0001", "SYNTHETIC-0002", "SYNTHETIC-0001"]);
    finish(command).succeeds().json()
}

fn generate(stubs: &Path) {
    let proto = repository().join("proto");
    let files = std::fs::read_dir(proto.join("emc2/kms/v1")).unwrap();
    let mut command = Command::new(PYTHON);
    command
        .args(["-m", "grpc_tools.protoc"])
        .arg(format!("-I{}", proto.display()))
        .arg(format!("--python_out={}", stubs.display()))
        .arg(format!("--grpc_python_out={}", stubs.display()))
        .args(files.map(|file| file.unwrap().path()));
    finish(command).succeeds();
}
