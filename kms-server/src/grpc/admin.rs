//! The deployment and its HSM.

use super::door::{Connected, Door, mismatch};
use super::resource::timestamp;
use crate::engine::Reply;
use crate::health::Health;
use kms_core::action::Action;
use kms_core::binding::Binding;
use kms_core::command::{Command, Read};
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
}
