//! A certificate: whose it is, until when, and what its key has signed.

use crate::caller::Identity;
use crate::error::{Error, Result};
use crate::time::Time;
use data_encoding::{BASE64, HEXLOWER};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate (RFC 5280) of one person or service. A value that exists names exactly one
/// identity; that an authority vouches for it is the listener's to verify.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Certificate {
    der: Vec<u8>,
    fingerprint: String,
    identity: Identity,
    expires: Time,
}

/// How something was signed: a signature scheme of TLS 1.3 (RFC 8446 section 4.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ecdsa_secp256r1_sha256")]
    EcdsaP256,
    /// ECDSA with P-384 and SHA-384.
    #[serde(rename = "ecdsa_secp384r1_sha384")]
    EcdsaP384,
    /// Ed25519 (RFC 8032).
    #[serde(rename = "ed25519")]
    Ed25519,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "rsa_pss_rsae_sha256")]
    RsaPss,
}

impl Scheme {
    /// Every scheme, the preferred ones first.
    pub const ALL: [Scheme; 4] = [
        Scheme::Ed25519,
        Scheme::EcdsaP256,
        Scheme::EcdsaP384,
        Scheme::RsaPss,
    ];

    /// Its code in TLS.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Scheme::EcdsaP256 => 0x0403,
            Scheme::EcdsaP384 => 0x0503,
            Scheme::Ed25519 => 0x0807,
            Scheme::RsaPss => 0x0804,
        }
    }

    fn algorithm(self) -> &'static dyn SignatureVerificationAlgorithm {
        match self {
            Scheme::EcdsaP256 => webpki::aws_lc_rs::ECDSA_P256_SHA256,
            Scheme::EcdsaP384 => webpki::aws_lc_rs::ECDSA_P384_SHA384,
            Scheme::Ed25519 => webpki::aws_lc_rs::ED25519,
            Scheme::RsaPss => webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        }
    }
}

impl TryFrom<u32> for Scheme {
    type Error = Error;
    fn try_from(code: u32) -> Result<Self> {
        let found = Scheme::ALL
            .into_iter()
            .find(|s| u32::from(s.code()) == code);
        found.ok_or_else(|| {
            Error::invalid(
                "scheme",
                "the signature scheme is not one of ecdsa_secp256r1_sha256, \
                 ecdsa_secp384r1_sha384, ed25519, rsa_pss_rsae_sha256",
            )
        })
    }
}

impl Certificate {
    /// The certificate of these bytes.
    ///
    /// # Errors
    /// `Invalid` when they are no certificate, or when it does not name exactly one identity
    /// (SPIFFE X509-SVID section 2: one URI among its alternative names).
    pub fn parse(der: &[u8]) -> Result<Self> {
        let wrong = |what: &str| Error::invalid("certificate", what);
        let (rest, certificate) = X509Certificate::from_der(der)
            .map_err(|e| wrong("this is not an X.509 certificate").because(e))?;
        if !rest.is_empty() {
            return Err(wrong("something follows the certificate"));
        }
        let mut uris = certificate.extensions().iter().flat_map(|extension| {
            let names = if let ParsedExtension::SubjectAlternativeName(names) =
                extension.parsed_extension()
            {
                names.general_names.as_slice()
            } else {
                &[]
            };
            names.iter().filter_map(|name| {
                if let GeneralName::URI(uri) = name {
                    Some(*uri)
                } else {
                    None
                }
            })
        });
        let (Some(uri), None) = (uris.next(), uris.next()) else {
            return Err(wrong(
                "the certificate does not have exactly one URI among its alternative names",
            ));
        };
        let expires = certificate.validity().not_after.timestamp();
        Ok(Certificate {
            identity: uri.parse()?,
            expires: Time(u64::try_from(expires).unwrap_or(0).saturating_mul(1000)),
            fingerprint: HEXLOWER.encode(&Sha256::digest(der)),
            der: der.to_vec(),
        })
    }

    /// The identity that it names.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// When it ends.
    #[must_use]
    pub fn expires(&self) -> Time {
        self.expires
    }

    /// Its bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of its bytes, hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Makes sure that its key signed this message.
    ///
    /// # Errors
    /// `Invalid` when it did not.
    pub fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<()> {
        let wrong = |e: webpki::Error| {
            Error::invalid(
                "signature",
                "the signature is not that of the certificate's key",
            )
            .because(e)
        };
        let der = CertificateDer::from(self.der.as_slice());
        let certificate = webpki::EndEntityCert::try_from(&der).map_err(wrong)?;
        certificate
            .verify_signature(scheme.algorithm(), message, signature)
            .map_err(wrong)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} of {})", self.fingerprint, self.identity)
    }
}

impl TryFrom<String> for Certificate {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        let der = BASE64.decode(text.as_bytes());
        let der = der.map_err(|e| Error::invalid("certificate", "not base64").because(e))?;
        Certificate::parse(&der)
    }
}

impl From<Certificate> for String {
    fn from(certificate: Certificate) -> String {
        BASE64.encode(&certificate.der)
    }
}
