//! Any number of messages over one call: each is judged, charged and recorded as a call of its own.
//!
//! Nothing happens unless the answers are read: what is sent out pulls what is taken in. So a client
//! that does not read holds a few messages of the service's memory, whatever it sends.

use super::door::Door;
use super::{status, unread};
use futures::stream::{BoxStream, FuturesOrdered, unfold};
use futures::{FutureExt, StreamExt};
use kms_core::action::Action;
use kms_core::error::Error;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tonic::metadata::MetadataMap;
use tonic::{Code, Extensions, Request, Status, Streaming};
use tracing::Instrument;

/// A message that is one call, alone or on a stream.
pub(super) trait Message: Sized + Send + 'static {
    /// What it is answered with.
    type Answer: Send + 'static;

    /// What it asks for.
    const ACTION: Action;

    /// Carries it out.
    fn carried(
        self,
        door: &Door,
        extensions: &Extensions,
    ) -> impl Future<Output = Result<Self::Answer, Status>> + Send;
}

/// The answers, in the order of the messages.
pub(super) type Answers<A> = BoxStream<'static, Result<A, Status>>;

type Answer<M> = Result<<M as Message>::Answer, Status>;

/// Messages that are carried out at once: while one is at the HSM, others are read and written.
const UNDER_WAY: usize = 4;

/// The answers to what a stream asks.
pub(super) fn answers<M: Message>(
    door: &Door,
    request: Request<Streaming<M>>,
) -> Answers<M::Answer> {
    let (metadata, extensions, messages) = request.into_parts();
    let work = Work {
        door: door.clone(),
        extensions: Arc::new(extensions),
        messages,
        under_way: FuturesOrdered::new(),
        takes: true,
        deadline: match deadline(&metadata) {
            Some(after) => Box::pin(tokio::time::sleep(after)),
            None => Box::pin(pending()),
        },
        stops: Box::pin(door.stops()),
        ending: None,
        over: false,
    };
    unfold(work, async |mut work| {
        let answer = work.next().await?;
        Some((answer, work))
    })
    .boxed()
}

/// One stream.
struct Work<M: Message> {
    door: Door,
    extensions: Arc<Extensions>,
    messages: Streaming<M>,
    under_way: FuturesOrdered<JoinHandle<Answer<M>>>,
    /// Whether more is taken in.
    takes: bool,
    deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
    stops: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// What ends the stream once everything that was taken in is answered.
    ending: Option<Error>,
    over: bool,
}

impl<M: Message> Work<M> {
    async fn next(&mut self) -> Option<Answer<M>> {
        if self.over {
            return None;
        }
        loop {
            if !self.takes && self.under_way.is_empty() {
                self.over = true;
                return self.ending.take().map(|error| Err(status::status(&error)));
            }
            tokio::select! {
                biased;
                () = &mut self.deadline => return self.end(Status::deadline_exceeded(
                    "the deadline of the stream has passed; send again what has no answer",
                )),
                () = &mut self.stops, if self.takes => {
                    self.takes = false;
                    let sentence = "the service is stopping; send again what has no answer";
                    self.ending = Some(Error::unavailable(sentence));
                }
                Some(answered) = self.under_way.next() => return match answered {
                    Ok(Ok(answer)) => Some(Ok(answer)),
                    Ok(Err(status)) => self.end(status),
                    Err(died) => {
                        let error = Error::internal(format!("a message did not end: {died}"));
                        self.end(status::status(&error))
                    }
                },
                message = self.messages.next(),
                    if self.takes && self.under_way.len() < UNDER_WAY => self.take(message),
            }
        }
    }

    /// Begins what a message asks. On a task of its own: all cores work on a stream, and what was
    /// begun ends, whether its answer is read or not.
    fn take(&mut self, message: Option<Result<M, Status>>) {
        let (door, extensions) = (self.door.clone(), Arc::clone(&self.extensions));
        let work = match message {
            Some(Ok(message)) => async move { message.carried(&door, &extensions).await }.boxed(),
            Some(Err(said)) => {
                self.takes = false;
                async move { Err(refused(&door, &extensions, M::ACTION, said).await) }.boxed()
            }
            None => {
                self.takes = false;
                return;
            }
        };
        let work = tokio::spawn(work.in_current_span());
        self.under_way.push_back(work);
    }

    fn end(&mut self, status: Status) -> Option<Answer<M>> {
        self.over = true;
        Some(Err(status))
    }
}

/// What the sender of a message hears that the transport could not read: the door's word, which
/// leaves a record; else the transport's.
async fn refused(door: &Door, extensions: &Extensions, action: Action, said: Status) -> Status {
    let ours = said
        .details()
        .is_empty()
        .then(|| unread::error(said.code()));
    let Some(error) = ours.flatten() else {
        return said;
    };
    match door.pass(extensions, action, Err(error)).await {
        Ok(_never) => Status::new(Code::Internal, "what cannot be read was carried out"),
        Err(status) => status,
    }
}

/// How long the client waits for the whole stream, if it says so (`grpc-timeout`, at most eight
/// digits and a unit). The transport looks at it only until the first answer.
fn deadline(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count = Some(digits).filter(|d| (1..=8).contains(&d.len()))?;
    let count: u64 = count.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_in_every_unit_and_a_wrong_one_is_none() {
        let read = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            deadline(&metadata)
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(read("30M"), Some(Duration::from_secs(1_800)));
        assert_eq!(read("15S"), Some(Duration::from_secs(15)));
        assert_eq!(read("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        assert_eq!(read("7n"), Some(Duration::from_nanos(7)));
        for wrong in ["", "S", "1", "123456789S", "-1S", "1s", "é"] {
            let mut metadata = MetadataMap::new();
            if let Ok(value) = wrong.parse() {
                metadata.insert("grpc-timeout", value);
            }
            assert_eq!(deadline(&metadata), None, "{wrong}");
        }
        assert_eq!(deadline(&MetadataMap::new()), None);
    }
}
