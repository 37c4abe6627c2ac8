//! Canaries: planted secrets and identifiers go through everything, and are found nowhere that
//! outlives the call: not in the server's log, its metrics, the two audit logs, the store, nor
//! in what the command line says of a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use kms_core::pseudonym::{Identifier, Pseudonym};
use kms_proto::v1::{
    self,
    crypto_service_client::CryptoServiceClient,
    identifier::Identifier::{Opaque, Pseudonym as Parent},
};
use sha2::{Digest as _, Sha256};
use softhsm_tests::{
    Deployment,
    configuration::ServerFile,
    gateway::{Gateway, identifier},
    partner,
};
use zeroize::Zeroizing;

const KEY: &str = "spaces/ingest-lyon/keys/object";
const LINK: &str = "spaces/warehouse/edges/link";
const PROJECT: &str = "spaces/project-01/edges/warehouse";

const PLAINTEXT: &str = "canary-plaintext-7f3a9c";
const CONTEXT_NAME: &str = "canary-context-name-52d1";
const CONTEXT_VALUE: &str = "canary-context-value-b86e";
const IDENTIFIER: &str = "CANARY-IDENTIFIER-0D4F";
const BAD_IDENTIFIER: &str = "CANARY-IDENTIFIER-É-91";
const MATERIAL: &[u8; 32] = b"canary-imported-key-material-32b";

#[test]
fn what_is_secret_or_personal_is_found_nowhere_afterwards() {
    let mut kms = Deployment::emc2().configure(talkative).start();
    kms.furnish();
    let mut said = String::new();
    let mut canaries = vec![
        PLAINTEXT.as_bytes().to_vec(),
        CONTEXT_NAME.as_bytes().to_vec(),
        CONTEXT_VALUE.as_bytes().to_vec(),
        IDENTIFIER.as_bytes().to_vec(),
        BAD_IDENTIFIER.as_bytes().to_vec(),
        MATERIAL.to_vec(),
        pin(&kms),
    ];
    canaries.extend(cryptography(&mut kms));
    canaries.extend(pseudonyms(&mut kms));
    said.push_str(&command_line(&kms));
    let transfer = partner::wrap(
        &kms,
        "lyon-ingest",
        "ingest-lyon/partner",
        "ingest-lyon/import",
        MATERIAL,
    );
    said.push_str(
        &partner::submit(&kms, "lyon-ingest", "ingest-lyon/partner", &transfer)
            .succeeds()
            .stderr,
    );

    let metrics = kms.metrics().text().to_owned();
    // A crash and a stop, each with what it may say.
    kms.kill();
    kms.restart();
    assert!(kms.terminate().success());
    let log = kms.log();
    assert!(log.len() > 1_000, "the server said next to nothing: {log}");
    assert!(!log.contains("panicked"), "{log}");

    let mut places: Vec<(String, Vec<u8>)> = files(kms.data())
        .into_iter()
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    assert!(places.len() >= 4, "store and two logs: {places:?}");
    places.push(("the server's log".to_owned(), log.into_bytes()));
    places.push(("the metrics".to_owned(), metrics.into_bytes()));
    places.push(("what kms said".to_owned(), said.into_bytes()));

    for canary in canaries.iter().flat_map(|canary| disguises(canary)) {
        for (place, bytes) in &places {
            let found = bytes.windows(canary.len()).any(|window| window == canary);
            assert!(!found, "{} is in {place}", String::from_utf8_lossy(&canary));
        }
    }
    // The search itself finds what is there.
    let written = HEXLOWER.encode(b"nothing");
    assert!(disguises(b"nothing").contains(&written.into_bytes()));
    let logs = places.iter().filter(|(place, _)| place.contains("/uses/"));
    assert!(
        logs.clone()
            .any(|(_, bytes)| contains(bytes, b"service/lyon-etl"))
    );
}

/// The server says as much as it can.
fn talkative(file: &mut ServerFile) {
    "trace".clone_into(&mut file.log.level);
}

fn pin(kms: &Deployment) -> Vec<u8> {
    let pin = fs::read_to_string(kms.token().pin_file()).unwrap();
    pin.trim_end().as_bytes().to_vec()
}

/// Encrypts, decrypts and fails to, alone and in batches; the data keys made are canaries.
fn cryptography(kms: &mut Deployment) -> Vec<Vec<u8>> {
    let etl = Gateway::connect(kms, "lyon-etl");
    let context = [(CONTEXT_NAME, CONTEXT_VALUE)];
    let sealed = etl.encrypt(KEY, PLAINTEXT.as_bytes(), &context).unwrap();
    etl.decrypt(KEY, &sealed, &context).unwrap();
    etl.decrypt(KEY, &sealed, &[(CONTEXT_NAME, "other")])
        .unwrap_err();
    etl.decrypt(KEY, &sealed[..sealed.len() - 1], &context)
        .unwrap_err();
    etl.encrypt(
        "spaces/ingest-lyon/keys/objekt",
        PLAINTEXT.as_bytes(),
        &context,
    )
    .unwrap_err();
    etl.encrypt(
        "spaces/warehouse/keys/object",
        PLAINTEXT.as_bytes(),
        &context,
    )
    .unwrap_err();
    etl.encrypt(KEY, PLAINTEXT.repeat(3_000).as_bytes(), &context)
        .unwrap_err();
    let long = CONTEXT_VALUE.repeat(50);
    etl.encrypt(KEY, b"x", &[(CONTEXT_NAME, &long)])
        .unwrap_err();

    let pairs = || [(CONTEXT_NAME.to_owned(), CONTEXT_VALUE.to_owned())].into();
    let key = etl.call(async |channel| {
        let mut client = CryptoServiceClient::new(channel);
        let item = v1::batch_encrypt_request::Item {
            plaintext: PLAINTEXT.into(),
            context: pairs(),
        };
        let batch = v1::BatchEncryptRequest {
            name: KEY.into(),
            items: vec![item; 3],
        };
        client.batch_encrypt(batch).await.unwrap();
        let request = v1::GenerateDataKeyRequest {
            name: KEY.into(),
            context: pairs(),
            length: 32,
        };
        client
            .generate_data_key(request)
            .await
            .unwrap()
            .into_inner()
    });
    vec![key.plaintext]
}

