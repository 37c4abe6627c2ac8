//! What one sign-in is recognised by.

use crate::{Error, Kind};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// Three values that nobody can guess, each drawn for this sign-in alone.
pub(super) struct Question {
    state: String,
    nonce: String,
    verifier: Zeroizing<String>,
}

impl Question {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self {
            state: drawn()?,
            nonce: drawn()?,
            verifier: Zeroizing::new(drawn()?),
        })
    }

    /// Comes back with the browser: the answer is to our question (RFC 6749, section 10.12).
    pub(super) fn state(&self) -> &str {
        &self.state
    }

    /// Comes back in the ID token: it was made for our question (OpenID Connect Core, section 2).
    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Shown to the provider when the code is: whoever else holds the code lacks it (RFC 7636).
    pub(super) fn verifier(&self) -> &str {
        &self.verifier
    }

    /// What the browser carries instead of the verifier.
    pub(super) fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(self.verifier.as_bytes()))
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question")
    }
}

/// 256 bits of the system's generator, as 43 characters (the least that RFC 7636 allows).
fn drawn() -> Result<String, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut())
        .map_err(|e| Error::new(Kind::Internal, format!("no random numbers: {e}")))?;
    Ok(BASE64URL_NOPAD.encode(bytes.as_ref()))
}
