//! The one file that chooses a gRPC status.

use kms_core::error::{Error, Kind};
use kms_proto::v1;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

/// The domain of every `google.rpc.ErrorInfo` of ours.
pub const DOMAIN: &str = "kms.emc2";

/// When to try again what others, or the HSM, only hold up.
const SOON: Duration = Duration::from_secs(1);

/// The gRPC code of each kind of error.
#[must_use]
pub fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::Refused => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::Conflict => Code::Aborted,
        Kind::State | Kind::Pending => Code::FailedPrecondition,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Unknown => Code::Unknown,
        Kind::Internal => Code::Internal,
    }
}

/// The status of an error, with `google.rpc` details. What only we should know goes into our own
/// log, under the incident number that the caller hears of.
#[must_use]
pub fn status(error: &Error) -> Status {
    told(error, None)
}

/// The status of a call's error: it names the call, as the records and our own log do.
#[must_use]
pub fn of_call(error: &Error, call: &str) -> Status {
    told(error, Some(call))
}

fn told(error: &Error, call: Option<&str>) -> Status {
    if let Some(cause) = error.cause().filter(|_| error.kind() != Kind::Internal) {
        tracing::info!(kind = error.kind().word(), cause, "refused");
    }
    worded(error, call)
}

fn worded(error: &Error, call: Option<&str>) -> Status {
    let mut message = error.message().to_owned();
    let mut metadata = HashMap::new();
    if error.kind() == Kind::Internal {
        let incident = Uuid::new_v4().to_string();
        tracing::error!(
            incident,
            cause = error.cause().unwrap_or_default(),
            "internal error"
        );
        message = format!("{message}; tell an operator the incident number {incident}");
        metadata.insert("incident".to_owned(), incident);
    }
    if let (Kind::Pending, Some(proposal)) = (error.kind(), error.field()) {
        metadata.insert("proposal".to_owned(), proposal.to_owned());
    }
    let mut details = ErrorDetails::with_error_info(error.kind().word(), DOMAIN, metadata);
    if let Some(call) = call {
        details.set_request_info(call, "");
    }
    if let Some(field) = error.field().filter(|_| error.kind() == Kind::Invalid) {
        details.add_bad_request_violation(field, error.message());
    }
    if matches!(error.kind(), Kind::Unavailable | Kind::Exhausted) {
        details.set_retry_info(Some(error.wait().unwrap_or(SOON)));
    }
    Status::with_error_details(code(error.kind()), message, details)
}

/// The error of one item of a batch. Only what is our own fault has a line of log: a batch may hold
/// thousands of mistakes.
#[must_use]
pub fn item(error: &Error) -> v1::ItemError {
    let status = worded(error, None);
    v1::ItemError {
        code: i32::from(status.code()),
        message: status.message().to_owned(),
        reason: error.kind().word().to_owned(),
    }
}
