//! The deployment and its HSM.

use super::door::{Asked, Connected, Door, mismatch};
use super::parse;
use super::resource::{FromValue, messages, timestamp};
use super::spaces::resource_of;
use crate::engine::Reply;
use crate::health::Health;
use kms_core::action::Action;
use kms_core::binding::Binding;
use kms_core::command::{Change, Command, Read};
use kms_core::error::Result as Parsed;
use kms_core::value::{Stamped, Value};
use kms_proto::v1::{self, admin_service_server::AdminService};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl AdminService for Door {
    async fn get_deployment(
        &self,
        request: Request<v1::GetDeploymentRequest>,
    ) -> Result<Response<v1::Deployment>, Status> {
        let (_, extensions, _) = request.into_parts();
        let asked = Ok(Command::Read(Read::Deployment).into());
        let reply = self
            .pass(&extensions, Action::ReadDeployment, asked)
            .await?;
        let Reply::Deployment(here) = reply else {
            return Err(mismatch());
        };
        let (deployment, bound) = (here.deployment, here.binding.as_ref());
        let grants = bound.into_iter().flat_map(Binding::grants);
        let aliases = bound.into_iter().flat_map(Binding::aliases);
        let emergency = here.emergency.as_ref();
        let caller = extensions
            .get::<Connected>()
            .map(|Connected(peer)| peer.identity().to_string());
        Ok(Response::new(v1::Deployment {
            name: deployment.name.to_string(),
            trust_domain: deployment.trust_domain.to_string(),
            environment: deployment.environment.name().into(),
            side: deployment.side.name().into(),
            server_version: env!("CARGO_PKG_VERSION").into(),
            caller: caller.unwrap_or_default(),
            caller_roles: grants.map(ToString::to_string).collect(),
            principal: here
                .principal
                .map(|principal| principal.to_string())
                .unwrap_or_default(),
            aliases: aliases.map(ToString::to_string).collect(),
            emergency: emergency.map(|e| e.name.to_string()).unwrap_or_default(),
            emergency_end_time: emergency.and_then(|e| timestamp(e.until)),
        }))
    }

    async fn get_hsm(
        &self,
        request: Request<v1::GetHsmRequest>,
    ) -> Result<Response<v1::Hsm>, Status> {
        let (_, extensions, _) = request.into_parts();
        let asked = Ok(Command::Read(Read::Hsm).into());
        let reply = self.pass(&extensions, Action::ReadHsm, asked).await?;
        let Reply::Hsm(health, report) = reply else {
            return Err(mismatch());
        };
        let (serving, message) = match health {
            Health::Serving => (true, String::new()),
            Health::Down(why) => (false, why),
        };
        let findings = report
            .findings
            .into_iter()
            .map(|finding| v1::hsm::Finding {
                capability: format!("{:?}", finding.capability),
                present: finding.present,
                detail: finding.detail,
            })
            .collect();
        Ok(Response::new(v1::Hsm {
            serving,
            message,
            manufacturer: report.manufacturer,
            model: report.model,
            token_label: report.label,
            serial_number: report.serial,
            firmware_version: report.firmware,
            findings,
        }))
    }

    async fn declare_backup(
        &self,
        request: Request<v1::DeclareBackupRequest>,
    ) -> Result<Response<v1::Backup>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let backup = parse::required("backup", message.backup)?;
            let time = |field: &str, said| parse::time(field, &parse::required(field, said)?);
            let change = Change::DeclareBackup {
                title: parse::said_title(backup.title)?,
                taken: time("take_time", backup.take_time)?,
                expires: time("expire_time", backup.expire_time)?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, Action::Backup, asked()).await?)
    }

    async fn list_backups(
        &self,
        request: Request<v1::ListBackupsRequest>,
    ) -> Result<Response<v1::ListBackupsResponse>, Status> {
        let (_, extensions, _) = request.into_parts();
        let asked = Ok(Command::Read(Read::Backups).into());
        let reply = self.pass(&extensions, Action::ReadHsm, asked).await?;
        let Reply::Backups(backups) = reply else {
            return Err(mismatch());
        };
        Ok(Response::new(v1::ListBackupsResponse {
            backups: messages(&backups)?,
        }))
    }
}

impl FromValue for v1::Backup {
    fn from_value(stamped: &Stamped<Value>) -> Option<Self> {
        let backup = stamped.value.as_backup()?;
        Some(v1::Backup {
            name: backup.name.to_string(),
            title: backup.title.clone(),
            take_time: timestamp(backup.taken),
            expire_time: timestamp(backup.expires),
            declare_time: timestamp(backup.declared),
            declarer: backup.declarer.clone(),
        })
    }
}
