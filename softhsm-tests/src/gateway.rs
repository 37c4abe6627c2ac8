//! The service as a program calls it: the generated stubs over a bare channel, without our
//! own client library, its retries and its sentences.

use std::{collections::BTreeMap, future::Future};

use kms_proto::v1;
use tokio::runtime::Runtime;
use tonic::{Status, transport::Channel};

use crate::{Deployment, channel::connect};

use v1::{
    audit_service_client::AuditServiceClient, crypto_service_client::CryptoServiceClient,
    key_service_client::KeyServiceClient, pseudonym_service_client::PseudonymServiceClient,
    renewal_service_client::RenewalServiceClient,
};

/// One connection as one person or service. Calls block; none is tried again.
#[derive(Debug)]
pub struct Gateway {
    runtime: Runtime,
    channel: Channel,
}

impl Gateway {
    /// Connects to the deployment's server as the person or service of this id.
    ///
    /// # Panics
    /// When the server does not run or does not answer, or nobody has this id.
    pub fn connect(kms: &mut Deployment, id: &str) -> Self {
        let identity = kms.identity(id).clone();
        let endpoints = kms.server().endpoints().clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let channel = runtime
            .block_on(connect(&endpoints, &identity))
            .unwrap_or_else(|cause| panic!("{cause}"));
        Self { runtime, channel }
    }

    /// Anything, on the connection's channel.
    pub fn call<T, F: Future<Output = T>>(&self, call: impl FnOnce(Channel) -> F) -> T {
        self.runtime.block_on(call(self.channel.clone()))
    }

    /// Encrypts under a key, named in full.
    ///
    /// # Errors
    /// The service's answer.
    pub fn encrypt(
        &self,
        key: &str,
        plaintext: &[u8],
        context: &[(&str, &str)],
    ) -> Result<Vec<u8>, Status> {
        let request = v1::EncryptRequest {
            name: key.to_owned(),
            plaintext: plaintext.to_vec(),
            context: pairs(context),
        };
        self.call(async |channel| CryptoServiceClient::new(channel).encrypt(request).await)
            .map(|answer| answer.into_inner().ciphertext)
    }

    /// Decrypts with a key, named in full.
    ///
    /// # Errors
    /// The service's answer.
    pub fn decrypt(
        &self,
        key: &str,
        ciphertext: &[u8],
        context: &[(&str, &str)],
    ) -> Result<Vec<u8>, Status> {
        let request = v1::DecryptRequest {
            name: key.to_owned(),
            ciphertext: ciphertext.to_vec(),
            context: pairs(context),
        };
        self.call(async |channel| CryptoServiceClient::new(channel).decrypt(request).await)
            .map(|answer| answer.into_inner().plaintext)
    }

    /// Evaluates opaque identifiers along an edge, named in full; all of them must succeed.
    ///
    /// # Errors
    /// The service's answer, or that of the first identifier that failed.
    pub fn pseudonymise(&self, edge: &str, identifiers: &[&str]) -> Result<Vec<String>, Status> {
        let opaque = |text: &&str| identifier(v1::identifier::Identifier::Opaque((*text).into()));
        let results = self.evaluate(edge, identifiers.iter().map(opaque).collect())?;
        results.into_iter().collect()
    }

    /// Evaluates identifiers of any type along an edge; each has its own result.
    ///
    /// # Errors
    /// The service's answer.
    pub fn evaluate(
        &self,
        edge: &str,
        identifiers: Vec<v1::Identifier>,
    ) -> Result<Vec<Result<String, Status>>, Status> {
        self.part(edge, identifiers, None)
    }

    /// The same, as one call of a run, if it is one.
    ///
    /// # Errors
    /// The service's answer.
    pub fn part(
        &self,
        edge: &str,
        identifiers: Vec<v1::Identifier>,
        batch: Option<v1::Batch>,
    ) -> Result<Vec<Result<String, Status>>, Status> {
        use v1::pseudonymise_response::result::Result as Told;
        let request = v1::PseudonymiseRequest {
            name: edge.to_owned(),
            identifiers,
            batch,
        };
        let answer = self
            .call(async |channel| {
                PseudonymServiceClient::new(channel)
                    .pseudonymise(request)
                    .await
            })?
            .into_inner();
        let told = |result: v1::pseudonymise_response::Result| match result.result {
            Some(Told::Pseudonym(text)) => Ok(text),
            Some(Told::Error(error)) => Err(Status::new(error.code.into(), error.message)),
            None => Err(Status::data_loss("an empty result")),
        };
        Ok(answer.results.into_iter().map(told).collect())
    }

