//! What partners and we hand each other when a key comes in: signed import parameters, Azure's
//! `.byok` file, and the signed receipt. All of them are read without asking anybody.
//!
//! Parameters and receipts are JSON, and exactly their bytes are signed in the HSM (ECDSA on P-256
//! with SHA-256, DER) by the deployment's own key for that; [`verify`](crate::attestation::verify)
//! and plain OpenSSL verify them. Which key that is, a partner's custodian was told by another route:
//! by its [`fingerprint`].

mod byok;
mod parameters;
mod receipt;

pub use byok::Byok;
pub use parameters::{Given, Parameters, Shown, Wrapper};
pub use receipt::Receipt;

use crate::error::{Error, Result};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256 of a SubjectPublicKeyInfo (DER), in hexadecimal: what is read out over the telephone.
#[must_use]
pub fn fingerprint(public_key: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(public_key))
}

/// Makes sure that the key of this fingerprint signed exactly these bytes.
///
/// # Errors
/// `Invalid` when another key came with it, or the signature is not that key's.
pub fn signed_by(
    statement: &[u8],
    signature: &[u8],
    public_key: &[u8],
    wanted: &str,
) -> Result<()> {
    let there = fingerprint(public_key);
    // As people write it: in pairs, in capitals.
    let plain = |c: &char| !matches!(c, ':' | ' ' | '-');
    let wanted: String = wanted.chars().filter(plain).collect();
    if wanted.to_ascii_lowercase() != there {
        return Err(Error::invalid(
            "signed_by",
            format!(
                "the key that came with this has the fingerprint {there}, which is not the one you \
                 gave: do not use it, and ask the other side by another route"
            ),
        ));
    }
    crate::attestation::verify(statement, signature, public_key)
}

/// The bytes of a statement: what is signed.
fn encode(statement: &impl Serialize) -> Result<Vec<u8>> {
    let text = serde_json::to_string_pretty(statement);
    let text = text.map_err(|e| Error::internal(format!("a statement: {e}")))?;
    Ok((text + "\n").into_bytes())
}

/// Bytes as standard base64, in one spelling.
mod base64 {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}
