//! What an import carries, and what is left of it in a record.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Wrapped material and the code of its import token. It is in nobody's record: as text it is a
/// digest, by which the same import is recognised when it is sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Wrapped {
    /// As it came.
    Material {
        /// The import token's authentication code.
        mac: [u8; 32],
        /// The wrapped material.
        bytes: Vec<u8>,
    },
    /// What is left of it in a proposal: SHA-256 of code and material, hexadecimal.
    Digest(String),
}

impl Wrapped {
    /// SHA-256 of the wrapped material, hexadecimal, where the material is here.
    #[must_use]
    pub fn sha256(&self) -> Option<String> {
        match self {
            Wrapped::Material { bytes, .. } => Some(HEXLOWER.encode(&Sha256::digest(bytes))),
            Wrapped::Digest(_) => None,
        }
    }
}

impl From<String> for Wrapped {
    fn from(digest: String) -> Self {
        Wrapped::Digest(digest)
    }
}

impl From<Wrapped> for String {
    fn from(wrapped: Wrapped) -> String {
        match wrapped {
            Wrapped::Digest(digest) => digest,
            Wrapped::Material { mac, bytes } => {
                let mut hash = Sha256::new();
                hash.update(mac);
                hash.update(&bytes);
                HEXLOWER.encode(&hash.finalize())
            }
        }
    }
}
