//! A sign-in that is in force.

use crate::{Error, Kind};
use jiff::Timestamp;
use kms_core::time::Time;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// Who signed in, until when, and the token that says so. Its serialised form holds the token:
/// keep it where only its owner reads.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The provider.
    pub issuer: String,
    /// What it calls this program.
    pub client_id: String,
    /// Who signed in, by the provider's own name (`sub`).
    pub subject: String,
    /// SHA-256 of the certificate that the token is bound to, hexadecimal.
    pub certificate: String,
    /// When it ends.
    pub expires: Time,
    /// The access token.
    #[serde(serialize_with = "exposed")]
    pub(crate) token: SecretString,
}

impl SignIn {
    /// That it is in force: its token would be taken now.
    ///
    /// # Errors
    /// [`Kind::Refused`] when it has ended.
    pub fn in_force(&self) -> Result<(), Error> {
        if super::now() < self.expires {
            return Ok(());
        }
        let ended = i64::try_from(self.expires.0)
            .ok()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .map(|at| format!(" at {at:.0}"))
            .unwrap_or_default();
        Err(Error::new(
            Kind::Refused,
            format!("your sign-in ended{ended}; run kms login"),
        ))
    }
}

fn exposed<S: Serializer>(token: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose_secret())
}
