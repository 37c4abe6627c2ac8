//! Proposals for tests: a stream that breaks, and goes on where it is opened again.

use super::{Answer, Fake};
use kms_client::v1;
use kms_client::v1::proposal_service_server::ProposalService;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

/// Each stream tells of one change, whose etag counts the streams; then it breaks, ends, or is
/// refused, in this order.
#[tonic::async_trait]
impl ProposalService for Fake {
    type WatchProposalsStream = Pin<Box<dyn Stream<Item = Result<v1::Proposal, Status>> + Send>>;

    async fn watch_proposals(
        &self,
        request: Request<v1::WatchProposalsRequest>,
    ) -> Answer<Self::WatchProposalsStream> {
        let purpose = request.metadata().get("kms-purpose").cloned();
        let opened = self.0.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let mut told = vec![Ok(v1::Proposal {
            name: request.into_inner().name,
            etag: opened.to_string(),
            proposer: purpose.map_or_else(String::new, |p| p.to_str().unwrap().to_owned()),
            ..v1::Proposal::default()
        })];
        match opened {
            1 => told.push(Err(Status::unavailable("the server stops"))),
            2 => {}
            _ => told.push(Err(Status::permission_denied("nothing to see any more"))),
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(told))))
    }

    async fn list_proposals(
        &self,
        _: Request<v1::ListProposalsRequest>,
    ) -> Answer<v1::ListProposalsResponse> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn get_proposal(&self, _: Request<v1::GetProposalRequest>) -> Answer<v1::Proposal> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn approve_proposal(
        &self,
        _: Request<v1::ApproveProposalRequest>,
    ) -> Answer<v1::Proposal> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn reject_proposal(&self, _: Request<v1::EndProposalRequest>) -> Answer<v1::Proposal> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn withdraw_proposal(&self, _: Request<v1::EndProposalRequest>) -> Answer<v1::Proposal> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn execute_proposal(
        &self,
        _: Request<v1::ExecuteProposalRequest>,
    ) -> Answer<v1::ExecuteProposalResponse> {
        Err(Status::unimplemented("not in this test"))
    }
}
