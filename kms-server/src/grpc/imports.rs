//! Keys that come in from outside.

use super::door::{Asked, Door, mismatch};
use super::spaces::resource_of;
use super::{parse, resource};
use crate::engine::Reply;
use kms_core::action::Action;
use kms_core::command::{Change, Command, Use, Wrapped};
use kms_core::error::{Error, Result as Parsed};
use kms_core::import_token::ImportToken;
use kms_proto::v1::{self, import_service_server::ImportService};
use tonic::{Request, Response, Status};

/// The longest wrapped key: the modulus of RSA-4096.
const WRAPPED_MAX: usize = 512;

/// What data-at-rest keys are made of: 256 bits.
const MATERIAL_LENGTH: i32 = 32;

#[tonic::async_trait]
impl ImportService for Door {
    async fn get_import_parameters(
        &self,
        request: Request<v1::GetImportParametersRequest>,
    ) -> Result<Response<v1::ImportParameters>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let usage = Use::GetImportParameters {
                key: parse::name("name", &message.name)?,
                wrapping: parse::name("wrapping_key", &message.wrapping_key)?,
                mechanism: parse::wrapping(message.mechanism)?,
            };
            Asked::again(Command::Use(usage), &message.request_id)
        };
        let reply = self
            .pass(&extensions, Action::GetImportParameters, asked())
            .await?;
        let Reply::ImportParameters(given) = reply else {
            return Err(mismatch());
        };
        Ok(Response::new(v1::ImportParameters {
            name: given.key.to_string(),
            wrapping_version: given.wrapping.to_string(),
            public_key: given.public_key,
            mechanism: resource::wrapping(given.mechanism),
            mechanisms: given
                .mechanisms
                .into_iter()
                .map(resource::wrapping)
                .collect(),
            import_token: given.token,
            expire_time: resource::timestamp(given.expires),
            material_length: MATERIAL_LENGTH,
        }))
    }

    async fn import_key(
        &self,
        request: Request<v1::ImportKeyRequest>,
    ) -> Result<Response<v1::KeyVersion>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let (token, mac) = ImportToken::parse(&message.import_token)?;
            if !(1..=WRAPPED_MAX).contains(&message.wrapped_key.len()) {
                let sentence = "the wrapped key is as long as the modulus that wrapped it: 384 bytes for RSA-3072";
                return Err(Error::invalid("wrapped_key", sentence));
            }
            let change = Change::ImportKey {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                token,
                wrapped: Wrapped::Material {
                    mac,
                    bytes: message.wrapped_key,
                },
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, Action::ImportKey, asked()).await?)
    }
}
