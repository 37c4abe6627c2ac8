//! Import parameters: the public key to wrap for, and everything that a partner should know of it
//! before trusting it with a key.

use crate::attestation::{Deployed, Moment, Token};
use crate::class::Class;
use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::import_token::ImportToken;
use crate::key::{MATERIAL, Wrapping};
use crate::name::{KeyName, Slug, VersionName};
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// What is signed when a partner asks how to wrap. Its JSON form, fields in this order, is what is
/// signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// [`Parameters::TYPE`].
    #[serde(rename = "type")]
    kind: String,
    /// Whose HSM it is.
    pub deployment: Deployed,
    /// The token that holds the private half.
    pub token: Token,
    /// The key that will receive the material, and its class.
    pub key: KeyName,
    /// What the material will be, and do nothing else.
    pub class: Class,
    /// The length of the material, in bytes.
    pub material_length: usize,
    /// How to wrap it.
    pub mechanism: Wrapping,
    /// Whether the HSM unwraps in two steps: weaker.
    pub two_steps: bool,
    /// The key to wrap under.
    pub wrapper: Wrapper,
    /// When this was issued.
    pub issued: Moment,
    /// Until when the import token is good.
    pub expires: Moment,
    /// Goes back with the wrapped material.
    #[serde(with = "super::base64")]
    pub import_token: Vec<u8>,
}

/// The key that material is wrapped under, as the token shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrapper {
    /// Its version.
    pub version: VersionName,
    /// What it is called in the token.
    pub cka_id: KeyId,
    /// What was recorded of it when it was made.
    pub fingerprint: String,
    /// SubjectPublicKeyInfo, DER; empty for a symmetric key, which the partner has.
    #[serde(with = "super::base64")]
    pub public_key: Vec<u8>,
    /// The partner that it was made for, if it was made for one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partner: Option<Slug>,
    /// What the token says of its private or secret object.
    pub attributes: Shown,
    /// The class whose attributes its `CKA_UNWRAP_TEMPLATE` forces on what it unwraps; absent where
    /// two steps are taken, and nothing is forced beyond the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub forces: Option<Class>,
    /// The vendor's own attestation of the key, where the token offers one, base64; no token that
    /// was tested does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vendor_attestation: Option<String>,
}

/// Attributes of an object (PKCS#11 v2.40 section 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// `CKA_SENSITIVE`.
    pub sensitive: bool,
    /// `CKA_EXTRACTABLE`.
    pub extractable: bool,
    /// `CKA_LOCAL`: made in the token.
    pub local: bool,
    /// `CKA_ALLOWED_MECHANISMS`.
    pub mechanisms: Vec<String>,
}

/// What parameters are made from, beside what the import token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Whose HSM it is.
    pub deployment: Deployed,
    /// Its token.
    pub token: Token,
    /// The key that will receive the material.
    pub key: KeyName,
    /// Its class.
    pub class: Class,
    /// Whether in two steps.
    pub two_steps: bool,
    /// The key to wrap under.
    pub wrapper: Wrapper,
    /// Now.
    pub issued: Time,
}

impl Parameters {
    /// What every document of this form begins with.
    pub const TYPE: &str = "emc2-kms/import-parameters/v1";

    /// Parameters that go with an import token.
    #[must_use]
    pub fn of(given: Given, token: &ImportToken, bytes: Vec<u8>) -> Self {
        Parameters {
            kind: Self::TYPE.into(),
            deployment: given.deployment,
            token: given.token,
            key: given.key,
            class: given.class,
            material_length: MATERIAL,
            mechanism: token.mechanism,
            two_steps: given.two_steps,
            wrapper: given.wrapper,
            issued: given.issued.into(),
            expires: token.expires.into(),
            import_token: bytes,
        }
    }

    /// Its bytes: what is signed.
    ///
    /// # Errors
    /// `Internal` when it has no JSON form.
    pub fn encode(&self) -> Result<Vec<u8>> {
        super::encode(self)
    }

    /// The parameters of these bytes. That the right key signed them is for
    /// [`signed_by`](super::signed_by) to say.
    ///
    /// # Errors
    /// `Invalid` when they are none of this form, or contradict themselves.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: &str| Error::invalid("parameters", what);
        let parameters: Parameters = serde_json::from_slice(bytes)
            .map_err(|e| wrong("these are not import parameters of this service").because(e))?;
        if parameters.kind != Self::TYPE {
            return Err(wrong("these are import parameters of another form"));
        }
        if parameters.encode()? != bytes {
            return Err(wrong("they are not written as they were issued"));
        }
        let (token, _) = ImportToken::parse(&parameters.import_token)?;
        let agrees = token.wrapping == parameters.wrapper.version
            && token.mechanism == parameters.mechanism
            && Moment::from(token.expires) == parameters.expires
            && parameters.material_length == MATERIAL;
        if agrees {
            Ok(parameters)
        } else {
            Err(wrong(
                "they contradict themselves: their import token is for something else",
            ))
        }
    }

    /// Makes sure that there is still time.
    ///
    /// # Errors
    /// `Invalid` when the import token has expired.
    pub fn still_good(&self, now: Time) -> Result<()> {
        if now < self.expires.time() {
            Ok(())
        } else {
            Err(Error::invalid(
                "parameters",
                format!(
                    "these import parameters expired at {}: get new ones",
                    self.expires
                ),
            ))
        }
    }
}
