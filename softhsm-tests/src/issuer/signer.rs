//! Keys that sign tokens.

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair,
    },
};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign, jwk::Jwk};
use serde_json::Value;

/// A private key, its name, and the one algorithm that it signs by.
#[derive(Debug, Clone)]
pub struct Signer {
    id: String,
    algorithm: Algorithm,
    key: EncodingKey,
}

/// What stands before an RSA-2048 private key (PKCS#1) in its PKCS#8 form.
const PKCS8_HEAD: usize = 26;

impl Signer {
    /// ECDSA with P-256.
    pub fn es256(id: String) -> Self {
        let der = ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::new(id, Algorithm::ES256, EncodingKey::from_ec_der(&der))
    }

    /// ECDSA with P-384.
    pub fn es384(id: String) -> Self {
        let der = ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING);
        Self::new(id, Algorithm::ES384, EncodingKey::from_ec_der(&der))
    }

    /// Ed25519.
    pub fn eddsa(id: String) -> Self {
        let der = Ed25519KeyPair::generate()
            .and_then(|pair| Ok(pair.to_pkcs8v1()?.as_ref().to_vec()))
            .expect("a key");
        Self::new(id, Algorithm::EdDSA, EncodingKey::from_ed_der(&der))
    }

    /// RSA-2048, by this algorithm of the family.
    pub fn rsa(algorithm: Algorithm) -> impl FnOnce(String) -> Self {
        move |id| {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
            let der: Pkcs8V1Der<'_> = pair.as_der().expect("its form");
            let bare = der.as_ref().get(PKCS8_HEAD..).expect("a whole key");
            Self::new(id, algorithm, EncodingKey::from_rsa_der(bare))
        }
    }

    /// A secret that everybody knows.
    pub fn secret(id: &str, secret: &[u8]) -> Self {
        Self::new(
            id.to_owned(),
            Algorithm::HS256,
            EncodingKey::from_secret(secret),
        )
    }

    fn new(id: String, algorithm: Algorithm, key: EncodingKey) -> Self {
        Self { id, algorithm, key }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `alg` of what it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// As the key set shows it (RFC 7517).
    ///
    /// # Panics
    /// Never for a key that was made here.
    pub fn shown(&self) -> Value {
        let mut key = serde_json::to_value(
            Jwk::from_encoding_key(&self.key, self.algorithm).expect("its public half"),
        )
        .expect("JSON");
        key["kid"] = self.id.as_str().into();
        key["use"] = "sig".into();
        key
    }

    /// The signature, base64url.
    pub(super) fn sign(&self, message: &str) -> String {
        sign(message.as_bytes(), &self.key, self.algorithm).expect("a signature")
    }
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Vec<u8> {
    EcdsaKeyPair::generate(algorithm)
        .and_then(|pair| Ok(pair.to_pkcs8v1()?.as_ref().to_vec()))
        .expect("a key")
}
