//! What a caller says beside the message: metadata that every call may carry.

use kms_core::error::{Error, Result};
use kms_core::name::Slug;
use secrecy::{ExposeSecret, SecretString};
use tonic::codegen::http::{HeaderMap, Request};

/// The metadata in which a caller states its purpose.
pub const PURPOSE: &str = "kms-purpose";

/// The metadata in which a person's access token comes, as `Bearer TOKEN` (RFC 6750, section 2.1).
pub const AUTHORIZATION: &str = "authorization";

/// What a caller says beside the message.
#[derive(Debug, Clone, Default)]
pub struct Stated {
    /// What the call is for, as it was written.
    purpose: Option<String>,
    /// What shows who signed in, as it was written.
    authorization: Option<SecretString>,
}

impl Stated {
    /// What the call is for.
    ///
    /// # Errors
    /// `Invalid` when it is no purpose.
    pub(super) fn purpose(&self) -> Result<Option<Slug>> {
        let Some(text) = &self.purpose else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_malformed: Error| {
            let sentence = format!(
                "the purpose in {PURPOSE} has 1 to 63 characters of a-z, 0-9 and '-', as the \
                 study's name on the key"
            );
            Error::invalid(PURPOSE, sentence)
        })
    }

    /// The access token of whoever signed in.
    ///
    /// # Errors
    /// `Invalid` when it is shown in another way.
    pub(super) fn token(&self) -> Result<Option<&str>> {
        let Some(shown) = &self.authorization else {
            return Ok(None);
        };
        // RFC 9110, section 11.1: the scheme in any case.
        match shown.expose_secret().split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token)),
            Some(_) | None => Err(Error::invalid(
                AUTHORIZATION,
                "who signed in is shown as Bearer and an access token, by kms login",
            )),
        }
    }

    fn of(headers: &HeaderMap) -> Self {
        let text = |name| {
            // What is not text is no purpose either, and is told so.
            let value = headers.get(name)?;
            Some(value.to_str().unwrap_or("?").to_owned())
        };
        Stated {
            purpose: text(PURPOSE),
            authorization: text(AUTHORIZATION).map(SecretString::from),
        }
    }
}

/// Takes what a caller states from the metadata, for the door to find.
#[must_use]
pub fn stated<B>(mut request: Request<B>) -> Request<B> {
    let stated = Stated::of(request.headers());
    request.extensions_mut().insert(stated);
    request
}
