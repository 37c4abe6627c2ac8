//! Keys and the life of their versions.

use super::door::{Asked, Door, mismatch};
use super::parse;
use super::resource::usage;
use super::spaces::{get, page_of, resource_of};
use crate::engine::Reply;
use kms_core::action::Action;
use kms_core::command::{Change, Command, Named, Read, Sort};
use kms_core::error::{Error, Result as Parsed};
use kms_core::key::Destruction;
use kms_core::name::{KeyName, VersionName};
use kms_core::time::DAY;
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
                lifecycle: parse::lifecycle(key.lifecycle)?,
                intake: parse::intake(key.intake)?,
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
            let fields = ["title", "labels", "study", "lifecycle"];
            let paths = parse::mask(message.update_mask, &fields)?;
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
                lifecycle: named("lifecycle")
                    .then(|| parse::lifecycle(key.lifecycle))
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

    async fn get_version_usage(
        &self,
        request: Request<v1::GetVersionUsageRequest>,
    ) -> Answer<v1::VersionUsage> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::name("name", &message.name)
            .map(|name| Asked::from(Command::Read(Read::Usage(name))));
        let reply = self.pass(&extensions, Action::ReadInventory, asked).await?;
        let Reply::Usage(told) = reply else {
            return Err(mismatch());
        };
        Ok(Response::new(usage(*told)))
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

    async fn schedule_destruction(
        &self,
        request: Request<v1::ScheduleDestructionRequest>,
    ) -> Answer<v1::KeyVersion> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let waiting = parse::period("waiting", message.waiting)?;
            let change = Change::ScheduleDestruction {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                waiting: waiting.unwrap_or(Destruction::WAITING),
                force: message.force,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(
            self.pass(&extensions, Action::ScheduleDestruction, asked())
                .await?,
        )
    }

    async fn cancel_destruction(
        &self,
        request: Request<v1::MoveVersionRequest>,
    ) -> Answer<v1::KeyVersion> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::CancelDestruction {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(
            self.pass(&extensions, Action::CancelDestruction, asked())
                .await?,
        )
    }

    async fn start_rewrap(&self, request: Request<v1::StartRewrapRequest>) -> Answer<v1::Key> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let name: KeyName = parse::name("name", &message.name)?;
            let numbers = message.versions.iter().map(|text| {
                let version: VersionName = parse::name("versions", text)?;
                if *version.key() == name {
                    return Ok(version.number());
                }
                let sentence = format!("{version} is not a version of {name}");
                Err(Error::invalid("versions", sentence))
            });
            let lasting = parse::period("lasting", message.lasting)?;
            let change = Change::StartRewrap {
                versions: numbers.collect::<Parsed<_>>()?,
                name,
                etag: parse::etag(&message.etag)?,
                lasting: lasting.unwrap_or(REWRAP),
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, Action::StartRewrap, asked()).await?)
    }

    async fn finish_rewrap(&self, request: Request<v1::FinishRewrapRequest>) -> Answer<v1::Key> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::FinishRewrap {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(
            self.pass(&extensions, Action::FinishRewrap, asked())
                .await?,
        )
    }
}

/// How long a re-wrap campaign lasts where nobody says otherwise, in milliseconds: 30 days.
const REWRAP: u64 = 30 * DAY;

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
