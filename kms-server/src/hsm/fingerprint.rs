//! How a key is recognised without being seen: 16 bytes that only this material gives.
//!
//! A fingerprint is recorded when a key is made and compared whenever its handle is found again:
//! an object with the right `CKA_ID` and other material (a restored backup, a mix-up of tokens,
//! an attacker with the PIN) stops the operation before it encrypts anything. It is the first 16
//! bytes of `SHA-256(LABEL || evidence)`; the evidence is what the key makes of a constant:
//!
//! - **AES-256** (GCM): the tag of an empty plaintext with the associated data `LABEL || CKA_ID`
//!   under the all-zero 96-bit nonce. That nonce is reserved for this: operations refuse it, and a
//!   random nonce hits it with a probability of 2^-96. The same input each time gives the same
//!   tag, so the nonce is never used for two messages (NIST SP 800-38D section 8).
//! - **HMAC**: the MAC of `LABEL || CKA_ID`. Operations refuse an input that begins with `LABEL`.
//! - **RSA**: the SubjectPublicKeyInfo.
//! - **AES key wrap**: a constant, wrapped (RFC 3394 is deterministic). The constant goes in as a
//!   session object by `C_CreateObject`; a token that lets no value in (some FIPS modules) cannot
//!   hold keys of this class.
//!
//! The label, and the bytes of every fingerprint, are fixed for ever: they are in the store.

use data_encoding::HEXLOWER;
use kms_core::class::Algorithm;
use kms_core::id::KeyId;
use kms_pkcs11::{Attribute, Error, Handle, KeyType, Mechanism, ObjectClass, Session, Template};
use sha2::{Digest, Sha256};

/// Sets a fingerprint's input apart from everything that a caller can have computed.
pub(super) const LABEL: &[u8] = b"emc2-kms/fingerprint/v1";

/// The nonce that fingerprints alone may use.
pub(super) const NONCE: [u8; 12] = [0; 12];

/// The fingerprint of the key behind this handle, in hexadecimal.
pub(super) fn of(
    session: &Session,
    algorithm: Algorithm,
    key: Handle,
    id: &KeyId,
) -> Result<String, Error> {
    let input = [LABEL, &id.to_bytes()].concat();
    Ok(match algorithm {
        Algorithm::Aes256 => {
            let gcm = Mechanism::AesGcm {
                iv: &NONCE,
                aad: &input,
            };
            digest(&session.encrypt(&gcm, key, &[])?)
        }
        Algorithm::HmacSha256 => digest(&session.sign(&Mechanism::Sha256Hmac, key, &input)?),
        Algorithm::Rsa3072 => digest(&session.public_key(key)?),
        Algorithm::Aes256Kw => {
            let constant = session.create(&constant())?;
            let wrapped = session.wrap(&Mechanism::AesKeyWrap, key, constant);
            session.destroy(constant)?;
            digest(&wrapped?)
        }
    })
}

fn digest(evidence: &[u8]) -> String {
    let digest = Sha256::new()
        .chain_update(LABEL)
        .chain_update(evidence)
        .finalize();
    HEXLOWER.encode(digest.get(..16).unwrap_or_default())
}

/// 32 bytes that are no secret, as a session object that may be wrapped.
fn constant() -> Template {
    Template::from([
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::KeyType(KeyType::GenericSecret),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Value(Sha256::digest(LABEL).to_vec()),
    ])
}
