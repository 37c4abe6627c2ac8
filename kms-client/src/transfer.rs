//! Wrapping a key for an HSM that is elsewhere: on the machine of whoever has the key, with nobody to
//! ask.
//!
//! [`Parameters`] come from the other side as three files, and are believed only when the key whose
//! fingerprint was told by another route signed them. [`Material`] is a key in the clear: it is
//! zeroised when it is dropped, and never shows itself.

use crate::{Error, Kind};
use aes_kw::{KeyInit, KwAes256, KwpAes256};
use kms_core::import::{self, Byok};
use kms_core::key::{MATERIAL, Wrapping};
use kms_core::time::Time;
use rsa::pkcs8::DecodePublicKey;
use rsa::rand_core::OsRng;
use rsa::{Oaep, RsaPublicKey, sha2};
use std::fmt;
use zeroize::Zeroizing;

/// A key of 256 bits in the clear.
pub struct Material(Zeroizing<[u8; MATERIAL]>);

/// Import parameters that the right key signed, and whose time is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters(import::Parameters);

impl Material {
    /// The key of these bytes.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when they are not 32: a text form, or a line's end, are not a key.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        let mut key = Zeroizing::new([0; MATERIAL]);
        if bytes.len() != MATERIAL {
            let sentence = format!(
                "a key is {MATERIAL} bytes, as they are, and this has {}: not hexadecimal, not \
                 base64, no line's end",
                bytes.len()
            );
            return Err(Error::new(Kind::Invalid, sentence));
        }
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// A fresh one, of the operating system.
    fn ephemeral() -> Result<Self, Error> {
        let mut key = Zeroizing::new([0; MATERIAL]);
        getrandom::fill(&mut *key).map_err(|e| {
            let sentence = format!("the operating system gives no random bytes: {e}");
            Error::new(Kind::Internal, sentence)
        })?;
        Ok(Self(key))
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material { redacted }")
    }
}

impl Parameters {
    /// Reads them: the statement, its signature and the key that signed, which must have the
    /// fingerprint that was told by another route.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when another key signed them, or none, when they are none, or when their
    /// time is over.
    pub fn read(
        statement: &[u8],
        signature: &[u8],
        signing_key: &[u8],
        signed_by: &str,
        now: Time,
    ) -> Result<Self, Error> {
        import::signed_by(statement, signature, signing_key, signed_by).map_err(not_verified)?;
        let parameters = import::Parameters::parse(statement).map_err(not_verified)?;
        parameters.still_good(now).map_err(not_verified)?;
        Ok(Self(parameters))
    }

    /// What they say.
    #[must_use]
    pub fn said(&self) -> &import::Parameters {
        &self.0
    }

    /// Wraps a key as they say. A symmetric mechanism wraps under the exchange key, which both sides
    /// have; the others need none.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the public key is none, or an exchange key is missing or too many.
    pub fn wrap(&self, material: &Material, exchange: Option<&Material>) -> Result<Vec<u8>, Error> {
        let mechanism = self.0.mechanism;
        let under = match (mechanism, exchange) {
            (Wrapping::AesKw | Wrapping::AesKwp, Some(key)) => key,
            (Wrapping::AesKw | Wrapping::AesKwp, None) => {
                let sentence = "these parameters want the key wrapped under the exchange key that \
                                both sides have: give it too (--under)";
                return Err(Error::new(Kind::Invalid, sentence));
            }
            (
                Wrapping::OaepSha256
                | Wrapping::OaepSha1
                | Wrapping::RsaAesSha256
                | Wrapping::RsaAesSha1,
                Some(_),
            ) => {
                let sentence = "these parameters carry the public key to wrap for; an exchange key \
                                has no place here";
                return Err(Error::new(Kind::Invalid, sentence));
            }
            (
                Wrapping::OaepSha256
                | Wrapping::OaepSha1
                | Wrapping::RsaAesSha256
                | Wrapping::RsaAesSha1,
                None,
            ) => return self.wrap_for_public(material),
        };
        match mechanism {
            Wrapping::AesKw => kw(under, material),
            Wrapping::AesKwp
            | Wrapping::OaepSha256
            | Wrapping::OaepSha1
            | Wrapping::RsaAesSha256
            | Wrapping::RsaAesSha1 => kwp(under, material),
        }
    }

    /// Wraps a key as they say, and writes it as Azure's tools do.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the parameters are for another mechanism than such a file has.
    pub fn wrap_byok(&self, material: &Material) -> Result<Vec<u8>, Error> {
        if self.0.mechanism != Byok::MECHANISM {
            let sentence = format!(
                "a .byok file is wrapped by {}, and these parameters are for {}",
                Byok::MECHANISM.name(),
                self.0.mechanism.name()
            );
            return Err(Error::new(Kind::Invalid, sentence));
        }
        let file = Byok {
            kid: self.0.wrapper.version.clone(),
            ciphertext: self.wrap(material, None)?,
            generator: concat!("kms ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        file.encode()
            .map_err(|e| Error::new(Kind::Internal, e.to_string()))
    }

    fn wrap_for_public(&self, material: &Material) -> Result<Vec<u8>, Error> {
        let public =
            RsaPublicKey::from_public_key_der(&self.0.wrapper.public_key).map_err(|e| {
                Error::new(Kind::Invalid, format!("no RSA public key to wrap for: {e}"))
            })?;
        let oaep = || match self.0.mechanism {
            Wrapping::OaepSha1 | Wrapping::RsaAesSha1 => Oaep::new::<sha1::Sha1>(),
            Wrapping::OaepSha256 | Wrapping::RsaAesSha256 | Wrapping::AesKw | Wrapping::AesKwp => {
                Oaep::new::<sha2::Sha256>()
            }
        };
        let encrypt = |key: &Material| {
            let sealed = public.encrypt(&mut OsRng, oaep(), key.0.as_slice());
            sealed.map_err(|e| Error::new(Kind::Invalid, format!("cannot wrap: {e}")))
        };
        if !self.0.mechanism.is_hybrid() {
            return encrypt(material);
        }
        let ephemeral = Material::ephemeral()?;
        let mut blob = encrypt(&ephemeral)?;
        blob.extend(kwp(&ephemeral, material)?);
        Ok(blob)
    }
}

fn kw(under: &Material, material: &Material) -> Result<Vec<u8>, Error> {
    let mut blob = vec![0; Wrapping::AesKw.length()];
    let wrapped = KwAes256::new(under.0.as_slice().try_into().map_err(unwrapped)?)
        .wrap_key(material.0.as_slice(), &mut blob)
        .map_err(unwrapped)?;
    Ok(wrapped.to_vec())
}

fn kwp(under: &Material, material: &Material) -> Result<Vec<u8>, Error> {
    let mut blob = vec![0; Wrapping::AesKwp.length()];
    let wrapped = KwpAes256::new(under.0.as_slice().try_into().map_err(unwrapped)?)
        .wrap_key(material.0.as_slice(), &mut blob)
        .map_err(unwrapped)?;
    Ok(wrapped.to_vec())
}

fn unwrapped(e: impl fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("cannot wrap: {e}"))
}

fn not_verified(e: kms_core::Error) -> Error {
    Error::new(Kind::Invalid, format!("NOT VERIFIED: {}", e.message()))
}
