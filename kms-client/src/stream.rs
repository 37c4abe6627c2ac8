//! Any number of calls over one stream.

use crate::call::LARGEST_ANSWER;
use crate::{Backoff, Client, Effect, Error, Kind, v1};
use std::collections::VecDeque;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use v1::pseudonym_service_client::PseudonymServiceClient;
use v1::renewal_service_client::RenewalServiceClient;

/// Calls of Pseudonymise over one stream.
pub type Pseudonyms = CallStream<v1::PseudonymiseRequest>;

/// Calls of Translate over one stream.
pub type Translations = CallStream<v1::TranslateRequest>;

/// A stream of calls, each with its own answer, in order.
///
/// It holds what is asked and not answered yet, at most [`CallStream::UNDER_WAY`] messages. When the
/// service goes away for a moment, these are asked again of whoever comes back: an identifier has
/// one pseudonym, however often it is asked for, and a message with a [`v1::Batch`] is charged once.
#[derive(Debug)]
pub struct CallStream<M: Streamed> {
    client: Client,
    patience: Duration,
    open: Option<Open<M>>,
    pending: VecDeque<M>,
}

/// A call of which the interface has a stream.
pub trait Streamed: Clone + Debug + Send + 'static {
    /// What each is answered with.
    type Answer: Debug + Send + 'static;

    /// Opens a stream on which these are asked.
    fn open(
        client: &Client,
        asked: Request<ReceiverStream<Self>>,
    ) -> impl Future<Output = Result<Response<Streaming<Self::Answer>>, Status>> + Send;
}

impl Streamed for v1::PseudonymiseRequest {
    type Answer = v1::PseudonymiseResponse;

    async fn open(
        client: &Client,
        asked: Request<ReceiverStream<Self>>,
    ) -> Result<Response<Streaming<Self::Answer>>, Status> {
        let mut service = PseudonymServiceClient::new(client.channel.clone())
            .max_decoding_message_size(LARGEST_ANSWER);
        service.stream_pseudonymise(asked).await
    }
}

impl Streamed for v1::TranslateRequest {
    type Answer = v1::TranslateResponse;

    async fn open(
        client: &Client,
        asked: Request<ReceiverStream<Self>>,
    ) -> Result<Response<Streaming<Self::Answer>>, Status> {
        let mut service = RenewalServiceClient::new(client.channel.clone())
            .max_decoding_message_size(LARGEST_ANSWER);
        service.stream_translate(asked).await
    }
}

#[derive(Debug)]
struct Open<M: Streamed> {
    asks: mpsc::Sender<M>,
    answers: Streaming<M::Answer>,
}

impl Client {
    /// A stream that is opened with the first answer, on a connection of its own: what is not read of
    /// it yet holds up no other call. When the service goes away, it is waited for
    /// as long as `patience` before an answer.
    #[must_use]
    pub fn stream<M: Streamed>(&self, patience: Duration) -> CallStream<M> {
        CallStream {
            client: self.apart(),
            patience,
            open: None,
            pending: VecDeque::new(),
        }
    }
}

impl<M: Streamed> CallStream<M> {
    /// Messages that may be without an answer: enough for the service to have the next one whenever
    /// it has done one.
    pub const UNDER_WAY: usize = 6;

    /// Whether another message may be asked before an answer is taken.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.pending.len() < Self::UNDER_WAY
    }

    /// Asks, without waiting.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is no room: take an answer first.
    pub fn ask(&mut self, request: M) -> Result<(), Error> {
        if !self.has_room() {
            let sentence = "too many messages are without an answer; take one first";
            return Err(Error::new(Kind::Usage, sentence));
        }
        self.pending.push_back(request.clone());
        if let Some(open) = &self.open
            && open.asks.try_send(request).is_err()
        {
            // It broke: whoever takes the next answer finds out why, and asks again.
            self.open = None;
        }
        Ok(())
    }

    /// The answer to the first message that has none yet; nothing when all have.
    ///
    /// # Errors
    /// What the service says of that message; [`Kind::Unavailable`] when it cannot be reached for
    /// longer than we are patient. What was asked is still pending then.
    pub async fn answer(&mut self) -> Result<Option<M::Answer>, Error> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        let mut last = match self.once().await {
            Err(error) if self.passes(&error) => error,
            answered => return answered.map(Some),
        };
        let (patience, backoff) = (self.patience, self.backoff());
        let again = async {
            for attempt in 1_u32.. {
                let wait = backoff.wait_after(attempt).unwrap_or(backoff.most);
                tokio::time::sleep(wait).await;
                match self.once().await {
                    Err(error) if self.passes(&error) => last = error,
                    answered => return answered,
                }
            }
            Err(self.client.late(Effect::Asks))
        };
        let waited = tokio::time::timeout(patience, again).await;
        waited.unwrap_or(Err(last)).map(Some)
    }

    /// One attempt at an answer. Whatever fails, the next one begins with a new stream.
    async fn once(&mut self) -> Result<M::Answer, Error> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open().await?,
        };
        let answer = tokio::time::timeout(self.client.deadline, open.answers.message()).await;
        let status = match answer {
            Ok(Ok(Some(answer))) => {
                self.open = Some(open);
                self.pending.pop_front();
                return Ok(answer);
            }
            Ok(Ok(None)) => Status::unavailable("the stream ended before its answers"),
            Ok(Err(status)) => status,
            Err(_late) => return Err(self.client.late(Effect::Asks)),
        };
        Err(self.client.judge(Effect::Asks, &status))
    }

    /// A stream on which everything is asked that has no answer. It has no deadline of its own: each
    /// answer has.
    async fn open(&self) -> Result<Open<M>, Error> {
        let (asks, asked) = mpsc::channel(Self::UNDER_WAY);
        for request in &self.pending {
            // There is room for all of them, and somebody listens.
            if asks.try_send(request.clone()).is_err() {
                return Err(Error::new(Kind::Internal, "a new stream takes nothing"));
            }
        }
        let request = self.client.stated(ReceiverStream::new(asked))?;
        let opening = M::open(&self.client, request);
        match tokio::time::timeout(self.client.deadline, opening).await {
            Ok(Ok(answers)) => Ok(Open {
                asks,
                answers: answers.into_inner(),
            }),
            Ok(Err(status)) => Err(self.client.judge(Effect::Asks, &status)),
            Err(_late) => Err(self.client.late(Effect::Asks)),
        }
    }

    /// Whether asking again may help, soon.
    fn passes(&self, error: &Error) -> bool {
        let soon = error.wait().is_none_or(|wait| wait <= self.backoff().most);
        match error.kind() {
            Kind::Unavailable | Kind::Exhausted | Kind::Unknown => soon,
            Kind::Invalid
            | Kind::Rejected
            | Kind::Refused
            | Kind::NotFound
            | Kind::Conflict
            | Kind::State
            | Kind::Pending
            | Kind::Internal
            | Kind::Tls
            | Kind::Usage
            | Kind::Io => false,
        }
    }

    /// As the client's, and however often.
    fn backoff(&self) -> Backoff {
        Backoff {
            attempts: u32::MAX,
            ..self.client.backoff
        }
    }
}
