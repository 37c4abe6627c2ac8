//! What went wrong, as what to do about it.

use std::fmt;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What the caller should do. The numbers of [`Kind::exit_code`] are stable: scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Mend the request.
    Invalid,
    /// It was done, but for what had to be left out: mend that.
    Rejected,
    /// You may not.
    Refused,
    /// There is no such thing, or you may not know of it.
    NotFound,
    /// It changed since you looked, or exists already: read again.
    Conflict,
    /// The key is not in a state for it.
    State,
    /// Others must approve it first: it waits as a proposal.
    Pending,
    /// Slow down.
    Exhausted,
    /// Try again.
    Unavailable,
    /// It may have happened: look first.
    Unknown,
    /// The service's fault, or ours.
    Internal,
    /// The two ends do not trust each other: certificates.
    Tls,
    /// The command was not understood.
    Usage,
    /// A local file could not be read or written.
    Io,
}

impl Kind {
    /// The exit code of `kms`: 1 internal, 2 usage, 3 invalid, 4 refused, 5 not found, 6 conflict,
    /// 7 state of the key, 8 try again, 9 unknown outcome, 10 TLS, 11 local file, 12 waits for
    /// approvals, 13 done but for what was rejected. 0 is success.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::Refused => 4,
            Self::NotFound => 5,
            Self::Conflict => 6,
            Self::State => 7,
            Self::Exhausted | Self::Unavailable => 8,
            Self::Unknown => 9,
            Self::Tls => 10,
            Self::Io => 11,
            Self::Pending => 12,
            Self::Rejected => 13,
        }
    }
}

/// A failure: one sentence for a person, a kind and a stable word for a program.
///
/// It holds no secret: the service's sentences never do, and ours name files, keys and lines.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    reason: String,
    proposal: Option<String>,
    wait: Option<Duration>,
}

impl Error {
    /// A failure found on this side. The message is one sentence without a full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            reason: String::new(),
            proposal: None,
            wait: None,
        }
    }

    /// A local file could not be read or written. `doing` reads on from "cannot", for example
    /// `read pki/ca.pem`.
    #[must_use]
    pub fn file(doing: &str, error: &std::io::Error) -> Self {
        Self::new(Kind::Io, format!("cannot {doing}: {error}"))
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The service's stable word (`google.rpc.ErrorInfo.reason` of domain `kms.emc2`), empty when
    /// the failure was found on this side.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// For [`Kind::Pending`]: the proposal in which the command waits, `proposals/{proposal}`.
    #[must_use]
    pub fn proposal(&self) -> Option<&str> {
        self.proposal.as_deref()
    }

    /// After how long the service says that it is worth another try (`google.rpc.RetryInfo`).
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// The same failure, told as part of something larger: `prefix: sentence`.
    #[must_use]
    pub fn within(mut self, prefix: impl fmt::Display) -> Self {
        self.message = format!("{prefix}: {}", self.message);
        self
    }

    /// The same failure, and what follows from it.
    #[must_use]
    pub fn followed(mut self, more: impl fmt::Display) -> Self {
        self.message = format!("{}{more}", self.message);
        self
    }

    /// What the service answered.
    pub(crate) fn from_answer(status: &Status) -> Self {
        let details = status.get_error_details();
        let ours = details.error_info().filter(|said| said.domain == DOMAIN);
        let reason = ours.map(|said| said.reason.clone()).unwrap_or_default();
        let proposal = ours.and_then(|said| said.metadata.get("proposal").cloned());
        let wait = details.retry_info().and_then(|retry| retry.retry_delay);
        let mut message = if status.message().is_empty() {
            format!("the service answered {}", status.code().description())
        } else {
            status.message().trim_end_matches('.').to_owned()
        };
        if let Some(request) = details.bad_request() {
            let fields: Vec<String> = request
                .field_violations
                .iter()
                .filter(|field| !message.contains(&field.description))
                .map(|field| format!("{}: {}", field.field, field.description))
                .collect();
            if !fields.is_empty() {
                message = format!("{message} ({})", fields.join("; "));
            }
        }
        Self {
            kind: kind(status.code(), &reason),
            message,
            reason,
            proposal,
            wait,
        }
    }
}

