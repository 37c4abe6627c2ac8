//! Keys and the life of their versions.

use super::door::{Asked, Door};
use super::parse;
use super::spaces::{get, page_of, resource_of};
use kms_core::action::Action;
use kms_core::command::{Change, Named, Sort};
use kms_core::error::{Error, Result as Parsed};
use kms_proto::v1::{self, key_service_server::KeyService};
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl KeyService for Door {
    async fn create_key(&self, request: Request<v1::CreateKeyRequest>) -> Answer<v1::Key> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let key = parse::required("key", message.key)?;
            let change = Change::CreateKey {
                name: parse::name("key.name", &key.name)?,
                class: parse::class(key.class)?,
                title: parse::title(key.title)?,
                origin: parse::origin(key.origin)?,
                exportable: key.exportable,
                labels: parse::labels(key.labels)?,
                study: parse::study(key.study)?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, Action::CreateKey, asked()).await?)
    }

    async fn get_key(&self, request: Request<v1::GetKeyRequest>) -> Answer<v1::Key> {
        let (_, extensions, message) = request.into_parts();
        let named = parse::name("name", &message.name).map(Named::Key);
        resource_of(
            self.pass(&extensions, Action::ReadInventory, get(named))
                .await?,
        )
    }

    async fn list_keys(
        &self,
        request: Request<v1::ListKeysRequest>,
    ) -> Answer<v1::ListKeysResponse> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::parent(&message.parent).and_then(|space| {
            parse::list(
                Sort::Keys,
                (space, None),
                message.page_size,
                message.page_token,
            )
        });
        let reply = self
            .pass(&extensions, Action::ReadInventory, asked.map(Asked::from))
            .await?;
        let (keys, next_page_token) = page_of(reply)?;
        Ok(Response::new(v1::ListKeysResponse {
            keys,
            next_page_token,
        }))
    }

    async fn update_key(&self, request: Request<v1::UpdateKeyRequest>) -> Answer<v1::Key> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let key = parse::required("key", message.key)?;
            let paths = parse::required("update_mask", message.update_mask)?.paths;
            let known = paths
                .iter()
                .all(|p| matches!(p.as_str(), "title" | "labels" | "study"));
            if paths.is_empty() || !known {
                let sentence =
                    "update_mask names title, labels or study; nothing else of a key can change";
                return Err(Error::invalid("update_mask", sentence));
            }
            let named = |path: &str| paths.iter().any(|p| p == path);
            let change = Change::UpdateKey {
                name: parse::name("key.name", &key.name)?,
                etag: parse::etag(&key.etag)?,
                title: named("title")
                    .then(|| parse::title(key.title))
                    .transpose()?,
                labels: named("labels")
                    .then(|| parse::labels(key.labels))
                    .transpose()?,
                study: named("study")
                    .then(|| parse::study(key.study))
                    .transpose()?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, Action::UpdateKey, asked()).await?)
    }

    async fn get_version(&self, request: Request<v1::GetVersionRequest>) -> Answer<v1::KeyVersion> {
        let (_, extensions, message) = request.into_parts();
        let named = parse::name("name", &message.name).map(Named::Version);
        resource_of(
            self.pass(&extensions, Action::ReadInventory, get(named))
                .await?,
        )
    }

    async fn list_versions(
        &self,
        request: Request<v1::ListVersionsRequest>,
    ) -> Answer<v1::ListVersionsResponse> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::parent_key(&message.parent).and_then(|parent| {
            parse::list(
                Sort::Versions,
                parent,
                message.page_size,
                message.page_token,
            )
        });
        let reply = self
            .pass(&extensions, Action::ReadInventory, asked.map(Asked::from))
            .await?;
        let (versions, next_page_token) = page_of(reply)?;
        Ok(Response::new(v1::ListVersionsResponse {
            versions,
            next_page_token,
        }))
    }

    async fn rotate_key(&self, request: Request<v1::RotateKeyRequest>) -> Answer<v1::KeyVersion> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::RotateKey {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                reason: parse::reason(message.reason)?,
                pre_active: message.pre_active,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, Action::RotateKey, asked()).await?)
    }

    async fn activate_version(
        &self,
        request: Request<v1::MoveVersionRequest>,
    ) -> Answer<v1::KeyVersion> {
        self.move_version(request, Action::ActivateVersion).await
    }

    async fn deactivate_version(
        &self,
        request: Request<v1::MoveVersionRequest>,
    ) -> Answer<v1::KeyVersion> {
        self.move_version(request, Action::DeactivateVersion).await
    }

    async fn suspend_version(
        &self,
        request: Request<v1::SuspendVersionRequest>,
    ) -> Answer<v1::KeyVersion> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::MoveVersion {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                transition: Action::SuspendVersion,
                reason: parse::reason(message.reason)?,
                keep_processing: message.keep_processing,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(
            self.pass(&extensions, Action::SuspendVersion, asked())
                .await?,
        )
    }

    async fn resume_version(
        &self,
        request: Request<v1::MoveVersionRequest>,
    ) -> Answer<v1::KeyVersion> {
        self.move_version(request, Action::ResumeVersion).await
    }

    async fn compromise_version(
        &self,
        request: Request<v1::MoveVersionRequest>,
    ) -> Answer<v1::KeyVersion> {
        self.move_version(request, Action::CompromiseVersion).await
    }
}

impl Door {
    async fn move_version(
        &self,
        request: Request<v1::MoveVersionRequest>,
        transition: Action,
    ) -> Answer<v1::KeyVersion> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::MoveVersion {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                transition,
                reason: parse::reason(message.reason)?,
                keep_processing: false,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, transition, asked()).await?)
    }
}
