//! A token becomes a sign-in, or a sentence.

use super::Settings;
use super::keyring::Keyring;
use crate::clock::Clock;
use kms_core::caller::SignIn;
use kms_core::error::Result;
use kms_core::time::Time;
use kms_openid::{Https, Rule, Sealed, Sort, Thumbprint};
use std::sync::Arc;

/// Judges the access tokens of one provider.
#[derive(Debug)]
pub struct Verifier {
    settings: Settings,
    keyring: Keyring,
}

impl Verifier {
    /// Reads the authority's file; the provider itself is not asked yet.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let https = Https::trusting(&settings.authority, None)?;
        let keyring = Keyring::new(https, settings.issuer.clone(), clock);
        Ok(Verifier { settings, keyring })
    }

    /// Asks the provider for its keys, so that the server's log says at once what is wrong.
    pub async fn meet(&self) {
        self.keyring.fetch().await;
    }

    /// Who signed in, by an access token that came over a connection with this certificate.
    ///
    /// How old the sign-in may be, and whether it must be strong, is not judged here: the answer
    /// tells both. Nor is it judged here whether this person may have this certificate: whoever
    /// asks compares `issuer` and `subject` with the binding of the certificate's person.
    ///
    /// # Errors
    /// `Refused` with the first thing that is wrong, without any part of the token; `Unavailable`
    /// when the provider's keys are not known and cannot be had.
    pub async fn verify(&self, token: &str, certificate: &Thumbprint, now: Time) -> Result<SignIn> {
        let token = Sealed::read(token, Sort::Access)?;
        let claims = self.keyring.open(&token).await?;
        let proved = claims.judge(&Rule {
            sort: Sort::Access,
            issuer: self.settings.issuer.as_str(),
            audience: &self.settings.audience,
            client: &self.settings.client_id,
            now,
            skew: self.settings.clock_skew,
        })?;
        claims.held_by(certificate)?;
        Ok(SignIn {
            issuer: self.settings.issuer.as_str().to_owned(),
            subject: proved.subject,
            auth_time: proved.auth_time,
            expires: proved.expires,
            strong: self.settings.strong.shown_by(&claims),
        })
    }
}
