//! A code becomes tokens (RFC 6749, section 4.1.3).

use super::loopback::error_word;
use crate::{Error, Kind};
use kms_openid::{Https, HttpsUrl};
use secrecy::SecretString;
use serde::Deserialize;
use std::fmt;

/// What the provider gives for a code.
#[derive(Deserialize)]
pub(super) struct Tokens {
    /// For the service. To us it is opaque.
    pub(super) access_token: SecretString,
    /// How long it lives, in seconds.
    pub(super) expires_in: u64,
    /// For us: who signed in.
    pub(super) id_token: String,
    token_type: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Asks, with our certificate: the provider binds the access token to it.
pub(super) async fn tokens(
    https: &Https,
    endpoint: &HttpsUrl,
    form: &[(&str, &str)],
) -> Result<Tokens, Error> {
    let answer = https.post(endpoint, form).await?;
    if !answer.status.is_success() {
        let told: Option<Refusal> = serde_json::from_slice(&answer.body).ok();
        let word = told.map_or_else(|| answer.status.to_string(), |told| error_word(&told.error));
        return Err(Error::new(
            Kind::Refused,
            format!("the OpenID provider gave no tokens ({word}); sign in again"),
        ));
    }
    // What does not parse may hold a token: nothing of it is told.
    let tokens: Option<Tokens> = serde_json::from_slice(&answer.body).ok();
    tokens
        .filter(|tokens| tokens.token_type.eq_ignore_ascii_case("bearer"))
        .ok_or_else(|| {
            Error::new(
                Kind::Unavailable,
                format!(
                    "what the OpenID provider gives at {endpoint} is not a bearer access token, \
                     its lifetime and an ID token"
                ),
            )
        })
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}
