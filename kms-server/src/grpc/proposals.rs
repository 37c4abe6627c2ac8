//! Commands that wait for others to agree.

use super::door::{Asked, Door, mismatch};
use super::parse;
use super::resource::timestamp;
use crate::engine::{Reply, Standing};
use kms_core::action::Action;
use kms_core::certificate::Scheme;
use kms_core::command::{Change, Command, Read};
use kms_core::error::Result as Parsed;
use kms_core::name::ProposalName;
use kms_core::plan::Difference;
use kms_core::proposal::{Approval, ProposalState};
use kms_core::value::{Stamped, Value};
use kms_proto::v1::{self, proposal_service_server::ProposalService};
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Extensions, Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

/// Changes that a slow watcher has not taken yet, at most.
const BEHIND: usize = 16;

#[tonic::async_trait]
impl ProposalService for Door {
    type WatchProposalsStream = ReceiverStream<Result<v1::Proposal, Status>>;

    async fn list_proposals(
        &self,
        request: Request<v1::ListProposalsRequest>,
    ) -> Answer<v1::ListProposalsResponse> {
        let (_, extensions, message) = request.into_parts();
        let proposals = self.proposals(&extensions, !message.all).await?;
        Ok(Response::new(v1::ListProposalsResponse { proposals }))
    }

    async fn get_proposal(&self, request: Request<v1::GetProposalRequest>) -> Answer<v1::Proposal> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::name("name", &message.name)
            .map(|name| Command::Read(Read::Proposal(name)).into());
        let reply = self.pass(&extensions, Action::ReadInventory, asked).await?;
        let Reply::Proposal(stamped, standing, differences) = reply else {
            return Err(mismatch());
        };
        proposal(&stamped, standing, &differences).map(Response::new)
    }

    async fn watch_proposals(
        &self,
        request: Request<v1::WatchProposalsRequest>,
    ) -> Answer<Self::WatchProposalsStream> {
        let (_, extensions, message) = request.into_parts();
        // The first look is part of the call: whoever may see nothing hears it at once.
        let mut changed = self.changes();
        let mut now = self.proposals(&extensions, false).await?;
        let (tell, told) = mpsc::channel(BEHIND);
        let door = self.clone();
        let only = message.name;
        tokio::spawn(async move {
            let mut seen: BTreeMap<String, (String, i32)> = BTreeMap::new();
            loop {
                for proposal in now {
                    let state = (proposal.etag.clone(), proposal.state);
                    let wanted = only.is_empty() || only == proposal.name;
                    let news = seen.insert(proposal.name.clone(), state.clone()) != Some(state);
                    if wanted && news && tell.send(Ok(proposal)).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    changed = changed.changed() => if changed.is_err() { return },
                    () = tell.closed() => return,
                }
                // Asked again as if it came anew: a right that was taken away ends the stream.
                now = match door.proposals(&extensions, false).await {
                    Ok(proposals) => proposals,
                    Err(status) => {
                        // Nobody listens any more: then nobody need hear it.
                        tell.send(Err(status)).await.unwrap_or_default();
                        return;
                    }
                };
            }
        });
        Ok(Response::new(ReceiverStream::new(told)))
    }

    async fn approve_proposal(
        &self,
        request: Request<v1::ApproveProposalRequest>,
    ) -> Answer<v1::Proposal> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::Approve {
                proposal: parse::name("name", &message.name)?,
                scheme: Scheme::try_from(message.scheme)?,
                signature: message.signature,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        self.moved(&extensions, Action::Approve, asked()).await
    }

    async fn reject_proposal(
        &self,
        request: Request<v1::EndProposalRequest>,
    ) -> Answer<v1::Proposal> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::Reject {
                proposal: parse::name("name", &message.name)?,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        self.moved(&extensions, Action::Reject, asked()).await
    }

    async fn withdraw_proposal(
        &self,
        request: Request<v1::EndProposalRequest>,
    ) -> Answer<v1::Proposal> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::Withdraw {
                proposal: parse::name("name", &message.name)?,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        self.moved(&extensions, Action::Withdraw, asked()).await
    }

    async fn execute_proposal(
        &self,
        request: Request<v1::ExecuteProposalRequest>,
    ) -> Answer<v1::ExecuteProposalResponse> {
        let (_, extensions, message) = request.into_parts();
        let name: Parsed<ProposalName> = parse::name("name", &message.name);
        let reply = self.execute(&extensions, name, &message.request_id).await?;
        let Reply::Resource(made) = reply else {
            return Err(mismatch());
        };
        Ok(Response::new(v1::ExecuteProposalResponse {
            resource: made.value.name(),
            etag: made.revision.to_string(),
        }))
    }
}

