//! The receipt of an import: what came in, as what, and how.

use crate::attestation::{Deployed, Moment, Token};
use crate::class::{Algorithm, Class};
use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::key::{Key, Version, Wrapping};
use crate::name::{Slug, VersionName};
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// What is signed once a key has come in. Its JSON form, fields in this order, is what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`Receipt::TYPE`].
    #[serde(rename = "type")]
    kind: String,
    /// Whose HSM it is in.
    pub deployment: Deployed,
    /// The token.
    pub token: Token,
    /// The version that the material became.
    pub version: VersionName,
    /// What it is called in the token.
    pub cka_id: KeyId,
    /// What it is for, and nothing else.
    pub class: Class,
    /// What it is.
    pub algorithm: Algorithm,
    /// What the token told of it; nothing of the material can be told from it.
    pub fingerprint: String,
    /// SHA-256 of the wrapped material that was handed in, hexadecimal.
    pub wrapped_sha256: String,
    /// The version that unwrapped it.
    pub wrapper: VersionName,
    /// How.
    pub mechanism: Wrapping,
    /// Whether in two steps: weaker.
    pub two_steps: bool,
    /// The partner that the wrapping key was made for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partner: Option<Slug>,
    /// The identity of who handed it in.
    pub by: String,
    /// When it came in.
    pub imported: Moment,
    /// When this was issued.
    pub issued: Moment,
    /// What it proves, in words.
    pub says: String,
}

impl Receipt {
    /// What every receipt of this form begins with.
    pub const TYPE: &str = "emc2-kms/import-receipt/v1";

    const SAYS: &str = "The wrapped material of this SHA-256 was unwrapped inside the HSM as this \
                        version, sensitive and not extractable, for the uses of its class alone. It \
                        has been outside: it is marked as imported for ever, and whoever wrapped it \
                        may hold a copy.";

    /// Of a version that was imported.
    ///
    /// # Errors
    /// `State` when it was not, or by a release that kept too little of it.
    pub fn of(
        (deployment, token): (Deployed, Token),
        key: &Key,
        version: &Version,
        issued: Time,
    ) -> Result<Self> {
        let told = || {
            let imported = version.imported.as_ref()?;
            let learned = version.learned.as_ref()?;
            Some((
                imported,
                learned,
                imported.sha256.clone()?,
                imported.by.clone()?,
            ))
        };
        let (imported, learned, wrapped_sha256, by) = told().ok_or_else(|| {
            Error::state(format!(
                "{} has no receipt: it was not imported, or by an earlier release",
                version.name
            ))
        })?;
        Ok(Receipt {
            kind: Self::TYPE.into(),
            deployment,
            token,
            version: version.name.clone(),
            cka_id: version.id,
            class: key.class,
            algorithm: version.algorithm,
            fingerprint: learned.fingerprint.clone(),
            wrapped_sha256,
            wrapper: imported.wrapping.clone(),
            mechanism: imported.mechanism,
            two_steps: imported.two_steps,
            partner: imported.source.clone(),
            by,
            imported: version.created.into(),
            issued: issued.into(),
            says: Self::SAYS.into(),
        })
    }

    /// Its bytes: what is signed.
    ///
    /// # Errors
    /// `Internal` when it has no JSON form.
    pub fn encode(&self) -> Result<Vec<u8>> {
        super::encode(self)
    }

    /// The receipt of these bytes. That the right key signed them is for
    /// [`signed_by`](super::signed_by) to say.
    ///
    /// # Errors
    /// `Invalid` when they are none of this form.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: &str| Error::invalid("receipt", what);
        let receipt: Receipt = serde_json::from_slice(bytes)
            .map_err(|e| wrong("this is not a receipt of an import").because(e))?;
        if receipt.kind != Self::TYPE {
            return Err(wrong("this is a receipt of another form"));
        }
        if receipt.encode()? != bytes {
            return Err(wrong("it is not written as it was issued"));
        }
        Ok(receipt)
    }
}
