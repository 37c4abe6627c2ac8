//! What a key is called inside the HSM.

use crate::error::{Error, Result};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::fmt;

/// 16 random bytes, chosen before the key is made and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyUid(pub [u8; 16]);

/// One version of a key in the HSM: its `CKA_ID` (PKCS#11 2.40 section 4.4) is the 16 bytes of the
/// uid followed by the version's number, big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId {
    /// The key.
    pub uid: KeyUid,
    /// The version's number, from 1.
    pub version: u32,
}

impl KeyId {
    /// The length of its byte form.
    pub const LEN: usize = 20;

    /// The `CKA_ID`.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (uid, version) = bytes.split_at_mut(16);
        uid.copy_from_slice(&self.uid.0);
        version.copy_from_slice(&self.version.to_be_bytes());
        bytes
    }

    /// The id of this `CKA_ID`, if it has our form.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (uid, version) = bytes.split_at_checked(16)?;
        let version = u32::from_be_bytes(version.try_into().ok()?);
        Some(KeyId {
            uid: KeyUid(uid.try_into().ok()?),
            version,
        })
    }
}

impl fmt::Display for KeyUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.to_bytes()))
    }
}

impl From<KeyUid> for String {
    fn from(uid: KeyUid) -> String {
        uid.to_string()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for KeyUid {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        let bytes = HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .and_then(|b| b.try_into().ok());
        bytes
            .map(KeyUid)
            .ok_or_else(|| Error::invalid("uid", "a key uid is 32 hexadecimal digits"))
    }
}

impl TryFrom<String> for KeyId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        bytes
            .and_then(|b| KeyId::from_bytes(&b))
            .ok_or_else(|| Error::invalid("id", "a key id is 40 hexadecimal digits"))
    }
}
