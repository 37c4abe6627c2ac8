//! The service as an operator runs it: a stop that drains, deadlines, health, reflection.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails; it looks at the clock to choose a deadline that must pass"
)]

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use kms_proto::v1::{
    self, identifier::Identifier::Opaque, pseudonym_service_client::PseudonymServiceClient,
};
use softhsm_tests::{
    Deployment,
    gateway::{Gateway, identifier},
    wait::until,
};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const LINK: &str = "spaces/warehouse/edges/link";

#[test]
fn it_is_run_without_surprises() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    kms.budget("warehouse/link", 10_000_000);
    says_what_it_serves_and_that_it_does(&mut kms);
    answers_at_the_deadline_and_finishes_what_it_began(&mut kms);
    drains_before_it_stops(&mut kms);
}

/// Reflection lists the services, and the health service knows each of them.
fn says_what_it_serves_and_that_it_does(kms: &mut Deployment) {
    let anybody = Gateway::connect(kms, "ada");
    let listed = anybody.call(async |channel| {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let answers = ServerReflectionClient::new(channel)
            .server_reflection_info(futures::stream::iter([request]))
            .await;
        let answer = answers.unwrap().into_inner().message().await.unwrap();
        match answer.unwrap().message_response {
            Some(MessageResponse::ListServicesResponse(list)) => list.service,
            other => panic!("no list of services: {other:?}"),
        }
    });
    let ours: Vec<String> = listed
        .into_iter()
        .map(|service| service.name)
        .filter(|name| name.starts_with("emc2.kms.v1."))
        .collect();
    assert_eq!(ours.len(), 14, "{ours:?}");
    let health = |service: &str| {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        anybody
            .call(async |channel| HealthClient::new(channel).check(request).await)
            .map(|answer| answer.into_inner().status())
    };
    for service in ours.iter().map(String::as_str).chain([""]) {
        assert_eq!(
            health(service).unwrap(),
            ServingStatus::Serving,
            "{service:?}"
        );
    }
    assert_eq!(
        health("emc2.kms.v1.None").unwrap_err().code(),
        Code::NotFound
    );
}

/// The caller is answered in time; what was begun is finished, and has its record.
fn answers_at_the_deadline_and_finishes_what_it_began(kms: &mut Deployment) {
    let link = Gateway::connect(kms, "link-pseudonymiser");
    let begun = Instant::now();
    evaluate(&link, None).unwrap();
    let before = evaluations(kms);
    let late = evaluate(&link, Some(begun.elapsed() / 3)).unwrap_err();
    assert!(
        matches!(late.code(), Code::Cancelled | Code::DeadlineExceeded),
        "{late:?}"
    );
    until("the record of what was begun", || {
        (evaluations(kms) == before + 1).then_some(())
    });
}

/// Whoever is being served when the server is told to stop gets the answer: after that there is
/// no record without an answer, and no answer without a record.
fn drains_before_it_stops(kms: &mut Deployment) {
    let before = evaluations(kms);
    let (answers, late) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let told = AtomicBool::new(false);
    let callers = [0; 3].map(|_| Gateway::connect(kms, "link-pseudonymiser"));
    thread::scope(|scope| {
        for link in &callers {
            scope.spawn(|| {
                while evaluate(link, None).is_ok() {
                    answers.fetch_add(1, Ordering::SeqCst);
                    if told.load(Ordering::SeqCst) {
                        late.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        until("every caller to be at work", || {
            (answers.load(Ordering::SeqCst) >= 6).then_some(())
        });
        told.store(true, Ordering::SeqCst);
        assert!(kms.terminate().success(), "{}", kms.log());
    });
    assert!(late.into_inner() > 0, "nobody was under way at the end");
    kms.restart();
    assert_eq!(evaluations(kms), before + answers.into_inner());
    assert!(kms.log().contains("calls under way are finished"));
}

/// A batch that takes a while.
fn evaluate(link: &Gateway, deadline: Option<Duration>) -> Result<(), tonic::Status> {
    let identifiers = (0..10_000)
        .map(|n| identifier(Opaque(format!("SYNTHETIC-{n}"))))
        .collect();
    let mut request = tonic::Request::new(v1::PseudonymiseRequest {
        name: LINK.to_owned(),
        identifiers,
        batch: None,
    });
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    link.call(async |channel| {
        PseudonymServiceClient::new(channel)
            .pseudonymise(request)
            .await
    })
    .map(drop)
}

/// How many evaluations are in the log.
fn evaluations(kms: &mut Deployment) -> usize {
    let records = Gateway::connect(kms, "ada").records(v1::Log::Uses).unwrap();
    records
        .iter()
        .filter(|record| record["api"]["operation"] == "Pseudonymise" && record["status_id"] == 1)
        .count()
}
