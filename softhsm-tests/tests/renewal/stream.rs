//! The stream of translations itself, by generated stubs: what it takes in, what ends it.

use crate::bench::{Bench, LINK};
use kms_proto::v1::{self, renewal_service_client::RenewalServiceClient};
use softhsm_tests::gateway::{Gateway, passages, reason};
use softhsm_tests::wait::until;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_stream::StreamExt;
use tonic::{Status, Streaming};

const EDGE: &str = "spaces/warehouse/edges/link";
const WHO: &str = "link-pseudonymiser";

/// 60 answers of some 150 KB: four times the window that a client of HTTP/2 opens (2 MiB).
const MESSAGES: usize = 60;
const PASSAGES: usize = 1_200;

fn begin() -> Bench {
    let bench = Bench::new();
    bench.starts((LINK, "recompute", "service/link-pseudonymiser"), 1_000_000);
    bench
}

fn message(edge: &str, number: usize, count: usize) -> v1::TranslateRequest {
    let names: Vec<String> = (0..count).map(|n| format!("P-{number}-{n}")).collect();
    passages(edge, &names, None)
}

async fn open(
    channel: tonic::transport::Channel,
    messages: impl tokio_stream::Stream<Item = v1::TranslateRequest> + Send + 'static,
) -> Streaming<v1::TranslateResponse> {
    let mut service = RenewalServiceClient::new(channel);
    let opened = service.stream_translate(messages).await;
    opened.unwrap().into_inner()
}

#[test]
fn who_does_not_read_is_not_translated_for_and_hears_everything_in_order_afterwards() {
    let mut bench = begin();
    let link = Gateway::connect(&mut bench.kms, WHO);
    let other = Gateway::connect(&mut bench.kms, WHO);
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let messages = tokio_stream::iter(0..MESSAGES).map(move |number| {
        counted.fetch_add(1, Ordering::SeqCst);
        message(EDGE, number, PASSAGES)
    });
    let mut answers = link.call(async |channel| open(channel, messages).await);
    let items = "kms_items_total{action=\"Translate\"}";
    let mut before = 0.0;
    until("the stream to be held up", || {
        // Time passes by what others ask.
        for _ in 0..50 {
            other.pseudonymise(EDGE, &["SYNTHETIC-1"]).unwrap();
        }
        let now = bench.kms.metrics().value(items).unwrap_or(0.0);
        let stands = now > 0.0 && now <= before;
        before = now;
        stands.then_some(())
    });
    println!(
        "{before} of {} were translated for nobody",
        MESSAGES * PASSAGES
    );
    assert!(before <= 30.0 * PASSAGES as f64, "{before} passages");
    let all = link.call(async |_channel| {
        let mut all = Vec::new();
        while let Some(answer) = answers.next().await {
            all.push(answer.unwrap());
        }
        all
    });
    assert_eq!(
        (all.len(), taken.load(Ordering::SeqCst)),
        (MESSAGES, MESSAGES)
    );
    for (number, answer) in all.iter().enumerate().step_by(13) {
        let alone = link.translate(EDGE, &[format!("P-{number}-0")], None);
        let (old, new) = alone.unwrap().remove(0);
        let told = answer.results[0].result.clone().unwrap();
        let pair = v1::translate_response::Pair { old, new };
        assert_eq!(told, v1::translate_response::result::Result::Pair(pair));
        assert_eq!(answer.results.len(), PASSAGES);
    }
}

/// What ends a stream of these messages, and how many were answered before.
fn ended(gateway: &Gateway, messages: Vec<v1::TranslateRequest>) -> (usize, Option<Status>) {
    gateway.call(async |channel| {
        let mut answers = open(channel, tokio_stream::iter(messages)).await;
        let mut answered = 0;
        loop {
            match answers.next().await {
                Some(Ok(_)) => answered += 1,
                Some(Err(status)) => return (answered, Some(status)),
                None => return (answered, None),
            }
        }
    })
}

#[test]
fn each_message_is_a_call_of_its_own_and_a_refused_one_ends_the_stream() {
    let mut bench = begin();
    let link = Gateway::connect(&mut bench.kms, WHO);
    let of_run = |offset: u64, expected: u64| v1::TranslateRequest {
        batch: Some(v1::Batch {
            id: "6f1c2a5e-52d8-4f0e-9d3a-2f2f0c7b9e11".to_owned(),
            expected,
            offset,
        }),
        ..message(EDGE, 9, 3)
    };
    let good = || vec![message(EDGE, 0, 3), message(EDGE, 1, 3)];
    assert_eq!(ended(&link, good()).0, 2);
    let elsewhere = "spaces/project-01/edges/warehouse";
    for (wrong, word) in [
        (message(elsewhere, 2, 3), "REFUSED"),
        (message("nowhere", 2, 3), "INVALID"),
        (message(EDGE, 2, 0), "INVALID"),
        (message(EDGE, 2, 10_001), "INVALID"),
        (of_run(98, 100), "INVALID"),
        (of_run(0, 1_000_001), "KEY_STATE"),
    ] {
        let messages = good().into_iter().chain([wrong]).collect();
        let (answered, status) = ended(&link, messages);
        assert_eq!((answered, reason(&status.unwrap())), (2, word.to_owned()));
    }
    // A passage that is none has its own error, and ends nothing.
    let mut flawed = message(EDGE, 3, 2);
    flawed.passages[0].before = None;
    let (answered, status) = ended(&link, vec![flawed, message(EDGE, 4, 1)]);
    assert!(answered == 2 && status.is_none(), "{status:?}");
    // Too long to be read: told and recorded as any mistake.
    let (_, status) = ended(&link, vec![message(EDGE, 0, 1_000_000)]);
    let status = status.unwrap();
    assert!(status.message().contains("8 MiB"), "{status:?}");
    // Somebody who is not the campaign's.
    let other = Gateway::connect(&mut bench.kms, "project-01-pseudonymiser");
    let (answered, status) = ended(&other, good());
    assert_eq!(
        (answered, reason(&status.unwrap())),
        (0, "REFUSED".to_owned())
    );

    let ada = Gateway::connect(&mut bench.kms, "ada");
    let records = ada.records(v1::Log::Uses).unwrap();
    let records = || {
        records
            .iter()
            .filter(|r| r["api"]["operation"] == "Translate")
    };
    let done = records().filter(|r| r["status_id"] == 1).count();
    assert_eq!(done, 2 + 6 * 2 + 2, "one record for each message");
    let refused = records().filter(|r| r["status_id"] == 2).count();
    assert!(refused >= 8, "{refused} refusals");
}

#[test]
fn the_end_of_the_service_ends_a_stream_that_is_open() {
    let mut bench = begin();
    let link = Gateway::connect(&mut bench.kms, WHO);
    let waiting = tokio_stream::once(message(EDGE, 0, 2)).chain(tokio_stream::pending());
    let mut answers = link.call(async |channel| open(channel, waiting).await);
    link.call(async |_| answers.next().await.unwrap().unwrap());
    assert!(bench.kms.terminate().success());
    let status = link.call(async |_| answers.next().await.unwrap().unwrap_err());
    assert_eq!(reason(&status), "UNAVAILABLE", "{status:?}");
    assert!(status.message().contains("send again"), "{status:?}");
}
