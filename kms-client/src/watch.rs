//! Proposals as they change.

use crate::call::LARGEST_ANSWER;
use crate::{Client, Effect, Error, Kind, v1};
use tonic::{Status, Streaming};
use v1::proposal_service_client::ProposalServiceClient;

/// Every proposal that we may see, or one of them: first as it is, then whenever it changes. What
/// merely expires does not change: look at its `expire_time`.
#[derive(Debug)]
pub struct Proposals {
    client: Client,
    name: String,
    stream: Streaming<v1::Proposal>,
}

impl Client {
    /// Watches one proposal; with an empty name, all that we may see.
    ///
    /// # Errors
    /// What the service answers; [`Kind::Unavailable`] when it cannot be reached.
    pub async fn watch_proposals(&self, name: impl Into<String>) -> Result<Proposals, Error> {
        let name = name.into();
        let stream = self.open(&name).await?;
        Ok(Proposals {
            client: self.clone(),
            name,
            stream,
        })
    }

    /// Opens the stream: as any asking call, but without a deadline of its own.
    async fn open(&self, name: &str) -> Result<Streaming<v1::Proposal>, Error> {
        let mut attempt = 0_u32;
        loop {
            attempt = attempt.saturating_add(1);
            let mut service = ProposalServiceClient::new(self.channel.clone())
                .max_decoding_message_size(LARGEST_ANSWER);
            let request = self.stated(v1::WatchProposalsRequest {
                name: name.to_owned(),
            })?;
            let opening = tokio::time::timeout(self.deadline, service.watch_proposals(request));
            let error = match opening.await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => self.judge(Effect::Asks, &status),
                Err(_late) => self.late(Effect::Asks),
            };
            match self.backoff.wait_after(attempt) {
                Some(wait) if passes(&error) => tokio::time::sleep(wait).await,
                Some(_) | None => return Err(error),
            }
        }
    }
}

impl Proposals {
    /// The next one. A stream that breaks, as when the service is started anew, is opened again,
    /// with the waits of the client; then everything is told once more.
    ///
    /// # Errors
    /// [`Kind::Refused`] when we may see none any more; else as [`Client::watch_proposals`].
    pub async fn next(&mut self) -> Result<v1::Proposal, Error> {
        loop {
            let error = match self.stream.message().await {
                Ok(Some(proposal)) => return Ok(proposal),
                // The service ends streams when it stops.
                Ok(None) => self
                    .client
                    .judge(Effect::Asks, &Status::unavailable("the stream ended")),
                Err(status) => self.client.judge(Effect::Asks, &status),
            };
            if !passes(&error) {
                return Err(error);
            }
            self.stream = self.client.open(&self.name).await?;
        }
    }
}

/// Whether asking again may help.
fn passes(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Unavailable | Kind::Exhausted | Kind::Unknown
    )
}
