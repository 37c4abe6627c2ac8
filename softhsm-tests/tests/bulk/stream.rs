//! The stream itself, by generated stubs: what it takes in, what ends it.

use crate::{LINK, begin};
use kms_proto::v1::{self, pseudonym_service_client::PseudonymServiceClient};
use softhsm_tests::gateway::{Gateway, identifier, reason};
use softhsm_tests::wait::until;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic::{Code, Request, Status, Streaming};
use v1::identifier::Identifier::Opaque;

fn message(edge: &str, number: usize, count: usize) -> v1::PseudonymiseRequest {
    let each = (0..count).map(|n| identifier(Opaque(format!("P-{number}-{n}"))));
    v1::PseudonymiseRequest {
        name: edge.to_owned(),
        identifiers: each.collect(),
        batch: None,
    }
}

async fn open(
    channel: tonic::transport::Channel,
    messages: impl tokio_stream::Stream<Item = v1::PseudonymiseRequest> + Send + 'static,
) -> Streaming<v1::PseudonymiseResponse> {
    let mut service = PseudonymServiceClient::new(channel);
    let opened = service.stream_pseudonymise(messages).await;
    opened.unwrap().into_inner()
}

/// 60 answers of some 100 KB: three times the window that a client of HTTP/2 opens (2 MiB).
const MESSAGES: usize = 60;
const IDENTIFIERS: usize = 2_000;

#[test]
fn who_does_not_read_is_not_evaluated_for_and_hears_everything_in_order_afterwards() {
    let mut kms = begin();
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    let other = Gateway::connect(&mut kms, "link-pseudonymiser");
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let messages = tokio_stream::iter(0..MESSAGES).map(move |number| {
        counted.fetch_add(1, Ordering::SeqCst);
        message(LINK, number, IDENTIFIERS)
    });
    let mut answers = link.call(async |channel| open(channel, messages).await);
    let items = "kms_items_total{action=\"Pseudonymise\"}";
    let mut others = 0.0;
    // What the stream was evaluated for; others are told apart by their number.
    let evaluated = |kms: &mut softhsm_tests::Deployment, others: f64| {
        kms.metrics().value(items).unwrap_or(0.0) - others
    };
    until("the first messages to be evaluated", || {
        (evaluated(&mut kms, 0.0) > 0.0).then_some(())
    });
    // Others are served meanwhile, and time passes by what they ask: it stands still while fifty
    // calls are answered.
    let mut before = 0.0;
    until("the stream to be held up", || {
        for _ in 0..50 {
            other.pseudonymise(LINK, &["SYNTHETIC-1"]).unwrap();
            others += 1.0;
        }
        let now = evaluated(&mut kms, others);
        let stands = now <= before;
        before = now;
        stands.then_some(())
    });
    // What fits in the client's window, and what is under way.
    let most = 30.0 * IDENTIFIERS as f64;
    println!(
        "{before} of {} were evaluated for nobody",
        MESSAGES * IDENTIFIERS
    );
    assert!(before <= most, "{before} identifiers were evaluated");

    let link_answers = link.call(async |_channel| {
        let mut all = Vec::new();
        while let Some(answer) = answers.next().await {
            all.push(answer.unwrap());
        }
        all
    });
    assert_eq!(link_answers.len(), MESSAGES);
    assert_eq!(taken.load(Ordering::SeqCst), MESSAGES);
    for (number, answer) in link_answers.iter().enumerate().step_by(13) {
        let first = link
            .pseudonymise(LINK, &[&format!("P-{number}-0")])
            .unwrap();
        let told = answer.results[0].result.clone().unwrap();
        let made = v1::pseudonymise_response::result::Result::Pseudonym(first[0].clone());
        assert_eq!(told, made, "message {number}");
        assert_eq!(answer.results.len(), IDENTIFIERS);
    }
}

/// What ends a stream of these messages, and how many were answered before.
fn ended(gateway: &Gateway, messages: Vec<v1::PseudonymiseRequest>) -> (usize, Option<Status>) {
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
    let mut kms = begin();
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    let messages = |edge: &str| {
        vec![
            message(LINK, 0, 3),
            message(LINK, 1, 3),
            message(edge, 2, 3),
        ]
    };
    assert_eq!(ended(&link, messages(LINK)).0, 3);
    let (answered, status) = ended(&link, messages("spaces/project-01/edges/warehouse"));
    assert_eq!(
        (answered, reason(&status.unwrap())),
        (2, "REFUSED".to_owned())
    );
    let (answered, status) = ended(&link, vec![message(LINK, 0, 0)]);
    assert_eq!(
        (answered, reason(&status.unwrap())),
        (0, "INVALID".to_owned())
    );
    let ada = Gateway::connect(&mut kms, "ada");
    let records = ada.records(v1::Log::Uses).unwrap();
    let of_link = records.iter().filter(|r| {
        r["api"]["operation"] == "Pseudonymise"
            && r["actor"]["user"]["uid"]
                .as_str()
                .unwrap()
                .ends_with("link-pseudonymiser")
    });
    assert_eq!(of_link.count(), 7, "one record for each message");
    // Too long to be read: told and recorded as any mistake.
    let long = vec![message(LINK, 0, 1_000_000)];
    let (_, status) = ended(&link, long);
    assert!(
        status.as_ref().unwrap().message().contains("8 MiB"),
        "{status:?}"
    );
    let records = ada.records(v1::Log::Uses).unwrap();
    assert!(
        records
            .iter()
            .any(|r| r.to_string().contains("8 MiB") || r["status_code"] == "INVALID")
    );
}

#[test]
fn a_deadline_and_the_end_of_the_service_end_a_stream_that_is_open() {
    let mut kms = begin();
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    // It asks once and then stays open.
    let waiting = || tokio_stream::once(message(LINK, 0, 2)).chain(tokio_stream::pending());
    let late = link.call(async |channel| {
        let mut request = Request::new(waiting());
        request.set_timeout(Duration::from_millis(1_500));
        let mut service = PseudonymServiceClient::new(channel);
        let mut answers = service
            .stream_pseudonymise(request)
            .await
            .unwrap()
            .into_inner();
        assert!(answers.next().await.unwrap().is_ok());
        answers.next().await.unwrap().unwrap_err()
    });
    // The server says so, or the client's own clock, whichever is first.
    assert!(
        matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{late:?}"
    );
    let mut answers = link.call(async |channel| open(channel, waiting()).await);
    link.call(async |_| answers.next().await.unwrap().unwrap());
    assert!(kms.terminate().success());
    let status = link.call(async |_| answers.next().await.unwrap().unwrap_err());
    assert_eq!(reason(&status), "UNAVAILABLE", "{status:?}");
    assert!(
        status.message().contains("send again what has no answer"),
        "{status:?}"
    );
    assert!(!kms.log().contains("did not end within"), "{}", kms.log());
}
