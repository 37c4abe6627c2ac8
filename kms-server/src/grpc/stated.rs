//! What a caller says beside the message: metadata that every call may carry.

use kms_core::error::{Error, Result};
use kms_core::name::Slug;
use tonic::codegen::http::{HeaderMap, Request};

/// The metadata in which a caller states its purpose.
pub const PURPOSE: &str = "kms-purpose";

/// What a caller says beside the message.
#[derive(Debug, Clone, Default)]
pub struct Stated {
    /// What the call is for, as it was written.
    purpose: Option<String>,
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

    fn of(headers: &HeaderMap) -> Self {
        let text = |name| {
            // What is not text is no purpose either, and is told so.
            let value = headers.get(name)?;
            Some(value.to_str().unwrap_or("?").to_owned())
        };
        Stated {
            purpose: text(PURPOSE),
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
