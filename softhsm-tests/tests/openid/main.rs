//! People sign in: the service's judgement of tokens and `kms login`, against a real provider over
//! mutual TLS that misbehaves when it is told to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod keys;
mod login;
mod person;
mod service;
mod tokens;

use kms_core::{Error, caller::SignIn, time::Time};
use kms_openid::Thumbprint;
use kms_server::{
    clock::Clock,
    openid::{Settings, Verifier},
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::json;
use softhsm_tests::{
    Authority, Identity, Issuer,
    issuer::{AUDIENCE, CLIENT_ID, Token, now},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A provider, a service that trusts it, and the certificate of whoever calls.
struct Desk {
    directory: tempfile::TempDir,
    issuer: Issuer,
    verifier: Arc<Verifier>,
    hand: Arc<Hand>,
    certificate: Thumbprint,
    identity: Identity,
}

/// A change of a token, and what is said of it.
type Attack = (fn(&mut Token), &'static str);

/// A clock that moves when a test moves it.
#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Hand {
    fn forward(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Time {
        panic!("the verifier is told what time it is")
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create(directory.path(), "dev.emc2.example").unwrap();
        let identity = authority.client("person/olivia").unwrap();
        let issuer = Issuer::start();
        issuer.admit(&authority.certificate());
        let hand = Arc::new(Hand::default());
        let verifier = Arc::new(verifier(&issuer, &issuer.authority(), hand.clone()));
        let certificate = thumbprint(&identity.certificate);
        Self {
            directory,
            issuer,
            verifier,
            hand,
            certificate,
            identity,
        }
    }

    /// A good token of the holder of this desk's certificate.
    fn token(&self) -> String {
        self.issuer.access_token(&self.certificate, |_| ())
    }

    /// What the service makes of a token, over a connection with this desk's certificate.
    async fn verify(&self, token: &str) -> Result<SignIn, Error> {
        let time = Time(now() * 1000);
        self.verifier.verify(token, &self.certificate, time).await
    }
}

fn verifier(issuer: &Issuer, authority: &Path, clock: Arc<dyn Clock>) -> Verifier {
    let settings: Settings = serde_json::from_value(json!({
        "issuer": issuer.url(),
        "audience": AUDIENCE,
        "client_id": CLIENT_ID,
        "authority": authority,
        "strong": { "acr": ["mfa"] },
    }))
    .unwrap();
    Verifier::new(settings, clock).unwrap()
}

fn thumbprint(certificate: &Path) -> Thumbprint {
    Thumbprint::of(&CertificateDer::from_pem_file(certificate).unwrap())
}
