//! The provider's public keys (RFC 7517), and signatures judged by them.

use crate::{Claims, Sealed};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use kms_core::error::{Error, Result};
use serde::Deserialize;
use std::fmt;

/// What the provider showed at one moment.
#[derive(Debug, Clone)]
pub struct Keys(Vec<Key>);

/// A public key, and the signatures that may be checked with it.
#[derive(Clone)]
pub struct Key {
    id: String,
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    /// Reads a key set. Keys that are not for the signatures we accept, secret ones above all, are
    /// passed over (RFC 7517, section 5); `None` when it is no key set.
    #[must_use]
    pub fn read(document: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(document).ok()?;
        Some(Keys(
            document.keys.into_iter().filter_map(Key::read).collect(),
        ))
    }

    /// Whether there is a key of the name that this token gives. If not, it may be newer than what
    /// we know.
    #[must_use]
    pub fn know(&self, token: &Sealed<'_>) -> bool {
        self.0.iter().any(|key| key.id == token.key)
    }

    /// Judges the signature, by the one key of that name whose sort fits the algorithm.
    ///
    /// # Errors
    /// `Refused`.
    pub fn open(&self, token: &Sealed<'_>) -> Result<Claims> {
        let name = token.sort.name();
        let refused = |why: &str| Error::refused(format!("the {name} {why}; sign in again"));
        let mut fitting = self
            .0
            .iter()
            .filter(|key| key.id == token.key && key.algorithms.contains(&token.algorithm));
        let (Some(key), None) = (fitting.next(), fitting.next()) else {
            return Err(refused(
                "is not signed by a key that the OpenID provider shows",
            ));
        };
        // Only the signature: what the token says is judged by a `Rule`, at a time that we are given.
        let mut signature = Validation::new(token.algorithm);
        signature.required_spec_claims.clear();
        signature.validate_exp = false;
        signature.validate_nbf = false;
        signature.validate_aud = false;
        decode(token.text, &key.public, &signature)
            .map(|opened| opened.claims)
            .map_err(|error| {
                if matches!(error.kind(), ErrorKind::Json(_)) {
                    refused("does not have the form that it should")
                } else {
                    refused("has a signature that is not the OpenID provider's")
                }
            })
    }
}

impl Key {
    fn read(document: serde_json::Value) -> Option<Self> {
        let key: Jwk = serde_json::from_value(document).ok()?;
        if !matches!(
            key.common.public_key_use,
            None | Some(PublicKeyUse::Signature)
        ) {
            return None;
        }
        let mut algorithms = algorithms(&key.algorithm);
        if let Some(only) = key.common.key_algorithm {
            let only = Algorithm::try_from(only).ok()?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        if algorithms.is_empty() {
            return None;
        }
        Some(Key {
            public: DecodingKey::from_jwk(&key).ok()?,
            id: key.common.key_id?,
            algorithms,
        })
    }
}

/// A key has one sort, whatever a token's header says: that is what keeps a public key from being
/// used as the secret of a MAC.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the crate marks its enums non-exhaustive"
)]
fn algorithms(key: &AlgorithmParameters) -> Vec<Algorithm> {
    match key {
        AlgorithmParameters::RSA(_) => vec![Algorithm::RS256, Algorithm::PS256],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => vec![],
        },
        AlgorithmParameters::OctetKeyPair(key) => match key.curve {
            EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
            _ => vec![],
        },
        _ => vec![],
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {:?})", self.id, self.algorithms)
    }
}