/// What went wrong on this side, in code that the service has too.
impl From<kms_core::Error> for Error {
    fn from(error: kms_core::Error) -> Self {
        let cause = error.cause().map(|c| format!(" ({c})")).unwrap_or_default();
        Self::new(
            kind_of_word(error.kind()),
            format!("{}{cause}", error.message()),
        )
    }
}

/// What one item of a batch says about itself.
impl From<kms_proto::v1::ItemError> for Error {
    fn from(item: kms_proto::v1::ItemError) -> Self {
        Self {
            kind: kind(Code::from_i32(item.code), &item.reason),
            message: item.message,
            reason: item.reason,
            proposal: None,
            wait: None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// `google.rpc.ErrorInfo.domain` of the service's own words.
const DOMAIN: &str = "kms.emc2";

/// The service's word decides; where it gave none (a proxy answered, or the transport), the status
/// does.
fn kind(code: Code, reason: &str) -> Kind {
    kms_core::Kind::ALL
        .into_iter()
        .find(|kind| kind.word() == reason)
        .map_or_else(|| kind_of_code(code), kind_of_word)
}

fn kind_of_word(kind: kms_core::Kind) -> Kind {
    match kind {
        kms_core::Kind::Invalid => Kind::Invalid,
        kms_core::Kind::Refused => Kind::Refused,
        kms_core::Kind::NotFound => Kind::NotFound,
        kms_core::Kind::Conflict => Kind::Conflict,
        kms_core::Kind::State => Kind::State,
        kms_core::Kind::Pending => Kind::Pending,
        kms_core::Kind::Exhausted => Kind::Exhausted,
        kms_core::Kind::Unavailable => Kind::Unavailable,
        kms_core::Kind::Unknown => Kind::Unknown,
        kms_core::Kind::Internal => Kind::Internal,
    }
}

fn kind_of_code(code: Code) -> Kind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => Kind::Invalid,
        Code::PermissionDenied | Code::Unauthenticated => Kind::Refused,
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists | Code::Aborted => Kind::Conflict,
        Code::FailedPrecondition => Kind::State,
        Code::ResourceExhausted => Kind::Exhausted,
        Code::Unavailable => Kind::Unavailable,
        Code::Unknown | Code::Cancelled | Code::DeadlineExceeded => Kind::Unknown,
        Code::Ok | Code::Internal | Code::DataLoss | Code::Unimplemented => Kind::Internal,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use tonic_types::ErrorDetails;

    fn answer(code: Code, reason: &str, domain: &str) -> Error {
        let details = ErrorDetails::with_error_info(reason, domain, HashMap::new());
        Error::from_answer(&Status::with_error_details(code, "no.", details))
    }

    #[test]
    fn the_services_word_wins_over_the_status() {
        let said = answer(Code::FailedPrecondition, "REFUSED", DOMAIN);
        assert_eq!(said.kind(), Kind::Refused);
        assert_eq!(said.reason(), "REFUSED");
        assert_eq!(said.to_string(), "no");
    }

    #[test]
    fn a_strangers_word_is_not_ours() {
        let said = answer(Code::FailedPrecondition, "REFUSED", "elsewhere");
        assert_eq!(said.kind(), Kind::State);
        assert_eq!(said.reason(), "");
    }

    #[test]
    fn what_waits_names_its_proposal() {
        let metadata = HashMap::from([("proposal".to_owned(), "proposals/p1".to_owned())]);
        let details = ErrorDetails::with_error_info("APPROVAL_REQUIRED", DOMAIN, metadata);
        let said = Error::from_answer(&Status::with_error_details(
            Code::FailedPrecondition,
            "it waits",
            details,
        ));
        assert_eq!(said.kind(), Kind::Pending);
        assert_eq!(said.proposal(), Some("proposals/p1"));
    }

    #[test]
    fn the_fields_at_fault_are_named_once() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("key.title", "is longer than 128 bytes");
        let said = Error::from_answer(&Status::with_error_details(
            Code::InvalidArgument,
            "the request is not valid",
            details.clone(),
        ));
        assert_eq!(
            said.to_string(),
            "the request is not valid (key.title: is longer than 128 bytes)"
        );
        let said = Error::from_answer(&Status::with_error_details(
            Code::InvalidArgument,
            "key.title is longer than 128 bytes",
            details,
        ));
        assert_eq!(said.to_string(), "key.title is longer than 128 bytes");
    }
}
