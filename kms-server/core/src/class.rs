//! The classes of key: one key, one use.

use crate::action::Action;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The class of a key; it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Envelope encryption of objects, volumes, databases and backups of one space.
    DataAtRest,
    /// Unwraps keys that come in from an outside solution.
    ImportWrapping,
    /// The link between a person and a pseudonym, one key for each edge.
    Pseudonymisation,
    /// The deployment's own: authenticates import tokens.
    ServiceImportToken,
    /// The deployment's own: signs attestations.
    ServiceAttestation,
    /// The deployment's own: symmetric exchange (AES key wrap, RFC 3394). Those that unwrap what a
    /// partner sends are imported themselves, and are kept in the space that they serve.
    ServiceExchange,
    /// The deployment's own: digests that only it can make, for records and runs.
    ServiceDigest,
    /// The deployment's own: signs import parameters and receipts of imports.
    ServiceImportParameters,
}

/// What a key is, cryptographically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// AES with a 256-bit key (FIPS 197), in Galois/Counter Mode (NIST SP 800-38D).
    #[serde(rename = "AES-256")]
    Aes256,
    /// AES with a 256-bit key, in key-wrap mode (NIST SP 800-38F, RFC 3394).
    #[serde(rename = "AES-256-KW")]
    Aes256Kw,
    /// HMAC with SHA-256 and a 256-bit secret (FIPS 198-1).
    #[serde(rename = "HMAC-SHA256")]
    HmacSha256,
    /// RSA with a 3072-bit modulus, for RSAES-OAEP (RFC 8017 section 7.1).
    #[serde(rename = "RSA-3072")]
    Rsa3072,
    /// ECDSA on the curve P-256 with SHA-256 (FIPS 186-5).
    #[serde(rename = "ECDSA-P256")]
    EcdsaP256,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 8] = [
        Class::DataAtRest,
        Class::ImportWrapping,
        Class::Pseudonymisation,
        Class::ServiceImportToken,
        Class::ServiceAttestation,
        Class::ServiceExchange,
        Class::ServiceDigest,
        Class::ServiceImportParameters,
    ];

    /// The classes whose keys callers may make and use.
    pub const OFFERED: [Class; 3] = [
        Class::DataAtRest,
        Class::ImportWrapping,
        Class::Pseudonymisation,
    ];

    /// Its name, as in the inventory and in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::DataAtRest => "data-at-rest",
            Class::ImportWrapping => "import-wrapping",
            Class::Pseudonymisation => "pseudonymisation",
            Class::ServiceImportToken => "service-import-token",
            Class::ServiceAttestation => "service-attestation",
            Class::ServiceExchange => "service-exchange",
            Class::ServiceDigest => "service-digest",
            Class::ServiceImportParameters => "service-import-parameters",
        }
    }

    /// What its keys are.
    #[must_use]
    pub fn algorithm(self) -> Algorithm {
        match self {
            Class::DataAtRest => Algorithm::Aes256,
            Class::ImportWrapping => Algorithm::Rsa3072,
            Class::Pseudonymisation | Class::ServiceImportToken | Class::ServiceDigest => {
                Algorithm::HmacSha256
            }
            Class::ServiceAttestation | Class::ServiceImportParameters => Algorithm::EcdsaP256,
            Class::ServiceExchange => Algorithm::Aes256Kw,
        }
    }

    /// The actions that use its material. Mutually exclusive between classes, but for the two that
    /// unwrap what comes in, each by mechanisms of its own.
    #[must_use]
    pub fn uses(self) -> &'static [Action] {
        match self {
            Class::DataAtRest => &[
                Action::Encrypt,
                Action::Decrypt,
                Action::ReEncrypt,
                Action::GenerateDataKey,
                Action::GenerateDataKeyWithoutPlaintext,
            ],
            // Both unwrap what comes in, each by mechanisms of its own.
            Class::ImportWrapping | Class::ServiceExchange => &[
                Action::GetImportParameters,
                Action::CheckImport,
                Action::ImportKey,
            ],
            Class::Pseudonymisation => &[
                Action::Pseudonymise,
                Action::Translate,
                Action::ChainPerson,
                Action::ExportKey,
            ],
            Class::ServiceImportToken
            | Class::ServiceAttestation
            | Class::ServiceDigest
            | Class::ServiceImportParameters => &[],
        }
    }

    /// Why a plain rotation is refused, for a class where it would break something.
    #[must_use]
    pub fn rotation_refusal(self) -> Option<&'static str> {
        match self {
            Class::Pseudonymisation => Some(
                "rotating a pseudonymisation key would change every pseudonym of its edge, and \
                 nobody would be found again; start a renewal campaign instead, which translates \
                 the old pseudonyms under dual control",
            ),
            Class::DataAtRest
            | Class::ImportWrapping
            | Class::ServiceImportToken
            | Class::ServiceAttestation
            | Class::ServiceExchange
            | Class::ServiceDigest
            | Class::ServiceImportParameters => None,
        }
    }

    /// Whether its material may come from outside. Pseudonymisation keys are generated, never
    /// imported (requirement R-093).
    #[must_use]
    pub fn importable(self) -> bool {
        match self {
            Class::DataAtRest | Class::ServiceExchange => true,
            Class::ImportWrapping
            | Class::Pseudonymisation
            | Class::ServiceImportToken
            | Class::ServiceAttestation
            | Class::ServiceDigest
            | Class::ServiceImportParameters => false,
        }
    }

    /// Whether a key of this class may be declared exportable.
    #[must_use]
    pub fn exportable(self) -> bool {
        match self {
            Class::Pseudonymisation => true,
            Class::DataAtRest
            | Class::ImportWrapping
            | Class::ServiceImportToken
            | Class::ServiceAttestation
            | Class::ServiceExchange
            | Class::ServiceDigest
            | Class::ServiceImportParameters => false,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Algorithm {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Aes256 => "AES-256",
            Algorithm::Aes256Kw => "AES-256-KW",
            Algorithm::HmacSha256 => "HMAC-SHA256",
            Algorithm::Rsa3072 => "RSA-3072",
            Algorithm::EcdsaP256 => "ECDSA-P256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
