//! What the caller should do.

use std::fmt;
use std::time::Duration;

/// The kinds of error, each an advice to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Mend the request.
    Invalid,
    /// You may not; or, unless you may list, there is no such thing.
    Refused,
    /// There is no such thing.
    NotFound,
    /// It changed or exists already: read again.
    Conflict,
    /// The key is not in a state for it.
    State,
    /// Others must approve first: it waits as a proposal.
    Pending,
    /// Slow down.
    Exhausted,
    /// Nothing was done: try again.
    Unavailable,
    /// It may have happened: look first.
    Unknown,
    /// Our fault.
    Internal,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Kind; 10] = [
        Kind::Invalid,
        Kind::Refused,
        Kind::NotFound,
        Kind::Conflict,
        Kind::State,
        Kind::Pending,
        Kind::Exhausted,
        Kind::Unavailable,
        Kind::Unknown,
        Kind::Internal,
    ];

    /// The stable word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Invalid => "INVALID",
            Kind::Refused => "REFUSED",
            Kind::NotFound => "NOT_FOUND",
            Kind::Conflict => "CONFLICT",
            Kind::State => "KEY_STATE",
            Kind::Pending => "APPROVAL_REQUIRED",
            Kind::Exhausted => "EXHAUSTED",
            Kind::Unavailable => "UNAVAILABLE",
            Kind::Unknown => "UNKNOWN_OUTCOME",
            Kind::Internal => "INTERNAL",
        }
    }
}

/// An error: what the caller should do, one sentence for the caller, and what only we should know.
///
/// The sentence never holds a secret, an identifier or a pseudonym. The cause is for our own log
/// and never travels; it holds no secret either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    field: Option<String>,
    message: String,
    cause: Option<String>,
    wait: Option<Duration>,
}

/// The usual result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of a kind, with its sentence.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            field: None,
            message: message.into(),
            cause: None,
            wait: None,
        }
    }

    /// The request must be mended, in this field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Error {
            field: Some(field.into()),
            ..Error::new(Kind::Invalid, message)
        }
    }

    /// The caller may not.
    pub fn refused(message: impl Into<String>) -> Self {
        Error::new(Kind::Refused, message)
    }

    /// There is no such thing.
    pub fn not_found(name: impl fmt::Display) -> Self {
        Error::new(
            Kind::NotFound,
            format!("{name} does not exist; check the name"),
        )
    }

    /// It changed or exists already.
    pub fn conflict(message: impl Into<String>) -> Self {
        Error::new(Kind::Conflict, message)
    }

    /// The key is not in a state for it.
    pub fn state(message: impl Into<String>) -> Self {
        Error::new(Kind::State, message)
    }

    /// Others must approve it first: `proposal` is where it waits.
    pub fn pending(proposal: impl fmt::Display, message: impl Into<String>) -> Self {
        Error {
            field: Some(proposal.to_string()),
            ..Error::new(Kind::Pending, message)
        }
    }

    /// Slow down.
    pub fn exhausted(message: impl Into<String>) -> Self {
        Error::new(Kind::Exhausted, message)
    }

    /// Nothing was done.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Error::new(Kind::Unavailable, message)
    }

    /// It may have happened.
    pub fn unknown(message: impl Into<String>) -> Self {
        Error::new(Kind::Unknown, message)
    }

    /// Our fault. The cause is for our log; the caller hears an incident number, given at the door.
    pub fn internal(cause: impl Into<String>) -> Self {
        Error {
            cause: Some(cause.into()),
            ..Error::new(Kind::Internal, "the service met a fault of its own")
        }
    }

    /// Adds what only we should know.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Says after how long it is worth another try.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The field to mend; for `Pending`, the proposal.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// One sentence for the caller.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// After how long it is worth another try, where that is known.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// What only we should know.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
