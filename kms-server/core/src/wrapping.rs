//! How outside material comes in: wrapping mechanisms, and what a wrapping key takes in.

use crate::class::Class;
use crate::error::{Error, Result};
use crate::name::Slug;
use serde::{Deserialize, Serialize};

/// How material is wrapped on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Wrapping {
    /// RSAES-OAEP with SHA-256 and MGF1-SHA-256 (RFC 8017).
    #[serde(rename = "RSA-OAEP-SHA256")]
    OaepSha256,
    /// RSAES-OAEP with SHA-1 and MGF1-SHA-1: where a policy allows it.
    #[serde(rename = "RSA-OAEP-SHA1")]
    OaepSha1,
    /// `CKM_RSA_AES_KEY_WRAP` (PKCS#11 v3.0 section 6.1.8): RSAES-OAEP with SHA-256 of an ephemeral
    /// AES-256 key, then the material under that key (RFC 5649).
    #[serde(rename = "RSA-AES-KWP-SHA256")]
    RsaAesSha256,
    /// The same, but with SHA-1, as Azure does it: where a policy allows it.
    #[serde(rename = "RSA-AES-KWP-SHA1")]
    RsaAesSha1,
    /// AES key wrap (RFC 3394).
    #[serde(rename = "AES-KW")]
    AesKw,
    /// AES key wrap with padding (RFC 5649).
    #[serde(rename = "AES-KWP")]
    AesKwp,
}

/// The length of all material that comes in, in bytes: every importable class is of 256 bits.
pub const MATERIAL: usize = 32;

/// The length of an import-wrapping key's modulus, in bytes: RSA-3072.
pub const MODULUS: usize = 384;

/// What RFC 3394 and RFC 5649 add to whole blocks of eight bytes.
const INTEGRITY: usize = 8;

impl Wrapping {
    /// Every mechanism.
    pub const ALL: [Wrapping; 6] = [
        Wrapping::OaepSha256,
        Wrapping::OaepSha1,
        Wrapping::RsaAesSha256,
        Wrapping::RsaAesSha1,
        Wrapping::AesKw,
        Wrapping::AesKwp,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Wrapping::OaepSha256 => "RSA-OAEP-SHA256",
            Wrapping::OaepSha1 => "RSA-OAEP-SHA1",
            Wrapping::RsaAesSha256 => "RSA-AES-KWP-SHA256",
            Wrapping::RsaAesSha1 => "RSA-AES-KWP-SHA1",
            Wrapping::AesKw => "AES-KW",
            Wrapping::AesKwp => "AES-KWP",
        }
    }

    /// The class of the keys that unwrap it.
    #[must_use]
    pub fn unwrapped_by(self) -> Class {
        match self {
            Wrapping::OaepSha256
            | Wrapping::OaepSha1
            | Wrapping::RsaAesSha256
            | Wrapping::RsaAesSha1 => Class::ImportWrapping,
            Wrapping::AesKw | Wrapping::AesKwp => Class::ServiceExchange,
        }
    }

    /// Whether the material is under an ephemeral AES key, and that one under ours.
    #[must_use]
    pub fn is_hybrid(self) -> bool {
        match self {
            Wrapping::RsaAesSha256 | Wrapping::RsaAesSha1 => true,
            Wrapping::OaepSha256 | Wrapping::OaepSha1 | Wrapping::AesKw | Wrapping::AesKwp => false,
        }
    }

    /// The same but for the hash of OAEP, where there is one.
    #[must_use]
    pub fn other_hash(self) -> Option<Wrapping> {
        match self {
            Wrapping::OaepSha256 => Some(Wrapping::OaepSha1),
            Wrapping::OaepSha1 => Some(Wrapping::OaepSha256),
            Wrapping::RsaAesSha256 => Some(Wrapping::RsaAesSha1),
            Wrapping::RsaAesSha1 => Some(Wrapping::RsaAesSha256),
            Wrapping::AesKw | Wrapping::AesKwp => None,
        }
    }

    /// How long wrapped material is, in bytes.
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Wrapping::OaepSha256 | Wrapping::OaepSha1 => MODULUS,
            Wrapping::RsaAesSha256 | Wrapping::RsaAesSha1 => MODULUS + MATERIAL + INTEGRITY,
            Wrapping::AesKw | Wrapping::AesKwp => MATERIAL + INTEGRITY,
        }
    }

    /// Makes sure that these bytes are as long as what it gives.
    ///
    /// # Errors
    /// `Invalid`, with both lengths.
    pub fn fits(self, wrapped: &[u8]) -> Result<()> {
        let (there, wanted) = (wrapped.len(), self.length());
        if there == wanted {
            return Ok(());
        }
        let sentence = format!(
            "a key of 256 bits that is wrapped by {} has {wanted} bytes, and this has {there}: check \
             that it is the wrapped key alone, whole, and wrapped by that mechanism",
            self.name()
        );
        Err(Error::invalid("wrapped_key", sentence))
    }
}

/// What a wrapping key takes in: one method, one class. Decided when the key is made, for ever:
/// `CKA_UNWRAP_TEMPLATE` forces that class's attributes on whatever it unwraps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intake {
    /// The class of the keys that come in.
    pub class: Class,
    /// How they are wrapped.
    pub mechanism: Wrapping,
    /// Of a hybrid mechanism: whether it is done in two calls inside the token, where the token
    /// lacks the mechanism. Weaker: the template does not reach through the ephemeral key.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub two_steps: bool,
    /// The one source that it is for, if it is for one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<Slug>,
}

impl Intake {
    /// What a key of this class may take in.
    ///
    /// # Errors
    /// `Invalid` when it is no class that takes anything in so.
    pub fn suits(&self, class: Class) -> Result<()> {
        let wrong = if self.mechanism.unwrapped_by() != class {
            Some(format!(
                "{} is unwrapped by a key of class {}, not {class}",
                self.mechanism.name(),
                self.mechanism.unwrapped_by()
            ))
        } else if !self.class.importable() {
            Some(format!(
                "keys of class {} are generated in the HSM, never imported",
                self.class
            ))
        } else if class == Class::ServiceExchange && self.class != Class::DataAtRest {
            Some("a symmetric exchange key takes in data-at-rest keys".to_owned())
        } else if self.two_steps && !self.mechanism.is_hybrid() {
            Some(format!(
                "{} is one step; only RSA-AES-KWP can be done in two",
                self.mechanism.name()
            ))
        } else {
            None
        };
        wrong.map_or(Ok(()), |sentence| Err(Error::invalid("intake", sentence)))
    }
}
