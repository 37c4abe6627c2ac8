//! A message that the transport refuses before there is a command: its sender hears what to do, as
//! of any mistake, and it leaves a record.

use super::asks::action_at;
use super::door::{Connected, Door};
use super::stated::Stated;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use kms_core::error::Error;
use tonic::service::Routes;
use tonic::{Code, Extensions, Status};

/// The same services, where what cannot be read is refused by the door.
#[must_use]
pub fn heard(routes: Routes, door: Door) -> Routes {
    let layer = from_fn_with_state(door, answer);
    Routes::from(routes.into_axum_router().layer(layer))
}

/// The answer to a request; where its message could not be read, the door's. Every status of the
/// door has `google.rpc` details, the transport's have none.
async fn answer(State(door): State<Door>, request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let caller = request.extensions().get::<Connected>().cloned();
    let stated = request.extensions().get::<Stated>().cloned();
    let answer = next.run(request).await;
    let Some(said) = Status::from_header_map(answer.headers()) else {
        return answer;
    };
    let refused = said.details().is_empty().then(|| error(said.code()));
    let (Some(error), Some(action)) = (refused.flatten(), action_at(uri.path())) else {
        return answer;
    };
    let mut extensions = Extensions::new();
    caller.map(|caller| extensions.insert(caller));
    stated.map(|stated| extensions.insert(stated));
    match door.pass(&extensions, action, Err(error)).await {
        Ok(_never) => answer,
        Err(status) => status.into_http(),
    }
}

/// What the sender of a message should hear that the transport refused with this code.
pub(super) fn error(code: Code) -> Option<Error> {
    let sentence = match code {
        Code::OutOfRange => {
            "a message is at most 8 MiB; encrypt what is large with a data key at your side, and \
             make several batches of many items"
        }
        Code::Internal => {
            "the message is not one of this call's; generate the client from the .proto files of \
             the service's version"
        }
        Code::Unimplemented => "messages are taken as they are; send them uncompressed",
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => return None,
    };
    Some(Error::invalid("message", sentence))
}
