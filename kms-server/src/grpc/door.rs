//! From a gRPC request to the engine, and back: who calls, under which ids.

use super::status;
use crate::engine::{Call, Engine, Reply};
use kms_core::action::Action;
use kms_core::caller::Caller;
use kms_core::command::Command;
use kms_core::error::{Error, Result};
use std::sync::Arc;
use tonic::{Extensions, Status};
use tracing::Instrument;
use uuid::Uuid;

/// Who is at the other end of a connection: made once, when its handshake ends.
#[derive(Debug, Clone)]
pub struct Peer(pub Arc<Caller>);

/// The door of every service: the engine behind it.
#[derive(Debug, Clone)]
pub struct Door {
    engine: Arc<Engine>,
}

impl Door {
    /// A door to this engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Door { engine }
    }

    /// Carries out what a request asks, or records that it could not be understood.
    pub(super) async fn pass(
        &self,
        extensions: &Extensions,
        action: Action,
        asked: Result<Asked>,
    ) -> std::result::Result<Reply, Status> {
        self.pass_for(extensions, action, asked, Ok).await
    }

    /// The same, for what `take` finds in the reply: its error is the call's.
    pub(super) async fn pass_for<T>(
        &self,
        extensions: &Extensions,
        action: Action,
        asked: Result<Asked>,
        take: impl FnOnce(Reply) -> Result<T>,
    ) -> std::result::Result<T, Status> {
        let Some(Peer(caller)) = extensions.get::<Peer>() else {
            let error = Error::internal("a request without a caller reached the door");
            return Err(status::status(&error));
        };
        let mut call = Call {
            caller: (**caller).clone(),
            id: Uuid::new_v4().to_string(),
            request: None,
        };
        let id = call.id.clone();
        let span = tracing::info_span!("call", id, action = action.name());
        let answered = async {
            let result = match asked {
                Ok(asked) => {
                    call.request = asked.request;
                    self.engine.run(call, asked.command).await
                }
                Err(error) => Err(self.engine.reject(call, action, error).await),
            };
            result
                .and_then(take)
                .map_err(|error| status::of_call(&error, &id))
        };
        answered.instrument(span).await
    }
}

/// A command and the client's id of its request.
#[derive(Debug)]
pub(super) struct Asked {
    command: Command,
    request: Option<Uuid>,
}

impl From<Command> for Asked {
    fn from(command: Command) -> Self {
        Asked {
            command,
            request: None,
        }
    }
}

impl Asked {
    /// A change, with the client's id of it, if it gave one.
    pub(super) fn change(change: kms_core::command::Change, request: &str) -> Result<Self> {
        Asked::again(Command::Change(change), request)
    }

    /// A command that may be sent again, with the client's id of it, if it gave one.
    pub(super) fn again(command: Command, request: &str) -> Result<Self> {
        let wrong = |e| Error::invalid("request_id", "a request_id is a UUID").because(e);
        let request = match request {
            "" => None,
            text => Some(text.parse().map_err(|e: uuid::Error| wrong(e))?),
        };
        Ok(Asked { command, request })
    }
}

/// A reply that its command does not give.
pub(super) fn mismatch() -> Status {
    status::status(&mismatched())
}

/// The same, before it is a status.
pub(super) fn mismatched() -> Error {
    Error::internal("a command gave another command's reply")
}
