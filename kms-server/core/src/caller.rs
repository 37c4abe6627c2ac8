//! Who asks. A [`Caller`] is made here and nowhere else.

use crate::certificate::Certificate;
use crate::error::{Error, Result};
use crate::name::Slug;
use crate::plane::Plane;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

/// A person or a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// A human being.
    Person,
    /// A program.
    Service,
}

/// A person or a service within one deployment: `person/{id}` or `service/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Principal {
    sort: Sort,
    id: Slug,
}

impl Principal {
    /// Person or service.
    #[must_use]
    pub fn sort(&self) -> Sort {
        self.sort
    }

    /// Its name among its sort.
    #[must_use]
    pub fn id(&self) -> &Slug {
        &self.id
    }

    /// The service's own clockwork: a name that nobody else can bear.
    ///
    /// # Errors
    /// Never; a name is parsed wherever it comes from.
    pub fn scheduler() -> Result<Self> {
        SCHEDULER.parse()
    }

    /// Whether it is the name of the service's own clockwork.
    #[must_use]
    pub fn is_scheduler(&self) -> bool {
        self.to_string() == SCHEDULER
    }
}

/// In the policy and in proposals.
const SCHEDULER: &str = "service/scheduler";

impl FromStr for Principal {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(
                "principal",
                "a principal has the form person/{id} or service/{id}",
            )
        };
        let (sort, id) = text.split_once('/').ok_or_else(wrong)?;
        let sort = match sort {
            "person" => Sort::Person,
            "service" => Sort::Service,
            _ => return Err(wrong()),
        };
        Ok(Principal {
            sort,
            id: id.parse()?,
        })
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sort = match self.sort {
            Sort::Person => "person",
            Sort::Service => "service",
        };
        write!(f, "{sort}/{}", self.id)
    }
}

impl TryFrom<String> for Principal {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> String {
        principal.to_string()
    }
}

/// The trust domain of an identity (SPIFFE-ID section 2.1): one for each environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(String);

impl FromStr for TrustDomain {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let letters = text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'));
        if letters && (1..=255).contains(&text.len()) {
            Ok(TrustDomain(text.to_owned()))
        } else {
            Err(Error::invalid(
                "trust_domain",
                "a trust domain has 1 to 255 of a-z, 0-9, '-', '.', '_'",
            ))
        }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TrustDomain> for String {
    fn from(domain: TrustDomain) -> String {
        domain.0
    }
}

/// An identity: `spiffe://{trust-domain}/person/{id}` or `spiffe://{trust-domain}/service/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Where it is trusted.
    pub trust_domain: TrustDomain,
    /// Who it is there.
    pub principal: Principal,
}

impl FromStr for Identity {
    type Err = Error;
    fn from_str(uri: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(
                "identity",
                "an identity has the form spiffe://{trust-domain}/person/{id} or \
                 spiffe://{trust-domain}/service/{id}",
            )
        };
        let rest = uri.strip_prefix("spiffe://").ok_or_else(wrong)?;
        let (domain, principal) = rest.split_once('/').ok_or_else(wrong)?;
        Ok(Identity {
            trust_domain: domain.parse()?,
            principal: principal.parse()?,
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}", self.trust_domain, self.principal)
    }
}

/// Who asks, and how we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Someone on the other end of a connection.
    Peer(Arc<Peer>),
    /// Whoever holds the machine and the PIN, before there is a policy to ask: only `init`.
    Founder,
    /// The service itself, settling what a crash left open. It asks for nothing.
    Recovery,
    /// The service itself, carrying out what is due.
    Scheduler,
}

/// Someone on the other end of a connection, proved by a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The certificate, which the listener verified.
    pub certificate: Certificate,
    /// From where: an address and a port.
    pub source: Option<SocketAddr>,
    /// What the listener is for.
    pub planes: &'static [Plane],
    /// For a person: the sign-in that goes with this call.
    pub sign_in: Option<SignIn>,
    /// What this call is for, in the caller's own word: the study that a key may be bound to.
    pub purpose: Option<Slug>,
}

/// A person's own sign-in at the OpenID provider, beside the certificate of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// `iss` of the token.
    pub issuer: String,
    /// `sub` of the token.
    pub subject: String,
    /// When the person last proved who they are (`auth_time`).
    pub auth_time: Time,
    /// When the token ends (`exp`).
    pub expires: Time,
    /// Whether `acr`/`amr` show strong authentication.
    pub strong: bool,
}

impl Peer {
    /// Who the certificate says it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        self.certificate.identity()
    }
}

impl Caller {
    /// Whoever it is at the other end of the connection, if there is one.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        match self {
            Caller::Peer(peer) => Some(peer),
            Caller::Founder | Caller::Recovery | Caller::Scheduler => None,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::Peer(peer) => peer.identity().fmt(f),
            Caller::Founder => f.write_str("founder"),
            Caller::Recovery => f.write_str("recovery"),
            Caller::Scheduler => f.write_str("scheduler"),
        }
    }
}
