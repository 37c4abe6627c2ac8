//! What was destroyed, attested.

use super::door::{Asked, Door, mismatch};
use super::parse;
use crate::engine::Reply;
use kms_core::action::Action;
use kms_core::command::{Command, Use};
use kms_proto::v1::{self, attestation_service_server::AttestationService};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl AttestationService for Door {
    async fn get_attestation(
        &self,
        request: Request<v1::GetAttestationRequest>,
    ) -> Result<Response<v1::Attestation>, Status> {
        let (_, extensions, message) = request.into_parts();
        let subject = parse::name("name", &message.name);
        let asked = subject.map(|subject| Asked::from(Command::Use(Use::Attest { subject })));
        let reply = self.pass(&extensions, Action::Attest, asked).await?;
        let Reply::Attestation(attestation) = reply else {
            return Err(mismatch());
        };
        Ok(Response::new(v1::Attestation {
            name: attestation.subject.to_string(),
            r#final: attestation.is_final,
            statement: attestation.signed.statement,
            signature: attestation.signed.signature,
            public_key: attestation.signed.public_key,
            signer: attestation.signed.signer.to_string(),
        }))
    }
}
