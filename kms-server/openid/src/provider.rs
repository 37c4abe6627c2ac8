//! The provider's own description of itself (OpenID Connect Discovery 1.0; RFC 8414).

use crate::{Https, HttpsUrl, Keys};
use kms_core::error::{Error, Result};
use serde::Deserialize;

/// Where the provider's endpoints are, and what it promises.
#[derive(Debug, Clone)]
pub struct Provider {
    /// The issuer: `iss` of every token, exactly.
    pub issuer: String,
    /// Where people sign in, with their browser.
    pub authorization: HttpsUrl,
    /// Where a code becomes tokens, over mutual TLS (RFC 8705, section 5: its alias comes first).
    pub token: HttpsUrl,
    /// Where its public keys are.
    pub jwks: HttpsUrl,
    /// Whether access tokens are bound to the client's certificate (RFC 8705, section 3.3).
    pub binds_tokens: bool,
    /// Whether it checks a code challenge by SHA-256 (RFC 7636).
    pub checks_challenges: bool,
    /// Whether it names itself in its answers to the browser (RFC 9207).
    pub names_itself: bool,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    mtls_endpoint_aliases: Aliases,
    #[serde(default)]
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Default, Deserialize)]
struct Aliases {
    token_endpoint: Option<String>,
}

impl Provider {
    /// Asks the issuer.
    ///
    /// # Errors
    /// `Unavailable` when it gives no usable answer; `Refused` when the answer is another issuer's.
    pub async fn discover(https: &Https, issuer: &HttpsUrl) -> Result<Self> {
        let place = issuer.under(".well-known/openid-configuration")?;
        let metadata: Metadata = serde_json::from_slice(&https.get(&place).await?)
            .map_err(|e| unusable(&place, "metadata").because(e))?;
        if metadata.issuer != issuer.as_str() {
            return Err(Error::refused(format!(
                "the metadata at {place} are another issuer's; write the issuer exactly as the \
                 provider does"
            )));
        }
        let url = |text: String| {
            text.parse::<HttpsUrl>()
                .map_err(|e| unusable(&place, "metadata").because(e))
        };
        let token = metadata.mtls_endpoint_aliases.token_endpoint;
        Ok(Provider {
            issuer: metadata.issuer,
            authorization: url(metadata.authorization_endpoint)?,
            token: url(token.unwrap_or(metadata.token_endpoint))?,
            jwks: url(metadata.jwks_uri)?,
            binds_tokens: metadata.tls_client_certificate_bound_access_tokens,
            checks_challenges: metadata
                .code_challenge_methods_supported
                .iter()
                .any(|method| method == "S256"),
            names_itself: metadata.authorization_response_iss_parameter_supported,
        })
    }

    /// Its public keys, as it shows them now.
    ///
    /// # Errors
    /// `Unavailable` when it gives no usable answer.
    pub async fn keys(&self, https: &Https) -> Result<Keys> {
        let document = https.get(&self.jwks).await?;
        Keys::read(&document).ok_or_else(|| unusable(&self.jwks, "key set"))
    }
}

fn unusable(place: &HttpsUrl, what: &str) -> Error {
    Error::unavailable(format!(
        "what the OpenID provider shows at {place} is no {what}"
    ))
}
