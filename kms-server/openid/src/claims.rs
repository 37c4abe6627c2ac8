//! What a token says, and what it must say.

use crate::{Sort, Thumbprint};
use kms_core::error::{Error, Result};
use kms_core::time::Time;
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// What a token says whose signature is the provider's. Names are those of RFC 7519, OpenID
/// Connect Core, RFC 8705 and RFC 9068. Its other claims are nobody's business here: roles come
/// from bindings, never from a token.
#[derive(Clone, Deserialize)]
pub struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    #[serde(default)]
    aud: Audience,
    azp: Option<String>,
    client_id: Option<String>,
    exp: Option<u64>,
    iat: Option<u64>,
    nbf: Option<u64>,
    auth_time: Option<u64>,
    nonce: Option<String>,
    acr: Option<String>,
    #[serde(default)]
    amr: Vec<String>,
    cnf: Option<Confirmation>,
}

/// One name, or several.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Clone, Deserialize)]
struct Confirmation {
    #[serde(rename = "x5t#S256")]
    certificate: Option<String>,
}

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'a> {
    /// Which of the two tokens.
    pub sort: Sort,
    /// Who made it, exactly.
    pub issuer: &'a str,
    /// For whom: the service, or for an ID token the client and nobody else.
    pub audience: &'a str,
    /// Which client asked for it.
    pub client: &'a str,
    /// Now.
    pub now: Time,
    /// How far the provider's clock may be ahead of ours.
    pub skew: Duration,
}

/// Who signed in, and when: claims that obey the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// `sub`.
    pub subject: String,
    /// `auth_time`.
    pub auth_time: Time,
    /// `exp`.
    pub expires: Time,
}

impl Claims {
    /// Judges the claims that every token has.
    ///
    /// # Errors
    /// `Refused`, with one sentence: the first thing that is wrong.
    pub fn judge(&self, rule: &Rule<'_>) -> Result<Proved> {
        let name = rule.sort.name();
        let refused = |why: &str| Err(Error::refused(format!("the {name} {why}; sign in again")));
        if self.iss.as_deref() != Some(rule.issuer) {
            return refused("comes from another issuer");
        }
        let meant = match rule.sort {
            Sort::Access => self.aud.names(rule.audience),
            Sort::Identity => self.aud.names_only(rule.audience),
        };
        if !meant {
            return refused("is meant for somebody else");
        }
        let clients = [&self.azp, &self.client_id].map(Option::as_deref);
        let named = clients.iter().flatten().count();
        if clients
            .iter()
            .flatten()
            .any(|client| *client != rule.client)
            || (rule.sort == Sort::Access && named == 0)
        {
            return refused("was given to another client");
        }
        let (Some(subject), Some(expires), Some(issued), Some(auth_time)) =
            (&self.sub, self.exp, self.iat, self.auth_time)
        else {
            return refused(
                "lacks one of sub, exp, iat and auth_time, which its provider must add",
            );
        };
        if subject.is_empty() {
            return refused("names nobody");
        }
        let (now, skew) = (rule.now.seconds(), rule.skew.as_secs());
        let latest = now.saturating_add(skew);
        // The end is the end: skew only excuses what seems to come too early.
        if expires <= now {
            return refused("has expired");
        }
        if self.nbf.is_some_and(|from| from > latest) || issued > latest {
            return refused("is not valid yet");
        }
        if auth_time > latest {
            return refused("tells of a sign-in that is still to come");
        }
        Ok(Proved {
            subject: subject.clone(),
            auth_time: at(auth_time),
            expires: at(expires),
        })
    }

    /// Judges the binding to a certificate (RFC 8705, section 3).
    ///
    /// # Errors
    /// `Refused`: it is bound to none, or to another.
    pub fn held_by(&self, certificate: &Thumbprint) -> Result<()> {
        let bound = self.cnf.as_ref().and_then(|cnf| cnf.certificate.as_deref());
        match bound {
            Some(bound) if bound == certificate.to_base64url() => Ok(()),
            Some(_) => Err(Error::refused(
                "the access token is bound to another certificate than that of the connection; \
                 sign in again with this one",
            )),
            None => Err(Error::refused(
                "the access token is not bound to a certificate, which its provider must do \
                 (RFC 8705)",
            )),
        }
    }

    /// Judges that the token answers one question, and no earlier one.
    ///
    /// # Errors
    /// `Refused`.
    pub fn answers(&self, nonce: &str) -> Result<()> {
        if self.nonce.as_deref() == Some(nonce) {
            Ok(())
        } else {
            Err(Error::refused(
                "the ID token does not answer this sign-in but another; sign in again",
            ))
        }
    }

    /// How the person proved who they are, as a class (`acr`).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// By which methods (`amr`, RFC 8176).
    #[must_use]
    pub fn amr(&self) -> &[String] {
        &self.amr
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")
    }
}

impl Audience {
    fn names(&self, who: &str) -> bool {
        match self {
            Audience::One(name) => name == who,
            Audience::Several(names) => names.iter().any(|name| name == who),
        }
    }

    fn names_only(&self, who: &str) -> bool {
        match self {
            Audience::One(name) => name == who,
            Audience::Several(names) => names.len() == 1 && self.names(who),
        }
    }
}

impl Default for Audience {
    fn default() -> Self {
        Audience::Several(vec![])
    }
}

fn at(seconds: u64) -> Time {
    Time(seconds.saturating_mul(1000))
}
