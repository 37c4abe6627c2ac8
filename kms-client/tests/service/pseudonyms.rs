//! Pseudonyms for tests.

use super::{Answer, Fake, pseudonym, version};
use futures::StreamExt;
use futures::stream::BoxStream;
use kms_client::v1;
use kms_client::v1::pseudonym_service_server::PseudonymService;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// A pseudonym is the identifier reversed; an empty identifier is refused.
#[tonic::async_trait]
impl PseudonymService for Fake {
    type StreamPseudonymiseStream = BoxStream<'static, Result<v1::PseudonymiseResponse, Status>>;

    async fn stream_pseudonymise(
        &self,
        request: Request<tonic::Streaming<v1::PseudonymiseRequest>>,
    ) -> Answer<Self::StreamPseudonymiseStream> {
        let fake = Fake(Arc::clone(&self.0));
        let answers = request.into_inner().then(move |message| {
            let fake = Fake(Arc::clone(&fake.0));
            async move {
                let answer = fake.pseudonymise(Request::new(message?)).await?;
                Ok(answer.into_inner())
            }
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn pseudonymise(
        &self,
        request: Request<v1::PseudonymiseRequest>,
    ) -> Answer<v1::PseudonymiseResponse> {
        use v1::identifier::Identifier::{Nir, Opaque, Pseudonym};
        use v1::pseudonymise_response::{Result as One, result::Result as Said};
        self.called()?;
        let v1::PseudonymiseRequest {
            name, identifiers, ..
        } = request.into_inner();
        let results = identifiers.into_iter().map(|identifier| {
            let said = match identifier.identifier {
                Some(Opaque(text) | Pseudonym(text)) if !text.is_empty() => {
                    Said::Pseudonym(pseudonym(&text))
                }
                Some(Opaque(_) | Pseudonym(_) | Nir(_)) | None => Said::Error(v1::ItemError {
                    code: 3,
                    message: "an identifier is empty".into(),
                    reason: "INVALID".into(),
                }),
            };
            One { result: Some(said) }
        });
        let results = results.collect();
        Ok(Response::new(v1::PseudonymiseResponse {
            results,
            version: version(&name, 1),
        }))
    }

    async fn start_chain(&self, _: Request<v1::StartChainRequest>) -> Answer<v1::Chain> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn follow_chain(
        &self,
        _: Request<v1::FollowChainRequest>,
    ) -> Answer<v1::FollowChainResponse> {
        Err(Status::unimplemented("not in this test"))
    }
}
