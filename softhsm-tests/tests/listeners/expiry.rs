//! Certificates that end.

use super::{address, ended, held::Held, knock, refused, revocation::Program, until_refused};
use rustls::{HandshakeKind, pki_types::ServerName};
use softhsm_tests::{Deployment, channel::client_tls, pki::valid_for, wait::until};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

#[test]
fn a_connection_ends_with_its_certificate() {
    let mut kms = Deployment::emc2().start();
    let door = address(&mut kms, 0);
    // On a busy machine the shortest life may be over before the connection is there.
    let (short, held) = [3, 12, 48]
        .into_iter()
        .find_map(|life| {
            let short = kms.authority().forged("person/ada", "short", |p| {
                valid_for(p, -60, life);
            });
            let short = short.unwrap();
            Held::open(&door, &short).ok().map(|held| (short, held))
        })
        .expect("a connection before the certificate ends");
    let mut other = Held::open(&door, kms.identity("ada")).unwrap();
    held.until_cut();
    assert!(other.is_open());
    assert_eq!(ended(&mut kms, "expired"), 1.0);
    let said = knock(&door, &short).unwrap_err();
    assert!(said.contains("CertificateExpired"), "{said}");
    until_refused(&mut kms, "expired", 1.0);
}

/// A service whose certificates live for hours is never without one: the next is in its files before
/// the last has ended.
#[test]
fn a_program_goes_on_with_its_next_certificate() {
    let mut kms = Deployment::emc2().start();
    let door = address(&mut kms, 0);
    let next = kms.identity("lyon-etl").clone();
    let (short, program) = [3, 12, 48]
        .into_iter()
        .find_map(|life| {
            let short = kms.authority().forged("service/lyon-etl", "short", |p| {
                valid_for(p, -60, life);
            });
            let short = short.unwrap();
            let program = Program::connect(&door, &short).ok()?;
            Some((short, program))
        })
        .expect("a connection before the certificate ends");
    fs::copy(&next.key, &short.key).unwrap();
    fs::copy(&next.certificate, &short.certificate).unwrap();
    until("its certificate to end", || {
        (ended(&mut kms, "expired") > 0.0).then_some(())
    });
    program.random().unwrap();
    assert_eq!(refused(&mut kms, "expired"), 0.0);
}

/// A resumed session would show no certificate: there is none to resume.
#[test]
fn every_connection_shows_its_certificate_again() {
    let mut kms = Deployment::emc2().start();
    let door = address(&mut kms, 0);
    let config = Arc::new(client_tls(kms.identity("ada")).unwrap());
    for _ in 0..3 {
        let name = ServerName::try_from("localhost").unwrap();
        let session = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
        let mut tls = rustls::StreamOwned::new(session, TcpStream::connect(&door).unwrap());
        tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .unwrap();
        let mut answer = [0; 9];
        tls.read_exact(&mut answer).unwrap();
        assert_eq!(tls.conn.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(tls.conn.tls13_tickets_received(), 0);
    }
}
