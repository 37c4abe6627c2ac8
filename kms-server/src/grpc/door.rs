//! From a gRPC request to the engine, and back: who calls, under which ids.

use super::stated::Stated;
use super::status;
use crate::engine::{Call, Engine, Reply};
use crate::openid::Verifier;
use kms_core::action::Action;
use kms_core::caller::{Caller, Peer, SignIn};
use kms_core::command::Command;
use kms_core::error::{Error, Result};
use kms_core::name::ProposalName;
use kms_core::revision::Revision;
use kms_core::time::Time;
use kms_openid::Thumbprint;
use std::sync::Arc;
use tokio::sync::watch;
use tonic::{Extensions, Status};
use tracing::Instrument;
use uuid::Uuid;

/// Who is at the other end of a connection: made once, when its handshake ends.
#[derive(Debug, Clone)]
pub struct Connected(pub Arc<Peer>);

/// The door of every service: the engine behind it, and whoever knows the people who sign in.
#[derive(Debug, Clone)]
pub struct Door {
    engine: Arc<Engine>,
    people: Option<Arc<Verifier>>,
    stopping: watch::Receiver<bool>,
}

impl Door {
    /// A door to this engine. Without a verifier nobody signs in. Long calls take nothing more in
    /// once the service is `stopping`.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        people: Option<Arc<Verifier>>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Door {
            engine,
            people,
            stopping,
        }
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
        let (mut call, stated) = self.call(extensions).await?;
        let id = call.id.clone();
        let span = tracing::info_span!("call", id, action = action.name());
        let answered = async {
            let result = match stated.and(asked) {
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

    /// Carries out what waits in a proposal.
    pub(super) async fn execute(
        &self,
        extensions: &Extensions,
        name: Result<ProposalName>,
        request: &str,
    ) -> std::result::Result<Reply, Status> {
        let (mut call, stated) = self.call(extensions).await?;
        let id = call.id.clone();
        let action = Action::Propose;
        let span = tracing::info_span!("call", id, action = action.name());
        let answered = async {
            let asked = stated.and(name).and_then(|name| Ok((name, uuid(request)?)));
            let result = match asked {
                Ok((name, request)) => {
                    call.request = request;
                    self.engine.execute(call, name).await
                }
                Err(error) => Err(self.engine.reject(call, action, error).await),
            };
            result.map_err(|error| status::of_call(&error, &id))
        };
        answered.instrument(span).await
    }

    /// A call, and whether what its caller stated beside the message is understood and true.
    async fn call(
        &self,
        extensions: &Extensions,
    ) -> std::result::Result<(Call, Result<()>), Status> {
        let Some(Connected(peer)) = extensions.get::<Connected>() else {
            let error = Error::internal("a request without a caller reached the door");
            return Err(status::status(&error));
        };
        let mut peer = Arc::clone(peer);
        let understood = match extensions.get::<Stated>() {
            Some(stated) => self.hear(stated, &mut peer).await,
            None => Ok(()),
        };
        let call = Call {
            caller: Caller::Peer(peer),
            id: Uuid::new_v4().to_string(),
            request: None,
        };
        Ok((call, understood))
    }

    /// Adds to a peer what it states.
    async fn hear(&self, stated: &Stated, peer: &mut Arc<Peer>) -> Result<()> {
        if let Some(purpose) = stated.purpose()? {
            Arc::make_mut(peer).purpose = Some(purpose);
        }
        if let Some(token) = stated.token()? {
            let sign_in = self.sign_in(token, peer).await?;
            Arc::make_mut(peer).sign_in = Some(sign_in);
        }
        Ok(())
    }

    /// Whose access token this is, which must be bound to the peer's certificate.
    async fn sign_in(&self, token: &str, peer: &Peer) -> Result<SignIn> {
        let people = self.people.as_ref().ok_or_else(|| {
            Error::refused(
                "this service has no OpenID provider and takes no sign-in; run kms logout",
            )
        })?;
        let certificate = Thumbprint::of(peer.certificate.der());
        people.verify(token, &certificate, self.now()).await
    }

    /// Ends when the service begins to stop.
    pub(super) fn stops(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.clone();
        async move {
            if stopping.wait_for(|stop| *stop).await.is_err() {
                // Nobody will ever say so.
                std::future::pending().await
            }
        }
    }

    /// Tells whenever anything changed.
    pub(super) fn changes(&self) -> watch::Receiver<Revision> {
        self.engine.changes()
    }

    /// Now, as things are judged.
    pub(super) fn now(&self) -> Time {
        self.engine.latest()
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
        let request = uuid(request)?;
        Ok(Asked { command, request })
    }
}

fn uuid(request: &str) -> Result<Option<Uuid>> {
    let wrong = |e| Error::invalid("request_id", "a request_id is a UUID").because(e);
    match request {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|e: uuid::Error| wrong(e)),
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
