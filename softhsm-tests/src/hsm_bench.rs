//! What tests of an HSM do all the time: specifications, permits, one operation, material wrapped
//! by another implementation.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails may say so by a panic"
)]

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey,
};
use kms_core::class::Class;
use kms_core::error::Result;
use kms_core::id::{KeyId, KeyUid};
use kms_core::key::{KeySpec, Learned, Wrapping};
use kms_core::permit::{Permit, SystemOp};
use kms_server::hsm::{Capability, Hsm, Op, Output, Work, Wrapped};
use zeroize::Zeroizing;

/// A specification with an id of its own.
#[must_use]
pub fn spec(class: Class) -> KeySpec {
    let mut uid = [0; 16];
    getrandom::fill(&mut uid).unwrap();
    KeySpec {
        id: KeyId {
            uid: KeyUid(uid),
            version: 1,
        },
        label: "spaces/test/keys/some-key/versions/1".parse().unwrap(),
        class,
        exportable: false,
        intake: None,
    }
}

/// A permit for every key: what the service has for itself at recovery.
#[must_use]
pub fn any() -> Permit {
    Permit::system(SystemOp::Recovery)
}

/// One operation alone.
///
/// # Errors
/// Its own, or the visit's.
pub async fn one(hsm: &dyn Hsm, id: KeyId, learned: &Learned, op: Op) -> Result<Output> {
    let work = Work {
        id,
        fingerprint: learned.fingerprint.clone(),
        op,
    };
    hsm.apply(&any(), vec![work]).await?.pop().unwrap()
}

/// GCM under a nonce that tests may use as often as they like.
#[must_use]
pub fn encrypt(aad: &[u8], plaintext: &[u8]) -> Op {
    Op::GcmEncrypt {
        nonce: NONCE,
        aad: aad.to_vec(),
        plaintext: Zeroizing::new(plaintext.to_vec()),
    }
}

/// The way back.
#[must_use]
pub fn decrypt(aad: &[u8], ciphertext: &[u8]) -> Op {
    Op::GcmDecrypt {
        nonce: NONCE,
        aad: aad.to_vec(),
        ciphertext: ciphertext.to_vec(),
    }
}

/// ECDSA.
#[must_use]
pub fn sign(message: &[u8]) -> Op {
    Op::Sign {
        message: message.to_vec(),
    }
}

/// HMAC-SHA-256.
#[must_use]
pub fn hmac(input: &[u8]) -> Op {
    Op::Hmac {
        input: Zeroizing::new(input.to_vec()),
    }
}

/// Material wrapped for an import-wrapping key, by another implementation than the token's.
#[must_use]
pub fn wrap_for(key: &KeySpec, learned: &Learned, how: Wrapping, material: &[u8]) -> Wrapped {
    let public = PublicEncryptingKey::from_der(learned.public_key.as_ref().unwrap()).unwrap();
    let public = OaepPublicEncryptingKey::new(public).unwrap();
    let algorithm = match how {
        Wrapping::OaepSha1 => &OAEP_SHA1_MGF1SHA1,
        Wrapping::OaepSha256 => &OAEP_SHA256_MGF1SHA256,
        Wrapping::RsaAesSha256 | Wrapping::RsaAesSha1 | Wrapping::AesKw | Wrapping::AesKwp => {
            panic!("an RSA key alone does not wrap by {how:?}")
        }
    };
    let mut blob = vec![0; public.ciphertext_size()];
    let blob = public
        .encrypt(algorithm, material, &mut blob, None)
        .unwrap()
        .to_vec();
    Wrapped {
        by: key.id,
        fingerprint: learned.fingerprint.clone(),
        mechanism: how,
        two_steps: false,
        blob,
    }
}

/// A key under another, as a partner wraps it: RFC 3394, or RFC 5649.
#[must_use]
pub fn wrap_under(exchange: &[u8; 32], how: Wrapping, material: &[u8]) -> Vec<u8> {
    use aes_kw::{KeyInit, KwAes256, KwpAes256};
    let mut out = vec![0; material.len() + 8];
    let wrapped = if how == Wrapping::AesKw {
        KwAes256::new(exchange.into()).wrap_key(material, &mut out)
    } else {
        KwpAes256::new(exchange.into()).wrap_key(material, &mut out)
    };
    wrapped.unwrap().to_vec()
}

/// The best OAEP that this HSM has.
#[must_use]
pub fn oaep(hsm: &dyn Hsm) -> Wrapping {
    if hsm.report().has(Capability::OaepSha256) {
        Wrapping::OaepSha256
    } else {
        Wrapping::OaepSha1
    }
}

/// A nonce for tests.
pub const NONCE: [u8; 12] = *b"not a secret";

/// AES-256-GCM outside any token, under [`NONCE`].
#[must_use]
pub fn software_gcm(key: &[u8; 32], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let mut text = plaintext.to_vec();
    let nonce = Nonce::assume_unique_for_key(NONCE);
    key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut text)
        .unwrap();
    text
}
