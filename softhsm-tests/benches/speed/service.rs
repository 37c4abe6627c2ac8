//! The whole service: generated stubs over mutual TLS to a server process of its own.

use crate::{Figure, Operation, median};
use kms_proto::v1::{
    self, batch_encrypt_request, batch_encrypt_response,
    crypto_service_client::CryptoServiceClient, identifier,
    pseudonym_service_client::PseudonymServiceClient, pseudonymise_response,
};
use softhsm_tests::{Deployment, channel::connect};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

pub(crate) const CALLERS: [usize; 3] = [1, 8, 32];
pub(crate) const ITEMS: [usize; 3] = [1, 100, 1000];

const KEY: &str = "spaces/ingest-lyon/keys/object";
const EDGE: &str = "spaces/warehouse/edges/link";

/// A deployment of EMC2's people with a small inventory.
pub(crate) struct Service {
    kms: Deployment,
    runtime: Runtime,
}

impl Service {
    pub(crate) fn start() -> Self {
        let kms = Deployment::emc2().start();
        kms.furnish();
        Service {
            kms,
            runtime: Runtime::new().unwrap(),
        }
    }

    /// So many callers, each with a connection of its own, each asking again when answered.
    pub(crate) fn measure(
        &mut self,
        operation: Operation,
        items: usize,
        callers: usize,
        time: Duration,
    ) -> Figure {
        let who = match operation {
            Operation::Gcm => "lyon-etl",
            Operation::Hmac => "link-pseudonymiser",
        };
        let identity = self.kms.identity(who).clone();
        let endpoints = self.kms.server().endpoints().clone();
        self.runtime.block_on(async {
            let mut channels = Vec::new();
            for _ in 0..callers {
                let channel = connect(&endpoints, &identity).await.unwrap();
                // The first call pays for the connection and for the key's handles.
                ask(operation, &channel, items).await;
                channels.push(channel);
            }
            let begun = Instant::now();
            let tasks: Vec<_> = channels
                .into_iter()
                .map(|channel| tokio::spawn(caller(operation, channel, items, begun + time)))
                .collect();
            let mut samples = Vec::new();
            for task in tasks {
                samples.extend(task.await.unwrap());
            }
            let done = samples.len() * items;
            Figure {
                rate: done as f64 / begun.elapsed().as_secs_f64(),
                median: median(samples),
            }
        })
    }
}

async fn caller(
    operation: Operation,
    channel: Channel,
    items: usize,
    end: Instant,
) -> Vec<Duration> {
    let mut samples = Vec::new();
    let mut last = Instant::now();
    while last < end {
        ask(operation, &channel, items).await;
        let now = Instant::now();
        samples.push(now - last);
        last = now;
    }
    samples
}

/// One call, and that each of its items was done.
async fn ask(operation: Operation, channel: &Channel, items: usize) {
    let channel = channel.clone();
    match (operation, items) {
        (Operation::Gcm, 1) => {
            let request = v1::EncryptRequest {
                name: KEY.into(),
                plaintext: vec![7; 32],
                context: [("object".to_owned(), "speed".to_owned())].into(),
            };
            let mut client = CryptoServiceClient::new(channel);
            client.encrypt(request).await.unwrap();
        }
        (Operation::Gcm, _) => {
            let item = batch_encrypt_request::Item {
                plaintext: vec![7; 32],
                context: [("object".to_owned(), "speed".to_owned())].into(),
            };
            let request = v1::BatchEncryptRequest {
                name: KEY.into(),
                items: vec![item; items],
            };
            let mut client = CryptoServiceClient::new(channel);
            let answer = client.batch_encrypt(request).await.unwrap().into_inner();
            let done = answer.results.iter().filter(|result| {
                matches!(
                    result.result,
                    Some(batch_encrypt_response::result::Result::Ok(_))
                )
            });
            assert_eq!(done.count(), items);
        }
        (Operation::Hmac, _) => {
            let identifiers = (0..items).map(|number| v1::Identifier {
                identifier: Some(identifier::Identifier::Opaque(format!("P{number:010}"))),
            });
            let request = v1::PseudonymiseRequest {
                name: EDGE.into(),
                identifiers: identifiers.collect(),
                batch: None,
            };
            let mut client = PseudonymServiceClient::new(channel);
            let answer = client.pseudonymise(request).await.unwrap().into_inner();
            let done = answer.results.iter().filter(|result| {
                let Some(result) = &result.result else {
                    return false;
                };
                matches!(result, pseudonymise_response::result::Result::Pseudonym(_))
            });
            assert_eq!(done.count(), items);
        }
    }
}
