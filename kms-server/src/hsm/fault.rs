//! What can go wrong in a visit to the token, and whose business it is.

use kms_core::error::Error;
use kms_pkcs11::Kind;

/// The outcome of a visit to the token.
pub(super) type Visit<T> = Result<T, Fault>;

/// Why a visit failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The caller's affair; session and token are well.
    Told(Error),
    /// The session, the login or the token is gone: connect again.
    Lost {
        /// What the token said.
        why: String,
        /// Whether the call that failed may have changed something on the token.
        maybe_done: bool,
    },
}

impl Fault {
    /// Of a call that changes nothing on the token.
    pub(super) fn reading(error: &kms_pkcs11::Error) -> Self {
        Self::from_token(error, false)
    }

    /// Of a call that makes or destroys something on the token.
    pub(super) fn changing(error: &kms_pkcs11::Error) -> Self {
        Self::from_token(error, true)
    }

    /// The same, after something may have been made.
    pub(super) fn perhaps_done(self) -> Self {
        match self {
            Self::Told(error) => Self::Told(error),
            Self::Lost { why, .. } => Self::Lost {
                why,
                maybe_done: true,
            },
        }
    }

    /// What the caller hears.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Told(error) => error,
            Self::Lost {
                why,
                maybe_done: false,
            } => unavailable(&why),
            Self::Lost {
                why,
                maybe_done: true,
            } => Error::unknown(
                "the connection to the HSM was lost in the middle of the call; it may have \
                 happened: look before you try again",
            )
            .because(why),
        }
    }

    /// The token's errors, where no input of a caller's can be the cause: those that are have
    /// been dealt with where the input is known.
    fn from_token(error: &kms_pkcs11::Error, maybe_done: bool) -> Self {
        match error.kind() {
            Kind::Lost | Kind::Ambiguous | Kind::WrongPin | Kind::PinLocked => Self::Lost {
                why: error.to_string(),
                maybe_done,
            },
            Kind::Full => Self::Told(
                Error::exhausted("the HSM has no room for another object or session")
                    .because(error),
            ),
            Kind::Stale | Kind::InvalidInput | Kind::Unsupported | Kind::Refused | Kind::Other => {
                Self::Told(Error::internal(error.to_string()))
            }
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

/// The token does not answer and nothing was done.
pub(super) fn unavailable(why: &str) -> Error {
    Error::unavailable("the HSM does not answer; nothing was done, try again").because(why)
}
