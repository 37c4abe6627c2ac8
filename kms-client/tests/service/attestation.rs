//! A service that attests one destruction, by a key of its own.

use super::Answer;
use kms_client::v1;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SigningKey};
use tonic::{Request, Response, Status};
use v1::attestation_service_server::AttestationService;

/// Of [`STATEMENT`].
pub struct Attester(KeyPair);

/// What it attests.
pub const STATEMENT: &str = include_str!("../golden/attestation.json");

impl Attester {
    pub fn new() -> Self {
        Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }
}

#[tonic::async_trait]
impl AttestationService for Attester {
    async fn get_attestation(
        &self,
        request: Request<v1::GetAttestationRequest>,
    ) -> Answer<v1::Attestation> {
        let name = request.into_inner().name;
        // Its own name for what nobody asks for: a statement that was not signed.
        let signed = match name.as_str() {
            "spaces/lab/keys/object/versions/1" => STATEMENT,
            "spaces/lab/keys/object/versions/2" => "another statement",
            _ => return Err(Status::not_found("there is no such version")),
        };
        Ok(Response::new(v1::Attestation {
            name,
            r#final: false,
            statement: STATEMENT.into(),
            signature: self.0.sign(signed.as_bytes()).unwrap(),
            public_key: self.0.subject_public_key_info(),
            signer: "spaces/kms/keys/attestation/versions/1".to_owned(),
        }))
    }
}
