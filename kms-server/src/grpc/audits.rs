//! The two audit logs.

use super::door::{Asked, Door, mismatch};
use super::parse;
use crate::engine::Reply;
use kms_core::action::Action;
use kms_core::command::{Command, LogName, Read};
use kms_core::error::{Error, Result as Parsed};
use kms_proto::v1::{self, audit_service_server::AuditService};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl AuditService for Door {
    async fn get_logs(
        &self,
        request: Request<v1::GetLogsRequest>,
    ) -> Result<Response<v1::GetLogsResponse>, Status> {
        let (_, extensions, _) = request.into_parts();
        let asked = Ok(Command::Read(Read::Logs).into());
        let reply = self.pass(&extensions, Action::ReadAudit, asked).await?;
        let Reply::Logs(changes, uses) = reply else {
            return Err(mismatch());
        };
        use v1::get_logs_response::State;
        let logs = [(v1::Log::Changes, changes), (v1::Log::Uses, uses)].map(|(log, size)| State {
            log: log.into(),
            size,
        });
        Ok(Response::new(v1::GetLogsResponse { logs: logs.into() }))
    }

    async fn list_entries(
        &self,
        request: Request<v1::ListEntriesRequest>,
    ) -> Result<Response<v1::ListEntriesResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let log = match v1::Log::try_from(message.log) {
                Ok(v1::Log::Changes) => LogName::Changes,
                Ok(v1::Log::Uses) => LogName::Uses,
                Ok(v1::Log::Unspecified) | Err(_) => {
                    return Err(Error::invalid("log", "log is one of CHANGES, USES"));
                }
            };
            let limit = parse::page_size(message.page_size)?;
            Ok(Command::Read(Read::Entries {
                log,
                from: message.from,
                limit,
            })
            .into())
        };
        let reply = self.pass(&extensions, Action::ReadAudit, asked()).await?;
        let Reply::Entries(entries, next) = reply else {
            return Err(mismatch());
        };
        let entries = entries
            .into_iter()
            .map(|(index, entry)| v1::Entry { index, entry })
            .collect();
        Ok(Response::new(v1::ListEntriesResponse {
            entries,
            next: next.unwrap_or(0),
        }))
    }
}
