//! Each way in which two ends can fail to trust each other is one sentence and one kind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test may panic, and each suite uses a part of the service"
)]

mod service;

use kms_client::{Client, Kind};
use rcgen::date_time_ymd;
use service::pki::set_mode;
use service::{Pki, Service, first_call};

#[tokio::test]
async fn two_ends_that_trust_each_other_speak() {
    let pki = Pki::new();
    let service = Service::start(&pki).await;
    let client = service.client(&pki).await;
    let asked = kms_client::v1::GenerateRandomRequest { length: 3 };
    assert_eq!(client.generate_random(asked).await.unwrap().random, [7; 3]);
}

#[tokio::test]
async fn a_refused_certificate_says_why() {
    let pki = Pki::new();
    pki.issue("expired", |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    pki.issue_elsewhere("stranger", "another authority");
    pki.issue_elsewhere("namesake", "authority of the test");
    pki.issue("revoked", |params| {
        params.serial_number = Some(rcgen::SerialNumber::from(77));
    });
    let service = Service::start_with(&pki, vec![pki.revoke(77)]).await;
    for (name, sentence) in [
        (
            "expired",
            "the server refused your certificate: it has expired, or is not valid yet; check its dates and renew it",
        ),
        (
            "revoked",
            "the server refused your certificate: it was revoked; ask for a new one",
        ),
        (
            "stranger",
            "the server refused your certificate: it does not come from an authority",
        ),
        (
            "namesake",
            "the server refused your certificate: it does not come from an authority",
        ),
    ] {
        // Again and again: the alert must not be lost when the connection is reset after it.
        for _ in 0..20 {
            let told = first_call(&pki.target(service.port, name)).await;
            assert_eq!(told.kind(), Kind::Tls, "{told}");
            assert!(told.to_string().starts_with(sentence), "{told}");
        }
    }
}

#[tokio::test]
async fn a_service_that_cannot_be_trusted_is_not_spoken_to() {
    let (pki, other) = (Pki::new(), Pki::new());
    let service = Service::start(&pki).await;
    let mut target = pki.target(service.port, "client");
    target.ca = other.path("ca.pem");
    let told = first_call(&target).await;
    assert_eq!(told.kind(), Kind::Tls);
    assert!(
        told.to_string()
            .contains("does not come from the authority in your ca file"),
        "{told}"
    );

    pki.issue("server", |params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("elsewhere".try_into().unwrap())];
    });
    let service = Service::start(&pki).await;
    let told = first_call(&pki.target(service.port, "client")).await;
    assert_eq!(told.kind(), Kind::Tls);
    assert!(
        told.to_string()
            .contains("is for another name than 127.0.0.1"),
        "{told}"
    );

    pki.issue("server", |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let service = Service::start(&pki).await;
    let told = first_call(&pki.target(service.port, "client")).await;
    assert_eq!(told.kind(), Kind::Tls);
    assert!(told.to_string().contains("has expired"), "{told}");
}

#[tokio::test]
async fn nobody_there_and_no_tls_there() {
    let pki = Pki::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let told = Client::connect(&pki.target(port, "client"))
        .await
        .unwrap_err();
    assert_eq!(told.kind(), Kind::Unavailable);
    assert!(
        told.to_string()
            .ends_with("nobody listens there; is the service running?"),
        "{told}"
    );

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    let told = Client::connect(&pki.target(port, "client"))
        .await
        .unwrap_err();
    assert_eq!(told.kind(), Kind::Tls);
    assert!(told.to_string().contains("does not speak TLS"), "{told}");
}

#[tokio::test]
async fn files_that_are_not_what_they_should_be_are_named() {
    let pki = Pki::new();
    let right = pki.target(1, "client");

    set_mode(&right.key, 0o640);
    let told = Client::connect(&right).await.unwrap_err();
    assert_eq!(told.kind(), Kind::Io);
    assert!(
        told.to_string().contains("others can read the private key"),
        "{told}"
    );
    set_mode(&right.key, 0o600);

    let mut target = right.clone();
    target.certificate = pki.path("absent.pem");
    let told = Client::connect(&target).await.unwrap_err();
    assert_eq!(told.kind(), Kind::Io);
    assert!(told.to_string().contains("absent.pem"), "{told}");

    target.certificate = right.key.clone();
    let told = Client::connect(&target).await.unwrap_err();
    assert_eq!(told.kind(), Kind::Tls);
    assert!(
        told.to_string().contains("is not a PEM certificate"),
        "{told}"
    );

    let mut target = right.clone();
    target.key = pki.path("server.key");
    let told = Client::connect(&target).await.unwrap_err();
    assert_eq!(told.kind(), Kind::Tls);
    assert!(told.to_string().contains("server.key"), "{told}");
}
