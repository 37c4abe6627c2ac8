//! The provider's keys come and go, and so does the provider.

use super::{Desk, Hand, verifier};
use jsonwebtoken::Algorithm;
use kms_core::{Kind, time::Time};
use serde_json::json;
use softhsm_tests::issuer::{Signer, now};
use std::{sync::Arc, time::Duration};

const PAUSE: Duration = Duration::from_secs(10);
const FRESH: Duration = Duration::from_secs(5 * 60);
const TRUSTED: Duration = Duration::from_secs(60 * 60);

type Make = Box<dyn FnOnce(String) -> Signer>;

#[tokio::test]
async fn every_accepted_algorithm_is_and_no_other() {
    let desk = Desk::new();
    let accepted: [Make; 5] = [
        Box::new(Signer::es256),
        Box::new(Signer::es384),
        Box::new(Signer::eddsa),
        Box::new(Signer::rsa(Algorithm::RS256)),
        Box::new(Signer::rsa(Algorithm::PS256)),
    ];
    for make in accepted {
        desk.issuer.rotate(make);
        desk.hand.forward(PAUSE);
        desk.verify(&desk.token()).await.unwrap();
    }
    for algorithm in [Algorithm::RS384, Algorithm::PS512] {
        desk.issuer.rotate(Signer::rsa(algorithm));
        desk.hand.forward(PAUSE);
        let error = desk.verify(&desk.token()).await.unwrap_err();
        assert!(
            error.message().contains("algorithm that is not accepted"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_new_key_is_found_and_strange_names_do_not_hammer_the_provider() {
    let desk = Desk::new();
    let old = desk.token();
    desk.verify(&old).await.unwrap();
    assert_eq!(desk.issuer.asked_for_keys(), 1);

    desk.issuer.rotate(Signer::es256);
    let new = desk.token();
    let error = desk.verify(&new).await.unwrap_err();
    assert!(
        error
            .message()
            .contains("not signed by a key that the OpenID provider shows")
    );
    assert_eq!(desk.issuer.asked_for_keys(), 1);

    desk.hand.forward(PAUSE);
    desk.verify(&new).await.unwrap();
    desk.verify(&old).await.unwrap();
    assert_eq!(desk.issuer.asked_for_keys(), 2);

    desk.hand.forward(PAUSE);
    for number in 0..50 {
        let garbage = desk.issuer.access_token(&desk.certificate, |token| {
            token.header["kid"] = format!("strange-{number}").into();
        });
        assert!(desk.verify(&garbage).await.is_err());
        desk.verify(&new).await.unwrap();
    }
    assert_eq!(desk.issuer.asked_for_keys(), 3);
}

#[tokio::test]
async fn a_dropped_key_ends_soon() {
    let desk = Desk::new();
    let old = desk.token();
    desk.verify(&old).await.unwrap();
    desk.issuer.rotate(Signer::es256);
    desk.issuer.drop_old_keys();
    desk.hand.forward(FRESH);
    let error = desk.verify(&old).await.unwrap_err();
    assert!(
        error
            .message()
            .contains("not signed by a key that the OpenID provider shows")
    );
    desk.verify(&desk.token()).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_is_away_is_believed_for_an_hour() {
    let desk = Desk::new();
    let token = desk.token();
    desk.verify(&token).await.unwrap();
    desk.issuer.behave(|provider| provider.away = true);
    for _ in 0..3 {
        desk.hand.forward(FRESH);
        desk.verify(&token).await.unwrap();
    }
    desk.hand.forward(TRUSTED);
    let error = desk.verify(&token).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.message().contains("cannot be reached"), "{error}");

    desk.issuer.behave(|provider| provider.away = false);
    // Not before the pause is over, and then at once.
    assert!(desk.verify(&token).await.is_err());
    desk.hand.forward(PAUSE);
    desk.verify(&token).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_was_never_seen_vouches_for_nobody() {
    let desk = Desk::new();
    let token = desk.token();
    let fails = async |verifier: super::Verifier| {
        let error = verifier
            .verify(&token, &desk.certificate, Time(now() * 1000))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    };
    let fresh = |authority| verifier(&desk.issuer, authority, Arc::new(Hand::default()));
    // Its certificate is of another authority than ours.
    fails(fresh(&desk.identity.ca)).await;
    let authority = desk.issuer.authority();
    for (name, value) in [
        ("issuer", json!("https://elsewhere.example")),
        ("jwks_uri", json!("http://127.0.0.1:1/keys")),
        ("jwks_uri", json!(format!("{}/nowhere", desk.issuer.url()))),
        ("jwks_uri", json!(null)),
    ] {
        desk.issuer
            .behave(|provider| provider.metadata = vec![(name, value)]);
        fails(fresh(&authority)).await;
    }
    desk.issuer.behave(|provider| provider.metadata = vec![]);
    fails_not(fresh(&authority), &desk, &token).await;
}

async fn fails_not(verifier: super::Verifier, desk: &Desk, token: &str) {
    let time = Time(now() * 1000);
    verifier
        .verify(token, &desk.certificate, time)
        .await
        .unwrap();
}

#[tokio::test]
async fn many_who_come_at_once_ask_once() {
    let desk = Arc::new(Desk::new());
    let token = desk.token();
    // One who goes away half way takes nothing with him.
    let mut gone = Box::pin(desk.verify(&token));
    assert!(futures::poll!(&mut gone).is_pending());
    drop(gone);
    let all: Vec<_> = (0..20)
        .map(|_| {
            let (desk, token) = (Arc::clone(&desk), token.clone());
            tokio::spawn(async move { desk.verify(&token).await })
        })
        .collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    assert_eq!(desk.issuer.asked_for_keys(), 1);
}
