//! A person's sign-in goes with every call for as long as it is in force, and nowhere else.

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

use kms_client::{Client, Error, Kind, SignIn, v1};
use kms_openid::Thumbprint;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use service::{Pki, Service};

const TOKEN: &str = "aaaa.bbbb.cccc";

/// A sign-in over the certificate of this name, that ends in so many milliseconds.
fn sign_in(pki: &Pki, name: &str, ends_in: i64) -> SignIn {
    let der = CertificateDer::from_pem_file(pki.path(&format!("{name}.pem"))).unwrap();
    let expires = jiff::Timestamp::now().as_millisecond() + ends_in;
    serde_json::from_value(serde_json::json!({
        "issuer": "https://id.example",
        "client_id": "kms",
        "subject": "olivia",
        "certificate": Thumbprint::of(&der).to_hex(),
        "expires": expires,
        "token": TOKEN,
    }))
    .unwrap()
}

async fn ask(client: &Client) -> Result<(), Error> {
    let asked = v1::GenerateRandomRequest { length: 1 };
    client.generate_random(asked).await.map(|_| ())
}

#[tokio::test]
async fn every_call_carries_the_token_and_nothing_shows_it() {
    let pki = Pki::new();
    let service = Service::start(&pki).await;
    let bare = service.client(&pki).await;
    let sign_in = sign_in(&pki, "client", 60_000);
    let client = bare.clone().signed_in(&sign_in).unwrap();
    ask(&client).await.unwrap();
    ask(&client).await.unwrap();
    ask(&bare).await.unwrap();
    let sent = Some(format!("Bearer {TOKEN}"));
    let seen = service.shared.authorizations.lock().unwrap();
    assert_eq!(*seen, [sent.clone(), sent, None]);
    assert!(!format!("{client:?} {sign_in:?}").contains(TOKEN));
}

#[tokio::test]
async fn a_token_of_another_certificate_is_not_sent() {
    let pki = Pki::new();
    let service = Service::start(&pki).await;
    let other = sign_in(&pki, "server", 60_000);
    let told = service.client(&pki).await.signed_in(&other).unwrap_err();
    assert_eq!(told.kind(), Kind::Refused);
    assert!(
        told.to_string()
            .contains("another certificate than this one; run kms login")
    );
}

#[tokio::test]
async fn a_sign_in_that_ends_ends_the_calls() {
    let pki = Pki::new();
    let service = Service::start(&pki).await;
    let client = service.client(&pki).await;
    let ended = client
        .clone()
        .signed_in(&sign_in(&pki, "client", 0))
        .unwrap_err();
    assert_eq!(ended.kind(), Kind::Refused);
    assert!(ended.to_string().ends_with("run kms login"), "{ended}");

    let client = client.signed_in(&sign_in(&pki, "client", 300)).unwrap();
    let told = loop {
        if let Err(told) = ask(&client).await {
            break told;
        }
    };
    assert_eq!(told.kind(), Kind::Refused, "{told}");
    assert!(told.to_string().ends_with("run kms login"), "{told}");
    let seen = service.shared.authorizations.lock().unwrap();
    assert!(!seen.is_empty() && seen.iter().all(Option::is_some));
}
