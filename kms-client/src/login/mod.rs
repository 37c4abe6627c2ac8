//! A person signs in: authorization code with PKCE (RFC 6749, RFC 7636) in the person's own
//! browser, the answer on a loopback address (RFC 8252), the tokens over mutual TLS (RFC 8705).

mod exchange;
mod loopback;
mod question;
mod sign_in;

pub use sign_in::SignIn;

use crate::{Error, Identity, Kind};
use jiff::Timestamp;
use kms_core::time::Time;
use kms_openid::{Https, HttpsUrl, Provider, Rule, Sealed, Sort, Thumbprint};
use loopback::{Answer, Loopback};
use question::Question;
use std::path::PathBuf;
use std::time::Duration;

/// The OpenID provider, and what it calls us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenId {
    /// The issuer, exactly as the provider writes it.
    pub issuer: String,
    /// The name of this program at the provider.
    pub client_id: String,
    /// PEM: the authorities that the provider's certificate may come from.
    pub authority: PathBuf,
    /// Classes of authentication to ask for (`acr_values`), the preferred one first.
    pub acr_values: Vec<String>,
}

/// A sign-in that waits for the person.
#[derive(Debug)]
pub struct Login {
    client_id: String,
    https: Https,
    provider: Provider,
    loopback: Loopback,
    question: Question,
    certificate: Thumbprint,
    url: String,
    /// A sign-in before this is too old.
    earliest: Time,
}

/// How long the person may take.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How far the provider's clock may be from ours.
const SKEW: Duration = Duration::from_secs(60);

impl Login {
    /// Asks the provider for its metadata and waits on a loopback address from now on. The person
    /// must have signed in at the provider within `max_age`; none at all means: now, again.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for settings that are none, [`Kind::Unavailable`] when the provider gives
    /// no usable answer, [`Kind::Refused`] when it does not bind tokens to certificates or does not
    /// check code challenges: a token of such a one could be used by whoever sees it.
    pub async fn begin(
        openid: &OpenId,
        identity: &Identity,
        max_age: Duration,
    ) -> Result<Self, Error> {
        let issuer: HttpsUrl = openid.issuer.parse()?;
        let https = identity.toward(&openid.authority)?;
        let provider = Provider::discover(&https, &issuer).await?;
        let fit = |promised: bool, what: &str| {
            let issuer = &openid.issuer;
            let sentence = format!(
                "the OpenID provider {issuer} does not say that it {what}; its operator must turn \
                 that on"
            );
            promised
                .then_some(())
                .ok_or_else(|| Error::new(Kind::Refused, sentence))
        };
        fit(
            provider.binds_tokens,
            "binds access tokens to certificates (RFC 8705)",
        )?;
        fit(
            provider.checks_challenges,
            "checks code challenges by S256 (RFC 7636)",
        )?;
        let loopback = Loopback::bind().await?;
        let question = Question::new()?;
        let age = max_age.as_secs().to_string();
        let acr = openid.acr_values.join(" ");
        let challenge = question.challenge();
        let mut asked = vec![
            ("response_type", "code"),
            ("scope", "openid"),
            ("client_id", openid.client_id.as_str()),
            ("redirect_uri", loopback.uri()),
            ("state", question.state()),
            ("nonce", question.nonce()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            // Asking for it also makes the provider say when the person signed in.
            ("max_age", &age),
        ];
        if max_age.is_zero() {
            asked.push(("prompt", "login"));
        }
        if !acr.is_empty() {
            asked.push(("acr_values", &acr));
        }
        let past = (max_age + SKEW).as_millis();
        let past = u64::try_from(past).unwrap_or(u64::MAX);
        Ok(Self {
            url: provider.authorization.asking(&asked),
            client_id: openid.client_id.clone(),
            earliest: Time(now().0.saturating_sub(past)),
            certificate: identity.thumbprint(),
            https,
            provider,
            loopback,
            question,
        })
    }

    /// Where the person signs in, with a browser on this machine.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits for the browser to come back, at most five minutes, and fetches the tokens.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the provider or the person refused, or when the tokens are not an
    /// answer to this sign-in; [`Kind::Unavailable`] when nobody came back or the provider gives no
    /// usable answer. What comes back with another `state` is told off and not counted.
    pub async fn finish(self) -> Result<SignIn, Error> {
        let named = self.provider.names_itself;
        let coming = self
            .loopback
            .answer(self.question.state(), &self.provider.issuer, named);
        let answer = tokio::time::timeout(PATIENCE, coming).await;
        let answer = answer.unwrap_or_else(|_late| {
            Err(Error::new(
                Kind::Unavailable,
                "nobody signed in within 5 minutes; begin again",
            ))
        })?;
        let code = match answer {
            Answer::Code(code) => code,
            Answer::Error(word) => {
                return Err(Error::new(
                    Kind::Refused,
                    format!("the OpenID provider did not let you sign in ({word})"),
                ));
            }
        };
        let tokens = exchange::tokens(
            &self.https,
            &self.provider.token,
            &[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", self.loopback.uri()),
                ("client_id", &self.client_id),
                ("code_verifier", self.question.verifier()),
            ],
        )
        .await?;
        let id_token = Sealed::read(&tokens.id_token, Sort::Identity)?;
        let keys = self.provider.keys(&self.https).await?;
        let claims = keys.open(&id_token)?;
        let now = now();
        let proved = claims.judge(&Rule {
            sort: Sort::Identity,
            issuer: &self.provider.issuer,
            audience: &self.client_id,
            client: &self.client_id,
            now,
            skew: SKEW,
        })?;
        claims.answers(self.question.nonce())?;
        if proved.auth_time < self.earliest {
            return Err(Error::new(
                Kind::Refused,
                "the OpenID provider let an older sign-in pass than was asked for; begin again",
            ));
        }
        Ok(SignIn {
            issuer: self.provider.issuer,
            client_id: self.client_id,
            subject: proved.subject,
            certificate: self.certificate.to_hex(),
            expires: now.plus_millis(tokens.expires_in.saturating_mul(1000)),
            token: tokens.access_token,
        })
    }
}

pub(crate) fn now() -> Time {
    Time(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0))
}
