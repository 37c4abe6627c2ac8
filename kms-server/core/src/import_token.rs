//! Import tokens: what goes with a public key that outside material is wrapped with.
//!
//! ```text
//! "IT" 0x01 | target key uid (16) | its next version (4) | wrapping version (name) | mechanism (1)
//!   | expiry (8, ms since 1970) | HMAC-SHA-256 (32) of all before, by the deployment's own key
//! ```
//!
//! A token names the number that the new version will have, so that it serves once: when that
//! number is taken, the token is spent.

use crate::codec;
use crate::error::{Error, Result};
use crate::id::{KeyId, KeyUid};
use crate::key::Wrapping;
use crate::name::VersionName;
use crate::time::{HOUR, Time};
use serde::{Deserialize, Serialize};

const MAGIC: [u8; 3] = *b"IT\x01";
const LABEL: &[u8] = b"emc2-kms/import-token/v1";
const MAC_LEN: usize = 32;

/// How long an import token lives, in milliseconds: 24 hours.
pub const LIFETIME: u64 = 24 * HOUR;

/// What an import token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportToken {
    /// The version that the material will become.
    pub target: KeyId,
    /// The version that will unwrap it.
    pub wrapping: VersionName,
    /// How it is wrapped.
    pub mechanism: Wrapping,
    /// Until when.
    pub expires: Time,
}

impl ImportToken {
    /// What the deployment's own key authenticates.
    #[must_use]
    pub fn authenticated(&self) -> Vec<u8> {
        let mut out = Vec::new();
        codec::put(&mut out, LABEL);
        out.extend_from_slice(&self.body());
        out
    }

    /// The token, with its authentication code.
    #[must_use]
    pub fn to_bytes(&self, mac: &[u8]) -> Vec<u8> {
        [self.body().as_slice(), mac].concat()
    }

    /// Takes a token apart, unverified: the code is to be compared with the HSM's before anything
    /// is believed.
    ///
    /// # Errors
    /// `Invalid` when it is not a token of this service.
    pub fn parse(bytes: &[u8]) -> Result<(Self, [u8; MAC_LEN])> {
        Self::read(bytes).ok_or_else(|| {
            Error::invalid(
                "import_token",
                "this is not an import token of this service; get new import parameters",
            )
        })
    }

    fn read(bytes: &[u8]) -> Option<(Self, [u8; MAC_LEN])> {
        let mut reader = codec::Reader::new(bytes);
        reader.array().filter(|magic| *magic == MAGIC)?;
        let uid = KeyUid(reader.array()?);
        let version = u32::from_be_bytes(reader.array()?);
        let wrapping = reader.text()?.parse().ok()?;
        let [code] = reader.array()?;
        let mechanism = MECHANISMS.iter().find(|(c, _)| *c == code)?.1;
        let expires = Time(u64::from_be_bytes(reader.array()?));
        let mac = reader.array()?;
        let whole = reader.rest().is_empty();
        let token = ImportToken {
            target: KeyId { uid, version },
            wrapping,
            mechanism,
            expires,
        };
        whole.then_some((token, mac))
    }

    fn body(&self) -> Vec<u8> {
        let code = MECHANISMS
            .iter()
            .find(|(_, m)| *m == self.mechanism)
            .map_or(0, |(c, _)| *c);
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.target.to_bytes());
        codec::put(&mut out, self.wrapping.to_string().as_bytes());
        out.push(code);
        out.extend_from_slice(&self.expires.0.to_be_bytes());
        out
    }
}

const MECHANISMS: [(u8, Wrapping); 6] = [
    (1, Wrapping::OaepSha256),
    (2, Wrapping::OaepSha1),
    (3, Wrapping::AesKw),
    (4, Wrapping::AesKwp),
    (5, Wrapping::RsaAesSha256),
    (6, Wrapping::RsaAesSha1),
];

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    fn sample() -> ImportToken {
        ImportToken {
            target: KeyId {
                uid: KeyUid([5; 16]),
                version: 2,
            },
            wrapping: "spaces/a/keys/b/versions/1".parse().unwrap(),
            mechanism: Wrapping::OaepSha1,
            expires: Time(1),
        }
    }

    #[test]
    fn golden_token() {
        let bytes = sample().to_bytes(&[0xcc; 32]);
        assert_eq!(
            HEXLOWER.encode(&bytes),
            "49540105050505050505050505050505050505000000020000001a7370616365732f612f6b657973\
             2f622f76657273696f6e732f31020000000000000001cccccccccccccccccccccccccccccccccccc\
             cccccccccccccccccccccccccccc"
        );
        assert_eq!(ImportToken::parse(&bytes).unwrap(), (sample(), [0xcc; 32]));
    }

    proptest! {
        #[test]
        fn any_change_is_another_token_or_none(position in 0usize..200, bit in 0u8..8) {
            let bytes = sample().to_bytes(&[0xcc; 32]);
            let mut changed = bytes.clone();
            let position = position % bytes.len();
            *changed.get_mut(position).unwrap() ^= 1 << bit;
            if let Ok((token, mac)) = ImportToken::parse(&changed) {
                prop_assert!(token != sample() || mac != [0xcc; 32]);
                prop_assert_eq!(token.to_bytes(&mac), changed);
            }
        }
    }
}
