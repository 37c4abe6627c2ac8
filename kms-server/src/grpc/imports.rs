//! Keys that come in from outside.

use super::door::{Asked, Door, mismatch};
use super::{parse, resource};
use crate::engine::Reply;
use kms_core::action::Action;
use kms_core::command::{Change, Command, Use, Wrapped};
use kms_core::error::{Error, Result as Parsed};
use kms_core::import_token::ImportToken;
use kms_proto::v1::{self, import_service_server::ImportService};
use tonic::{Request, Response, Status};

/// Longer than anything that is wrapped: what is longer is not looked at.
const WRAPPED_MAX: usize = 4096;

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
        let said = given.parameters;
        Ok(Response::new(v1::ImportParameters {
            name: said.key.to_string(),
            wrapping_version: said.wrapper.version.to_string(),
            public_key: said.wrapper.public_key,
            mechanism: resource::wrapping(said.mechanism),
            import_token: said.import_token,
            expire_time: resource::timestamp(said.expires.time()),
            material_length: i32::try_from(said.material_length).unwrap_or_default(),
            statement: given.signed.statement,
            signature: given.signed.signature,
            signing_key: given.signed.public_key,
            two_steps: said.two_steps,
        }))
    }

    async fn check_import(
        &self,
        request: Request<v1::CheckImportRequest>,
    ) -> Result<Response<v1::CheckImportResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let (token, mac) = ImportToken::parse(&message.import_token)?;
            let usage = Use::CheckImport {
                key: parse::name("name", &message.name)?,
                token,
                mac,
                bytes: bounded(message.wrapped_key)?,
            };
            Ok(Asked::from(Command::Use(usage)))
        };
        let reply = self.pass(&extensions, Action::CheckImport, asked()).await?;
        let Reply::Checked = reply else {
            return Err(mismatch());
        };
        Ok(Response::new(v1::CheckImportResponse {}))
    }

    async fn import_key(
        &self,
        request: Request<v1::ImportKeyRequest>,
    ) -> Result<Response<v1::ImportedKey>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let (token, mac) = ImportToken::parse(&message.import_token)?;
            let bytes = bounded(message.wrapped_key)?;
            // Before anything is recorded, and before anybody is asked to agree.
            token.mechanism.fits(&bytes)?;
            let change = Change::ImportKey {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                token,
                wrapped: Wrapped::Material { mac, bytes },
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        let reply = self.pass(&extensions, Action::ImportKey, asked()).await?;
        let Reply::Imported(made, receipt) = reply else {
            return Err(mismatch());
        };
        let (receipt, receipt_signature, signing_key) = receipt
            .map(|signed| (signed.statement, signed.signature, signed.public_key))
            .unwrap_or_default();
        Ok(Response::new(v1::ImportedKey {
            version: Some(resource::message(&made)?),
            receipt,
            receipt_signature,
            signing_key,
        }))
    }
}

fn bounded(wrapped: Vec<u8>) -> Parsed<Vec<u8>> {
    if wrapped.len() <= WRAPPED_MAX {
        return Ok(wrapped);
    }
    let sentence = "this is longer than any wrapped key: hand in the wrapped key alone";
    Err(Error::invalid("wrapped_key", sentence))
}
