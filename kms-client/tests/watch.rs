//! Proposals as they change, over a connection that does not hold.

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

use kms_client::Kind;
use service::{Pki, Service};

#[tokio::test]
async fn a_stream_that_breaks_is_opened_again_until_there_is_a_final_answer() {
    let pki = Pki::new();
    let service = Service::start(&pki).await;
    let client = service.client(&pki).await.with_purpose("cardio").unwrap();
    let mut changes = client.watch_proposals("proposals/p1").await.unwrap();
    for opened in ["1", "2", "3"] {
        let change = changes.next().await.unwrap();
        assert_eq!(change.name, "proposals/p1");
        assert_eq!(change.etag, opened);
        assert_eq!(change.proposer, "cardio", "every call states the purpose");
    }
    let refused = changes.next().await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Refused, "{refused}");
    assert_eq!(service.calls(), 3);
}

#[tokio::test]
async fn a_purpose_is_a_name() {
    let pki = Pki::new();
    let service = Service::start(&pki).await;
    let client = service.client(&pki).await;
    for wrong in ["", "Cardio", "a\nb", "ünicode"] {
        let refused = client.clone().with_purpose(wrong).unwrap_err();
        assert_eq!(refused.kind(), Kind::Usage, "{refused}");
    }
}
