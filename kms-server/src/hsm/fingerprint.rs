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
//! - **ECDSA**: the SubjectPublicKeyInfo of the public half, once it verifies what the private one
//!   signs: on the token they are two objects, and only the id says that they belong together.
//! - **AES key wrap**: a constant, wrapped (RFC 3394 is deterministic). The constant goes in as a
//!   session object by `C_CreateObject`; a token that lets no value in (some FIPS modules) cannot
//!   hold keys of this class.
//!
//! The label, and the bytes of every fingerprint, are fixed for ever: they are in the store.

use data_encoding::HEXLOWER;
use kms_core::attestation::verify;
use kms_core::class::Algorithm;
use kms_core::id::KeyId;
use kms_pkcs11::{Attribute, Error, Handle, KeyType, Mechanism, ObjectClass, Session, Template};
use sha2::{Digest, Sha256};

use super::template;

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
        Algorithm::EcdsaP256 => {
            let public = public_half(session, key, id)?;
            let signature = session.sign_ecdsa(key, &Sha256::digest(&input))?;
            if verify(&input, &signature, &public).is_err() {
                let why = "the public key does not verify what the private one signs";
                return Err(Error::wrong("C_Sign", why));
            }
            digest(&public)
        }
        Algorithm::Aes256Kw => {
            let constant = session.create(&public(&Sha256::digest(LABEL)))?;
            let wrapped = session.wrap(&Mechanism::AesKeyWrap, key, constant);
            session.destroy(constant)?;
            digest(&wrapped?)
        }
    })
}

/// Whether operations must not use this nonce.
pub(super) fn reserves(nonce: &[u8; 12]) -> bool {
    [NONCE, RECOGNISING].contains(nonce)
}

/// One block of AES of a constant: what the same key gives under GCM and under key wrap, so that
/// material is recognised whichever class it comes in as.
///
/// GCM with nothing to encrypt or authenticate gives `E(nonce || 00000001)` as its tag (NIST SP
/// 800-38D section 7.1: the hash of nothing is zero). Key wrap with padding of eight bytes is one
/// block, `E(A65959A6 || 00000008 || bytes)` (RFC 5649 section 4.1). With this nonce, and these
/// bytes, both are the same block.
///
/// It is a key check value, and tells a guess of the key from the key: it never leaves the service
/// but through the HMAC of the digest key.
pub(super) fn recognise(
    session: &Session,
    algorithm: Algorithm,
    key: Handle,
) -> Result<Vec<u8>, Error> {
    match algorithm {
        Algorithm::Aes256 => {
            let gcm = Mechanism::AesGcm {
                iv: &RECOGNISING,
                aad: &[],
            };
            session.encrypt(&gcm, key, &[])
        }
        Algorithm::Aes256Kw => {
            let constant = session.create(&public(&RECOGNISED))?;
            // RFC 5649 goes by two numbers, and a token has one of them at most (see `probe`).
            let wrapped = session
                .wrap(&Mechanism::AesKeyWrapKwp, key, constant)
                .or_else(|_unknown| session.wrap(&Mechanism::AesKeyWrapPad, key, constant));
            session.destroy(constant)?;
            wrapped
        }
        Algorithm::HmacSha256 | Algorithm::Rsa3072 | Algorithm::EcdsaP256 => {
            Err(Error::wrong("C_Encrypt", "no key of this kind comes in"))
        }
    }
}

/// The nonce of [`recognise`]: the initial value of RFC 5649 for eight bytes, then four of ours.
const RECOGNISING: [u8; 12] = *b"\xA6\x59\x59\xA6\0\0\0\x08EMC2";

/// The eight bytes of [`recognise`].
const RECOGNISED: [u8; 8] = *b"EMC2\0\0\0\x01";

/// The SubjectPublicKeyInfo of an EC pair: from its public object, or, where there is none, from
/// what the private one may hold of it.
pub(super) fn public_half(
    session: &Session,
    private: Handle,
    id: &KeyId,
) -> Result<Vec<u8>, Error> {
    let wanted = template::by_id(id).with(Attribute::Class(ObjectClass::PublicKey));
    let found = session.find(&wanted, 1)?;
    session.public_key(found.first().copied().unwrap_or(private))
}

fn digest(evidence: &[u8]) -> String {
    let digest = Sha256::new()
        .chain_update(LABEL)
        .chain_update(evidence)
        .finalize();
    HEXLOWER.encode(digest.get(..16).unwrap_or_default())
}

/// Bytes that are no secret, as a session object that may be wrapped.
fn public(value: &[u8]) -> Template {
    Template::from([
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::KeyType(KeyType::GenericSecret),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Value(value.to_vec()),
    ])
}
