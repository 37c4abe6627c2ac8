//! Other HSMs that exportable keys may leave for.

use crate::error::{Error, Result};
use crate::id::{KeyId, KeyUid};
use crate::name::DestinationName;
use crate::time::Time;
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Another HSM, known by a public key whose private half it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Its name.
    pub name: DestinationName,
    /// Which HSM it is, for people.
    pub title: String,
    /// What keys that leave for it are wrapped under.
    pub public_key: WrappingKey,
    /// When it was declared.
    pub declared: Time,
    /// The identity of who declared it.
    pub declarer: String,
}

impl Destination {
    /// What its public key is called in our own HSM, once the security officer has put it there:
    /// its `CKA_ID`.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.public_key.id()
    }
}

/// An RSA public key of 3072 to 4096 bits with the exponent 65537 (FIPS 186-5 section A.1.1), as a
/// SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), DER.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WrappingKey {
    der: Vec<u8>,
    modulus: Vec<u8>,
}

/// The public exponent 65537, big-endian.
pub const EXPONENT: [u8; 3] = [1, 0, 1];

impl WrappingKey {
    /// The key of these bytes.
    ///
    /// # Errors
    /// `Invalid` when they are no such key.
    pub fn parse(der: &[u8]) -> Result<Self> {
        let wrong = |sentence: &str| Error::invalid("public_key", sentence);
        let (rest, info) = SubjectPublicKeyInfo::from_der(der).map_err(|e| {
            wrong("this is not a public key (SubjectPublicKeyInfo, DER)").because(e)
        })?;
        let parsed = info.parsed().map_err(|e| {
            wrong("the public key cannot be read; export it again as SubjectPublicKeyInfo")
                .because(e)
        })?;
        let PublicKey::RSA(rsa) = parsed else {
            return Err(wrong(
                "keys leave under an RSA key, by OAEP; this is a key of another kind",
            ));
        };
        let unsigned =
            |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().skip_while(|b| *b == 0).collect() };
        let (modulus, exponent) = (unsigned(rsa.modulus), unsigned(rsa.exponent));
        let leading = modulus.first().map_or(0, |byte| byte.leading_zeros());
        let bits = (modulus.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0));
        if !rest.is_empty() {
            return Err(wrong("something follows the public key"));
        }
        if !(3072..=4096).contains(&bits) {
            return Err(wrong(&format!(
                "the RSA key has {bits} bits; keys leave under 3072 to 4096"
            )));
        }
        if exponent != EXPONENT {
            return Err(wrong("the RSA key's public exponent is not 65537"));
        }
        Ok(WrappingKey {
            der: der.to_vec(),
            modulus,
        })
    }

    /// Its SubjectPublicKeyInfo.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its modulus, big-endian, without leading zeros.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// SHA-256 of its SubjectPublicKeyInfo, hexadecimal: what people compare.
    #[must_use]
    pub fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&self.der))
    }

    /// What it is called in our own HSM: told by the key itself, so that whoever puts it there needs
    /// nothing else.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest: [u8; 32] = Sha256::digest(&self.der).into();
        let [uid @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = digest;
        KeyId {
            uid: KeyUid(uid),
            version: 1,
        }
    }
}

impl TryFrom<String> for WrappingKey {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        let der = BASE64
            .decode(text.as_bytes())
            .map_err(|e| Error::invalid("public_key", "this is not Base64").because(e))?;
        Self::parse(&der)
    }
}

impl From<WrappingKey> for String {
    fn from(key: WrappingKey) -> String {
        BASE64.encode(&key.der)
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test says what it expects and fails loudly"
    )]

    use super::*;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};

    fn rsa(size: RsaKeySize) -> Vec<u8> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).unwrap();
        key.subject_public_key_info()
    }

    #[test]
    fn a_key_is_read_whole_or_not_at_all() {
        let der = rsa(RsaKeySize::_3072);
        let key = WrappingKey::parse(&der).unwrap();
        assert_eq!((key.der(), key.modulus().len()), (der.as_slice(), 384));
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<WrappingKey>(&text).unwrap(), key);
        assert_eq!(key.id().to_bytes()[..16], Sha256::digest(&der)[..16]);
        for length in 0..der.len() {
            assert!(WrappingKey::parse(&der[..length]).is_err(), "{length}");
        }
        assert!(WrappingKey::parse(&[&der[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_short_key_and_another_kind_are_refused() {
        let refused = |der: &[u8]| WrappingKey::parse(der).unwrap_err().message().to_owned();
        assert!(refused(&rsa(RsaKeySize::_2048)).contains("2048 bits"));
        let curve = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        assert!(refused(&curve.subject_public_key_info()).contains("another kind"));
    }
}
