//! What becomes of keys with time.

use super::door::{Asked, Door, mismatch};
use super::parse;
use super::resource::{class, duration, state, timestamp};
use crate::engine::Reply;
use kms_core::action::Action;
use kms_core::command::{Command, Read};
use kms_core::due::{self, Task};
use kms_core::error::{Error, Result as Parsed};
use kms_core::name::ProposalName;
use kms_core::report::{self, Deviation, HORIZON};
use kms_proto::v1::{self, lifecycle_service_server::LifecycleService};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl LifecycleService for Door {
    async fn list_due(
        &self,
        request: Request<v1::ListDueRequest>,
    ) -> Result<Response<v1::ListDueResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let horizon = parse::period("horizon", message.horizon)?.unwrap_or(0);
            if horizon > HORIZON {
                return Err(Error::invalid("horizon", "horizon is ten years at most"));
            }
            Ok(Command::Read(Read::Due { horizon }).into())
        };
        let reply = self
            .pass(&extensions, Action::ReadInventory, asked())
            .await?;
        let Reply::Due(found, now) = reply else {
            return Err(mismatch());
        };
        let due = found.into_iter().map(|(due, waits)| told(&due, waits));
        Ok(Response::new(v1::ListDueResponse {
            due: due.collect(),
            time: timestamp(now),
        }))
    }

    async fn report_keys(
        &self,
        request: Request<v1::ReportKeysRequest>,
    ) -> Result<Response<v1::ReportKeysResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::parent(&message.parent)
            .map(|space| Asked::from(Command::Read(Read::Report { space })));
        let reply = self.pass(&extensions, Action::ReadInventory, asked).await?;
        let Reply::Report(found, now) = reply else {
            return Err(mismatch());
        };
        Ok(Response::new(v1::ReportKeysResponse {
            keys: found.into_iter().map(reported).collect(),
            time: timestamp(now),
        }))
    }
}

fn told(due: &due::Due, waits: Option<ProposalName>) -> v1::Due {
    let task = match due.task {
        Task::Rotate => v1::Task::Rotate,
        Task::RotateByUse => v1::Task::RotateByUse,
        Task::HalfSpent => v1::Task::HalfSpent,
        Task::Import => v1::Task::Import,
        Task::Renew => v1::Task::Renew,
        Task::Deactivate => v1::Task::Deactivate,
        Task::EndProcessing => v1::Task::EndProcessing,
        Task::Destroy => v1::Task::Destroy,
        Task::DestroyPair => v1::Task::DestroyPair,
        Task::Erase => v1::Task::Erase,
    };
    v1::Due {
        time: timestamp(due.at),
        resource: due.resource.clone(),
        task: task.into(),
        automatic: due.task.by_itself(),
        reason: due.task.reason().into(),
        proposal: waits.map(|name| name.to_string()).unwrap_or_default(),
    }
}

fn reported(key: report::KeyReport) -> v1::KeyReport {
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (primary, standing) = match key.primary {
        Some((name, standing)) => (name.to_string(), state(standing)),
        None => (String::new(), v1::VersionState::Unspecified),
    };
    v1::KeyReport {
        name: key.name.to_string(),
        class: class(key.class).into(),
        state: standing.into(),
        primary,
        age: key.age.map(duration),
        cryptoperiod: Some(duration(key.cryptoperiod)),
        next: key.next.map(|due| told(&due, None)),
        versions: count(key.versions),
        destroyed: count(key.destroyed),
        encryptions: number(key.spent.encryptions),
        bytes: number(key.spent.bytes),
        last_use_time: key.last.and_then(timestamp),
        findings: key.findings.into_iter().map(finding).collect(),
    }
}

fn finding(finding: report::Finding) -> v1::Finding {
    let deviation = match finding.deviation {
        Deviation::NoPrimary => v1::Deviation::NoPrimary,
        Deviation::CryptoperiodOver => v1::Deviation::CryptoperiodOver,
        Deviation::UseOver => v1::Deviation::UseOver,
        Deviation::ProcessingOver => v1::Deviation::ProcessingOver,
        Deviation::CompromisedKept => v1::Deviation::CompromisedKept,
        Deviation::OnHold => v1::Deviation::OnHold,
        Deviation::DestructionOverdue => v1::Deviation::DestructionOverdue,
        Deviation::InDoubt => v1::Deviation::InDoubt,
        Deviation::WeakImport => v1::Deviation::WeakImport,
    };
    v1::Finding {
        resource: finding.resource,
        deviation: deviation.into(),
        sentence: finding.sentence,
    }
}
