//! Keys that leave for another HSM.

use super::door::{Asked, Door, mismatch};
use super::parse;
use super::resource::{FromValue, message, messages, timestamp};
use super::spaces::resource_of;
use crate::engine::Reply;
use kms_core::action::Action;
use kms_core::command::{Change, Command, Read};
use kms_core::destination::WrappingKey;
use kms_core::error::{Error, Result as Parsed};
use kms_core::value::{Stamped, Value};
use kms_proto::v1::{self, export_service_server::ExportService};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl ExportService for Door {
    async fn create_destination(
        &self,
        request: Request<v1::CreateDestinationRequest>,
    ) -> Result<Response<v1::Destination>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let destination = parse::required("destination", message.destination)?;
            let change = Change::CreateDestination {
                name: parse::name("destination.name", &destination.name)?,
                title: parse::said_title(destination.title)?,
                public_key: WrappingKey::parse(&destination.public_key)?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(
            self.pass(&extensions, Action::MigrateToken, asked())
                .await?,
        )
    }

    async fn list_destinations(
        &self,
        request: Request<v1::ListDestinationsRequest>,
    ) -> Result<Response<v1::ListDestinationsResponse>, Status> {
        let (_, extensions, _) = request.into_parts();
        let asked = Ok(Command::Read(Read::Destinations).into());
        let reply = self.pass(&extensions, Action::ReadHsm, asked).await?;
        let Reply::Destinations(destinations) = reply else {
            return Err(mismatch());
        };
        Ok(Response::new(v1::ListDestinationsResponse {
            destinations: messages(&destinations)?,
        }))
    }

    async fn export_key(
        &self,
        request: Request<v1::ExportKeyRequest>,
    ) -> Result<Response<v1::ExportKeyResponse>, Status> {
        let (_, extensions, message_in) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::ExportKey {
                name: parse::name("name", &message_in.name)?,
                etag: parse::etag(&message_in.etag)?,
                destination: parse::name("destination", &message_in.destination)?,
                mechanism: parse::required("mechanism", parse::wrapping(message_in.mechanism)?)?,
                reason: parse::reason(message_in.reason)?,
            };
            Asked::change(change, &message_in.request_id)
        };
        let take = |reply| {
            let Reply::Exported(version, wrapped) = reply else {
                return Err(Error::conflict(
                    "this export was carried out and answered before, and nobody keeps the wrapped \
                     key: ask for it again, with another request_id",
                ));
            };
            Ok((version, wrapped))
        };
        let (version, wrapped) = self
            .pass_for(&extensions, Action::ExportKey, asked(), take)
            .await?;
        Ok(Response::new(v1::ExportKeyResponse {
            version: Some(message(&version)?),
            wrapped_key: wrapped.to_vec(),
        }))
    }
}

impl FromValue for v1::Destination {
    fn from_value(stamped: &Stamped<Value>) -> Option<Self> {
        let destination = stamped.value.as_destination()?;
        Some(v1::Destination {
            name: destination.name.to_string(),
            title: destination.title.clone(),
            public_key: destination.public_key.der().to_vec(),
            public_key_sha256: destination.public_key.sha256(),
            create_time: timestamp(destination.declared),
            creator: destination.declarer.clone(),
        })
    }
}