    /// Translates opaque identifiers' pseudonyms along an edge that is renewed, as one call of a run,
    /// if it is one: old and new.
    ///
    /// # Errors
    /// The service's answer, or that of the first identifier that failed.
    pub fn translate(
        &self,
        edge: &str,
        identifiers: &[String],
        batch: Option<v1::Batch>,
    ) -> Result<Vec<(String, String)>, Status> {
        use v1::translate_response::result::Result as Told;
        let request = passages(edge, identifiers, batch);
        let answer =
            self.call(async |channel| RenewalServiceClient::new(channel).translate(request).await)?;
        let told = |result: v1::translate_response::Result| match result.result {
            Some(Told::Pair(pair)) => Ok((pair.old, pair.new)),
            Some(Told::Error(error)) => Err(Status::new(error.code.into(), error.message)),
            None => Err(Status::data_loss("an empty result")),
        };
        answer.into_inner().results.into_iter().map(told).collect()
    }

    /// Makes a data-at-rest key, named in full.
    ///
    /// # Errors
    /// The service's answer.
    pub fn create_key(&self, name: &str, request_id: &str) -> Result<v1::Key, Status> {
        let request = v1::CreateKeyRequest {
            key: Some(v1::Key {
                name: name.to_owned(),
                class: v1::KeyClass::DataAtRest.into(),
                origin: v1::Origin::Generated.into(),
                ..v1::Key::default()
            }),
            request_id: request_id.to_owned(),
        };
        self.call(async |channel| KeyServiceClient::new(channel).create_key(request).await)
            .map(tonic::Response::into_inner)
    }

    /// Makes a new version of a key, named in full.
    ///
    /// # Errors
    /// The service's answer.
    pub fn rotate(&self, name: &str, request_id: &str) -> Result<v1::KeyVersion, Status> {
        let request = v1::RotateKeyRequest {
            name: name.to_owned(),
            reason: "a test".to_owned(),
            request_id: request_id.to_owned(),
            ..v1::RotateKeyRequest::default()
        };
        self.call(async |channel| KeyServiceClient::new(channel).rotate_key(request).await)
            .map(tonic::Response::into_inner)
    }

    /// The versions of a key, named in full.
    ///
    /// # Errors
    /// The service's answer.
    pub fn versions(&self, key: &str) -> Result<Vec<v1::KeyVersion>, Status> {
        let request = v1::ListVersionsRequest {
            parent: key.to_owned(),
            page_size: 1_000,
            ..v1::ListVersionsRequest::default()
        };
        self.call(async |channel| KeyServiceClient::new(channel).list_versions(request).await)
            .map(|answer| answer.into_inner().versions)
    }

    /// How a version, named in full, was used.
    ///
    /// # Errors
    /// The service's answer.
    pub fn usage(&self, version: &str) -> Result<v1::VersionUsage, Status> {
        let request = v1::GetVersionUsageRequest {
            name: version.to_owned(),
        };
        self.call(async |channel| {
            KeyServiceClient::new(channel)
                .get_version_usage(request)
                .await
        })
        .map(tonic::Response::into_inner)
    }

    /// Every record of a log that the caller may see, parsed, in order.
    ///
    /// # Errors
    /// The service's answer.
    ///
    /// # Panics
    /// When a record is no JSON.
    pub fn records(&self, log: v1::Log) -> Result<Vec<serde_json::Value>, Status> {
        let mut records = Vec::new();
        let mut from = 0;
        loop {
            let request = v1::ListEntriesRequest {
                log: log.into(),
                from,
                page_size: 1_000,
            };
            let page = self
                .call(async |channel| AuditServiceClient::new(channel).list_entries(request).await)?
                .into_inner();
            for entry in &page.entries {
                records.push(serde_json::from_slice(&entry.entry).expect("a record is JSON"));
            }
            if page.next <= from {
                return Ok(records);
            }
            from = page.next;
        }
    }
}

/// An identifier for [`Gateway::evaluate`].
pub fn identifier(identifier: v1::identifier::Identifier) -> v1::Identifier {
    v1::Identifier {
        identifier: Some(identifier),
    }
}

/// A message of Translate: opaque identifiers, the same for the old pseudonym and the new one.
pub fn passages(
    edge: &str,
    identifiers: &[String],
    batch: Option<v1::Batch>,
) -> v1::TranslateRequest {
    let passage = |text: &String| v1::Passage {
        before: Some(identifier(v1::identifier::Identifier::Opaque(text.clone()))),
        after: None,
    };
    v1::TranslateRequest {
        name: edge.to_owned(),
        passages: identifiers.iter().map(passage).collect(),
        batch,
    }
}

/// The stable word of a refusal (`google.rpc.ErrorInfo.reason`); empty when it was not the service
/// that answered, but the transport.
pub fn reason(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    status
        .get_error_details()
        .error_info()
        .map(|told| told.reason.clone())
        .unwrap_or_default()
}

fn pairs(context: &[(&str, &str)]) -> BTreeMap<String, String> {
    context
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