/// Evaluates along two edges, well and badly; the pseudonyms and what they stand for are canaries.
fn pseudonyms(kms: &mut Deployment) -> Vec<Vec<u8>> {
    let link = Gateway::connect(kms, "link-pseudonymiser");
    let project = Gateway::connect(kms, "project-01-pseudonymiser");
    let first = link.pseudonymise(LINK, &[IDENTIFIER]).unwrap().remove(0);
    link.pseudonymise(LINK, &[BAD_IDENTIFIER]).unwrap_err();
    link.pseudonymise(PROJECT, &[IDENTIFIER]).unwrap_err();
    let mistyped = format!("{}q", &first[..first.len() - 1]);
    // Two calls of a run, of which one is sent again; the digests that anybody can compute.
    let named = || vec![identifier(Opaque(IDENTIFIER.to_owned()))];
    let run = |offset| v1::Batch {
        id: "6f1c2a5e-52d8-4f0e-9d3a-2f2f0c7b9e11".to_owned(),
        expected: 2,
        offset,
    };
    for offset in [0, 1, 1] {
        link.part(LINK, named(), Some(run(offset))).unwrap();
    }
    let canonical = Identifier::opaque(Zeroizing::new(IDENTIFIER.to_owned()));
    let canonical = canonical.unwrap().canonical();
    let length = u32::try_from(canonical.len()).unwrap().to_be_bytes();
    let content = [length.as_slice(), &canonical].concat();
    let digests = [IDENTIFIER.as_bytes(), &canonical, &content].map(Sha256::digest);
    let asked = [first.clone(), mistyped.clone(), IDENTIFIER.to_owned()];
    let asked = asked
        .into_iter()
        .map(|text| identifier(Parent(text)))
        .collect();
    let results = project.evaluate(PROJECT, asked).unwrap();
    let second = results.into_iter().next().unwrap().unwrap();
    let values = [&first, &second].map(|text| Pseudonym::parse(text).unwrap().value.to_vec());
    let mut canaries = vec![
        first.into_bytes(),
        second.into_bytes(),
        mistyped.into_bytes(),
    ];
    canaries.extend(values);
    canaries.extend(digests.map(|digest| digest.to_vec()));
    canaries
}

/// What the command line says when it fails.
fn command_line(kms: &Deployment) -> String {
    let path = |name: &str| kms.directory().join(name);
    fs::write(
        path("p.csv"),
        format!("ID,N\n{IDENTIFIER},1\n{BAD_IDENTIFIER},2\n"),
    )
    .unwrap();
    fs::write(path("plain"), PLAINTEXT).unwrap();
    let bound = format!("{CONTEXT_NAME}={CONTEXT_VALUE}");
    let etl = kms.cli("lyon-etl");
    let service = kms.cli("link-pseudonymiser");
    let seal = [
        "encrypt",
        "plain",
        "--key",
        "ingest-lyon/object",
        "--context",
        &bound,
    ];
    etl.run(seal).succeeds();
    let eval = ["pseudonym", "eval", "--edge", "warehouse/link"];
    [
        service.run([
            "pseudonym",
            "map",
            "p.csv",
            "--column",
            "ID",
            "--edge",
            "warehouse/link",
        ]),
        service.run_with(eval, format!("{BAD_IDENTIFIER}\n").as_bytes()),
        etl.run_with(eval, format!("{IDENTIFIER}\n").as_bytes()),
        etl.run([
            "decrypt",
            "plain.kms",
            "-O",
            "out",
            "--context",
            &format!("{CONTEXT_NAME}=other"),
        ]),
        etl.run([
            "encrypt",
            "plain",
            "--key",
            "ingest-lyon/objekt",
            "--context",
            &bound,
            "-O",
            "out",
        ]),
    ]
    .map(|failed| {
        assert_ne!(failed.code(), Some(0), "{failed}");
        failed.stderr
    })
    .concat()
}

/// The ways in which bytes are usually written down.
fn disguises(canary: &[u8]) -> Vec<Vec<u8>> {
    let debug = format!("{canary:?}");
    let listed = debug.trim_matches(['[', ']']).to_owned();
    let mut disguises = vec![
        canary.to_vec(),
        HEXLOWER.encode(canary).into_bytes(),
        HEXUPPER.encode(canary).into_bytes(),
        listed.into_bytes(),
    ];
    // Inside something longer it may begin at any byte of a group of three, and its last group
    // depends on what follows.
    for begin in 0..3 {
        let whole = &canary[begin..];
        let whole = &whole[..whole.len() / 3 * 3];
        disguises.push(BASE64.encode(whole).into_bytes());
        disguises.push(BASE64URL.encode(whole).into_bytes());
    }
    disguises
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
