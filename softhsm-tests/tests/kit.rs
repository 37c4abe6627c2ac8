//! The kit itself: what the other tests rely on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use softhsm_tests::{
    Authority, Flaw, Identity, Token, channel::client_tls, guard::Guarded, patients, token::Make,
    wait::until,
};

#[test]
fn an_authority_opened_again_issues_what_its_clients_and_servers_accept() {
    let directory = tempfile::tempdir().unwrap();
    let server = Authority::create(directory.path(), "dev.example")
        .unwrap()
        .server()
        .unwrap();
    let again = Authority::create(directory.path(), "dev.example").unwrap();
    let client = again.client("person/olivia").unwrap();
    shake_hands(&server, &client).unwrap();
    assert_eq!(mode(&client.key), 0o600);
}

/// TLS refuses what it can judge; a wrong or doubled identity is left to the server.
#[test]
fn each_flawed_certificate_is_refused_for_its_own_flaw() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), "dev.example").unwrap();
    let server = authority.server().unwrap();
    let verdict = |flaw| {
        let client = authority.flawed("person/mallory", flaw).unwrap();
        shake_hands(&server, &client).map_err(|alert| alert.to_string())
    };
    for (flaw, alert) in [
        (Flaw::Expired, "certificate expired"),
        (Flaw::NotYetValid, "certificate not valid yet"),
        (Flaw::SelfSigned, "UnknownIssuer"),
        (Flaw::OtherAuthority, "BadSignature"),
        (Flaw::ServerUsage, "does not allow extended key usage"),
    ] {
        let said = verdict(flaw).expect_err("a refusal");
        assert!(
            said.to_lowercase().contains(&alert.to_lowercase()),
            "{flaw:?}: {said}"
        );
    }
    for flaw in [Flaw::OtherTrustDomain, Flaw::NoUri, Flaw::TwoUris] {
        assert_eq!(verdict(flaw), Ok(()), "{flaw:?}");
    }
}

#[test]
fn a_token_is_made_once_and_its_pin_is_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let token = Token::create(directory.path(), "kit", Make::SoftHsm).unwrap();
    let pin = std::fs::read_to_string(token.pin_file()).unwrap();
    assert_eq!(mode(&token.pin_file()), 0o600);
    assert_eq!(pin.trim_end().len(), 16);

    Token::create(directory.path(), "kit", Make::SoftHsm).unwrap();
    assert_eq!(std::fs::read_to_string(token.pin_file()).unwrap(), pin);
    let slots = Command::new("softhsm2-util")
        .arg("--show-slots")
        .env("SOFTHSM2_CONF", token.conf())
        .output()
        .unwrap();
    let slots = String::from_utf8(slots.stdout).unwrap();
    let labels = slots
        .lines()
        .filter(|line| line.contains("Label:") && line.contains("kit"));
    assert_eq!(labels.count(), 1, "{slots}");
}

#[test]
fn the_same_seed_gives_the_same_patients_and_a_longer_file_begins_with_them() {
    let csv = |count, seed| {
        let mut out = Vec::new();
        patients::write(&mut out, count, seed).unwrap();
        String::from_utf8(out).unwrap()
    };
    let few = csv(100, 7);
    assert!(csv(200, 7).starts_with(&few));
    assert_ne!(csv(100, 8), few);
    assert_eq!(few.lines().next(), Some("ID,BIRTH_YEAR,SEX,SITE"));
    let ids: std::collections::BTreeSet<_> = few
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').next())
        .collect();
    assert_eq!(ids.len(), 100);
    assert!(ids.iter().all(|id| id.len() == 32));
}

#[test]
fn a_guarded_group_dies_with_its_owner_however_the_owner_dies() {
    let directory = tempfile::tempdir().unwrap();
    let doomed = directory.path().join("doomed");
    std::fs::create_dir(&doomed).unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "owner_of_a_guarded_group",
            "--nocapture",
        ])
        .current_dir(&doomed)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let pids: Vec<String> = said
        .filter_map(|line| line.strip_prefix("guarded ").map(str::to_owned))
        .take(2)
        .collect();
    assert!(
        pids.len() == 2 && pids.iter().all(|pid| is_running(pid)),
        "{pids:?}"
    );

    owner.kill().unwrap();
    owner.wait().unwrap();
    until("the group to die", || {
        (!pids.iter().any(|pid| is_running(pid))).then_some(())
    });
    until("its directory to go", || (!doomed.exists()).then_some(()));
}

/// A process of the test above, which kills it.
#[test]
#[ignore = "run by a_guarded_group_dies_with_its_owner_however_the_owner_dies"]
fn owner_of_a_guarded_group() {
    let here = std::env::current_dir().unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "sleep 600 & echo guarded $!; echo guarded $$; wait"])
        .stdin(Stdio::null());
    let mut group = Guarded::spawn(&mut shell, Some(&here)).unwrap();
    group.child().wait().unwrap();
}

/// Gone, or dead and only waiting to be reaped.
fn is_running(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A TLS handshake in memory, and what the server thinks of it.
fn shake_hands(server: &Identity, client: &Identity) -> Result<(), rustls::Error> {
    let certificates = |path: &Path| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(path)
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&server.ca));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .build()
        .unwrap();
    let key = PrivateKeyDer::from_pem_file(&server.key).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&server.certificate), key)
        .unwrap();
    let name = "localhost".try_into().unwrap();
    let config = (Arc::new(client_tls(client).unwrap()), Arc::new(config));
    let mut near = rustls::ClientConnection::new(config.0, name).unwrap();
    let mut far = rustls::ServerConnection::new(config.1).unwrap();
    while far.is_handshaking() {
        let mut wire = Vec::new();
        near.write_tls(&mut wire).unwrap();
        far.read_tls(&mut wire.as_slice()).unwrap();
        far.process_new_packets()?;
        let mut wire = Vec::new();
        far.write_tls(&mut wire).unwrap();
        near.read_tls(&mut wire.as_slice()).unwrap();
        near.process_new_packets()?;
    }
    let mut nothing = Vec::new();
    far.reader().read_to_end(&mut nothing).ok();
    Ok(())
}
