//! The attestation of destruction: what was destroyed, when, by whom, and what may be left of it.
//!
//! Three things that a third party can keep: the statement's bytes (JSON), an ECDSA P-256 signature
//! of exactly these bytes by the deployment's attestation key in the HSM (FIPS 186-5, DER), and that
//! key's SubjectPublicKeyInfo. Plain OpenSSL verifies them
//! (`openssl dgst -sha256 -verify key.pem -signature statement.sig statement.json`), and so does
//! [`verify`].

mod gone;
mod moment;
mod statement;
mod trail;

pub use moment::Moment;
pub use statement::{Act, Deployed, Destroyed, Held, Left, Place, Statement, Token};
pub use trail::{Found, Trail};

use crate::error::{Error, Result};
use crate::name::{SpaceName, VersionName};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use webpki::RawPublicKeyEntity;

/// What is attested: the destruction of one version, or the erasure of a whole space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// A version.
    Version(VersionName),
    /// Every version of a space.
    Space(SpaceName),
}

impl Subject {
    /// The space that it is in, or is.
    #[must_use]
    pub fn space(&self) -> &SpaceName {
        match self {
            Subject::Version(version) => version.key().space(),
            Subject::Space(space) => space,
        }
    }

    /// Whether this version is a part of it.
    #[must_use]
    pub fn has(&self, version: &VersionName) -> bool {
        match self {
            Subject::Version(name) => name == version,
            Subject::Space(space) => version.key().space() == space,
        }
    }
}

/// Makes sure that the key of this SubjectPublicKeyInfo (DER) signed exactly these bytes: ECDSA on
/// P-256 with SHA-256, the signature as DER.
///
/// # Errors
/// `Invalid` when it did not, or is no such key.
pub fn verify(statement: &[u8], signature: &[u8], public_key: &[u8]) -> Result<()> {
    let key = SubjectPublicKeyInfoDer::from(public_key);
    let key = RawPublicKeyEntity::try_from(&key)
        .map_err(|e| Error::invalid("public_key", "this is not a public key").because(e))?;
    key.verify_signature(webpki::aws_lc_rs::ECDSA_P256_SHA256, statement, signature)
        .map_err(|e| {
            let sentence = "the signature is not that of this key over this statement";
            Error::invalid("signature", sentence).because(e)
        })
}

impl FromStr for Subject {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text.contains("/versions/") {
            text.parse().map(Subject::Version)
        } else {
            text.parse().map(Subject::Space)
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Version(name) => name.fmt(f),
            Subject::Space(name) => name.fmt(f),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> String {
        subject.to_string()
    }
}
