//! What is asked again, and what a missing answer means.

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

use kms_client::{Client, Kind, Pseudonyms, v1};
use service::{Pki, Service};
use std::sync::atomic::Ordering;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(300);

async fn begin() -> (Service, Client) {
    let pki = Pki::new();
    let service = Service::start(&pki).await;
    let client = service.client(&pki).await;
    (service, client)
}

fn change(request_id: &str) -> v1::ImportKeyRequest {
    v1::ImportKeyRequest {
        name: "spaces/a/keys/b".into(),
        request_id: request_id.into(),
        ..v1::ImportKeyRequest::default()
    }
}

fn ask() -> v1::GenerateRandomRequest {
    v1::GenerateRandomRequest { length: 1 }
}

#[tokio::test]
async fn a_change_keeps_its_request_id_over_the_attempts() {
    let (service, client) = begin().await;
    service.shared.unavailable.store(2, Ordering::SeqCst);
    client.import_key(change("")).await.unwrap();
    client.import_key(change("")).await.unwrap();
    client.import_key(change("mine")).await.unwrap();
    let ids = service.shared.request_ids.lock().unwrap().clone();
    assert_eq!(ids.len(), 5);
    assert_eq!(ids[0].len(), 36, "a UUID: {ids:?}");
    assert!(
        ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3],
        "{ids:?}"
    );
    assert_eq!(ids[4], "mine");
}

#[tokio::test]
async fn without_an_answer_a_change_may_have_happened_and_a_question_may_be_repeated() {
    let (service, client) = begin().await;
    service.shared.silent.store(true, Ordering::SeqCst);
    let client = client.with_deadline(SHORT);
    let told = client.import_key(change("")).await.unwrap_err();
    assert_eq!(told.kind(), Kind::Unknown, "{told}");
    assert!(
        told.to_string().contains("look before you ask again"),
        "{told}"
    );
    let told = client.generate_random(ask()).await.unwrap_err();
    assert_eq!(told.kind(), Kind::Unavailable, "{told}");
    assert!(
        told.to_string().contains("no answer within 0.3 s"),
        "{told}"
    );
}

#[tokio::test]
async fn a_final_answer_is_not_asked_again() {
    let (service, client) = begin().await;
    let wrong = v1::DecryptRequest {
        name: "spaces/a/keys/b".into(),
        ..v1::DecryptRequest::default()
    };
    let told = client.decrypt(wrong).await.unwrap_err();
    assert_eq!(told.kind(), Kind::Invalid);
    assert_eq!(service.calls(), 1);
}

#[tokio::test]
async fn what_is_free_again_only_tomorrow_is_not_asked_again_today() {
    let (service, client) = begin().await;
    let wait = Duration::from_secs(24 * 3600);
    *service.shared.used_up.lock().unwrap() = Some(wait);
    let told = client.generate_random(ask()).await.unwrap_err();
    assert_eq!((told.kind(), told.wait()), (Kind::Exhausted, Some(wait)));
    assert_eq!(service.calls(), 1);
    *service.shared.used_up.lock().unwrap() = Some(Duration::from_millis(1));
    let told = client.generate_random(ask()).await.unwrap_err();
    assert_eq!(told.kind(), Kind::Exhausted);
    assert!(service.calls() > 2, "what passes soon is asked again");
}

#[tokio::test]
async fn a_connection_that_breaks_under_a_change_leaves_its_outcome_unknown() {
    // A way to the service that is cut while the answer is awaited.
    let pki = Pki::new();
    let service = Service::start(&pki).await;
    service.shared.silent.store(true, Ordering::SeqCst);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = service.port;
    let way = tokio::spawn(async move {
        let (mut here, _) = listener.accept().await.unwrap();
        let mut there = tokio::net::TcpStream::connect(("127.0.0.1", behind))
            .await
            .unwrap();
        drop(tokio::io::copy_bidirectional(&mut here, &mut there).await);
    });
    let client = Client::connect(&pki.target(port, "client")).await.unwrap();
    let changing = tokio::spawn(async move { client.import_key(change("")).await });
    while service.shared.request_ids.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    way.abort();
    let told = changing.await.unwrap().unwrap_err();
    // Asked again with the same id, but nobody listens any more: it is still not known.
    assert_eq!(told.kind(), Kind::Unknown, "{told}");
}

/// A stream that breaks is opened again, and what had no answer is asked again, in order; whoever
/// stays away for too long is given up, and nothing is lost by that.
#[tokio::test]
async fn a_stream_of_identifiers_outlives_its_connection() {
    let (service, client) = begin().await;
    let message = |number: usize| v1::PseudonymiseRequest {
        name: "spaces/a/edges/b".into(),
        identifiers: vec![v1::Identifier {
            identifier: Some(v1::identifier::Identifier::Opaque(format!("p{number}"))),
        }],
        batch: None,
    };
    let mut stream: Pseudonyms = client.stream(Duration::from_secs(30));
    let (mut asked, mut answered) = (0, 0);
    while answered < 20 {
        while asked < 20 && stream.has_room() {
            stream.ask(message(asked)).unwrap();
            asked += 1;
        }
        if answered == 7 {
            service.shared.unavailable.store(3, Ordering::SeqCst);
        }
        let answer = stream.answer().await.unwrap().unwrap();
        let Some(v1::pseudonymise_response::result::Result::Pseudonym(text)) =
            &answer.results[0].result
        else {
            panic!("{answer:?}");
        };
        assert_eq!(*text, service::pseudonym(&format!("p{answered}")));
        answered += 1;
    }
    assert!(stream.answer().await.unwrap().is_none());

    let mut stream: Pseudonyms = client.stream(SHORT);
    stream.ask(message(1)).unwrap();
    service.shared.unavailable.store(u32::MAX, Ordering::SeqCst);
    let told = stream.answer().await.unwrap_err();
    assert_eq!(told.kind(), Kind::Unavailable, "{told}");
    service.shared.unavailable.store(0, Ordering::SeqCst);
    assert!(stream.answer().await.unwrap().is_some());
    for number in 0..Pseudonyms::UNDER_WAY {
        stream.ask(message(number)).unwrap();
    }
    assert!(!stream.has_room() && stream.ask(message(0)).is_err());
}