impl Door {
    async fn proposals(
        &self,
        extensions: &Extensions,
        waiting: bool,
    ) -> Result<Vec<v1::Proposal>, Status> {
        let asked = Ok(Command::Read(Read::Proposals { waiting }).into());
        let reply = self.pass(extensions, Action::ReadInventory, asked).await?;
        let Reply::Proposals(found) = reply else {
            return Err(mismatch());
        };
        let messages = found.iter();
        messages
            .map(|(stamped, standing)| proposal(stamped, *standing, &[]))
            .collect()
    }

    async fn moved(
        &self,
        extensions: &Extensions,
        action: Action,
        asked: Parsed<Asked>,
    ) -> Answer<v1::Proposal> {
        let Reply::Resource(stamped) = self.pass(extensions, action, asked).await? else {
            return Err(mismatch());
        };
        proposal(&stamped, Standing::AsItSays, &[]).map(Response::new)
    }
}

fn proposal(
    stamped: &Stamped<Value>,
    standing: Standing,
    differences: &[Difference],
) -> Result<v1::Proposal, Status> {
    let proposal = stamped.value.as_proposal().ok_or_else(mismatch)?;
    let terms = &proposal.terms;
    let state = match (standing, proposal.state) {
        (Standing::Expired, _) => v1::ProposalState::Expired,
        (Standing::Overtaken, _) => v1::ProposalState::Overtaken,
        (Standing::AsItSays, ProposalState::Waiting) => v1::ProposalState::Waiting,
        (Standing::AsItSays, ProposalState::Executed) => v1::ProposalState::Executed,
        (Standing::AsItSays, ProposalState::Rejected) => v1::ProposalState::Rejected,
        (Standing::AsItSays, ProposalState::Withdrawn) => v1::ProposalState::Withdrawn,
    };
    let ended = proposal.ended.as_ref();
    Ok(v1::Proposal {
        name: terms.name.to_string(),
        state: state.into(),
        proposer: terms.proposer.to_string(),
        action: terms.action.name().into(),
        resource: proposal.resource.1.clone(),
        command: terms.command.clone(),
        approvals_needed: proposal.needed.into(),
        approvals: proposal.approvals.iter().map(approval).collect(),
        create_time: timestamp(proposal.filed),
        expire_time: timestamp(terms.expires),
        expire_millis: terms.expires.0,
        seen: terms
            .seen
            .iter()
            .map(|seen| v1::proposal::Seen {
                name: seen.name.clone(),
                revision: seen.revision.map(|r| r.to_string()).unwrap_or_default(),
            })
            .collect(),
        differences: differences
            .iter()
            .map(|difference| v1::proposal::Difference {
                resource: difference.resource.clone(),
                field: difference.field.clone(),
                before: difference.before.clone(),
                after: difference.after.clone(),
            })
            .collect(),
        end_time: ended.and_then(|ended| timestamp(ended.time)),
        end_actor: ended.map(|ended| ended.actor.clone()).unwrap_or_default(),
        end_reason: ended.map(|ended| ended.reason.clone()).unwrap_or_default(),
        etag: stamped.revision.to_string(),
    })
}

fn approval(approval: &Approval) -> v1::Approval {
    v1::Approval {
        custodian: approval.custodian.to_string(),
        time: timestamp(approval.time),
        reason: approval.reason.clone(),
        certificate: approval.certificate.der().to_vec(),
        scheme: approval.scheme.code().into(),
        signature: approval.signature_bytes(),
    }
}
