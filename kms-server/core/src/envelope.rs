//! The ciphertext format, golden for ever.
//!
//! ```text
//! "EK" 0x01 | key id (20) | nonce (12) | ciphertext | tag (16)
//! ```
//!
//! AES-256-GCM (NIST SP 800-38D). The associated data are not in the ciphertext: they bind the
//! deployment, the key, its version and the caller's encryption context.

use crate::codec;
use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::name::{KeyName, Slug};
use std::collections::BTreeMap;
use std::fmt;

const MAGIC: [u8; 3] = *b"EK\x01";
const AAD_LABEL: &[u8] = b"emc2-kms/ciphertext/v1";
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// What a ciphertext is longer than its plaintext, in bytes.
pub const OVERHEAD: usize = MAGIC.len() + KeyId::LEN + NONCE_LEN + TAG_LEN;

/// The longest plaintext that is encrypted in the HSM, in bytes. Beyond it: a data key.
pub const PLAINTEXT_MAX: usize = 64 * 1024;

/// A ciphertext, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The version that protected it.
    pub id: KeyId,
    /// Its nonce.
    pub nonce: [u8; NONCE_LEN],
    /// Ciphertext and tag.
    pub body: Vec<u8>,
}

impl Envelope {
    /// Takes a ciphertext apart. It is outside input: nothing about it is trusted.
    ///
    /// # Errors
    /// `Invalid` when it is not a ciphertext of this service.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let foreign = || {
            Error::invalid(
                "ciphertext",
                "this is not a ciphertext of this service, or it was cut short",
            )
        };
        let mut reader = codec::Reader::new(bytes);
        if reader.array() != Some(MAGIC) {
            return Err(foreign());
        }
        let id = reader
            .array::<{ KeyId::LEN }>()
            .and_then(|id| KeyId::from_bytes(&id));
        let (Some(id), Some(nonce)) = (id, reader.array()) else {
            return Err(foreign());
        };
        let body = reader.rest().to_vec();
        if body.len() < TAG_LEN || body.len() > PLAINTEXT_MAX + TAG_LEN {
            return Err(foreign());
        }
        Ok(Envelope { id, nonce, body })
    }

    /// The ciphertext.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(OVERHEAD + self.body.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.id.to_bytes());
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.body);
        out
    }
}

/// A caller's encryption context: what a ciphertext is bound to. Never stored, never logged.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// At most this many pairs.
    pub const PAIRS_MAX: usize = 16;
    /// The longest name of a pair, in bytes.
    pub const NAME_MAX: usize = 128;
    /// The longest value of a pair, in bytes.
    pub const VALUE_MAX: usize = 1024;

    /// A context of these pairs.
    ///
    /// # Errors
    /// `Invalid` when it is too large or a name is empty.
    pub fn new(pairs: BTreeMap<String, String>) -> Result<Self> {
        let fits = pairs.len() <= Self::PAIRS_MAX
            && pairs.iter().all(|(name, value)| {
                (1..=Self::NAME_MAX).contains(&name.len()) && value.len() <= Self::VALUE_MAX
            });
        if fits {
            Ok(EncryptionContext(pairs))
        } else {
            Err(Error::invalid(
                "context",
                "an encryption context has at most 16 pairs, with names of 1 to 128 bytes and \
                 values of at most 1,024",
            ))
        }
    }

    /// The associated data of a ciphertext under this context: label, deployment, key name, key
    /// id with version, then the pairs sorted by name, each field length-prefixed.
    #[must_use]
    pub fn associated_data(&self, deployment: &Slug, key: &KeyName, id: &KeyId) -> Vec<u8> {
        let mut aad = Vec::with_capacity(128);
        codec::put(&mut aad, AAD_LABEL);
        codec::put(&mut aad, deployment.as_str().as_bytes());
        codec::put(&mut aad, key.to_string().as_bytes());
        codec::put(&mut aad, &id.to_bytes());
        for (name, value) in &self.0 {
            codec::put(&mut aad, name.as_bytes());
            codec::put(&mut aad, value.as_bytes());
        }
        aad
    }
}

impl fmt::Debug for EncryptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionContext { redacted }")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::id::KeyUid;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    fn id() -> KeyId {
        KeyId {
            uid: KeyUid([7; 16]),
            version: 3,
        }
    }

    #[test]
    fn golden_ciphertext() {
        let envelope = Envelope {
            id: id(),
            nonce: [9; 12],
            body: vec![0xab; 17],
        };
        assert_eq!(
            HEXLOWER.encode(&envelope.to_bytes()),
            "454b01070707070707070707070707070707070000000309090909090909\
             0909090909ababababababababababababababababab"
        );
        assert_eq!(Envelope::parse(&envelope.to_bytes()).unwrap(), envelope);
    }

    #[test]
    fn golden_associated_data() {
        let context =
            EncryptionContext::new([("b".into(), "2".into()), ("a".into(), "1".into())].into())
                .unwrap();
        let aad = context.associated_data(
            &"dev".parse().unwrap(),
            &"spaces/s/keys/k".parse().unwrap(),
            &id(),
        );
        assert_eq!(
            HEXLOWER.encode(&aad),
            "00000016656d63322d6b6d732f636970686572746578742f76310000000364657600\
             00000f7370616365732f732f6b6579732f6b0000001407070707070707070707070707070707\
             0000000300000001610000000131000000016200000001 32"
                .replace(' ', "")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_written_back(bytes in proptest::collection::vec(any::<u8>(), 0..120), ours in any::<bool>()) {
            let bytes = if ours { [&MAGIC[..], &bytes].concat() } else { bytes };
            if let Ok(envelope) = Envelope::parse(&bytes) {
                prop_assert_eq!(envelope.to_bytes(), bytes);
            }
        }

        #[test]
        fn two_contexts_never_give_the_same_data(a in proptest::collection::btree_map("[ab=]{1,4}", "[ab=]{0,4}", 0..4), b in proptest::collection::btree_map("[ab=]{1,4}", "[ab=]{0,4}", 0..4)) {
            let deployment: Slug = "dev".parse().unwrap();
            let key: KeyName = "spaces/s/keys/k".parse().unwrap();
            let data = |c: &BTreeMap<String, String>| EncryptionContext::new(c.clone()).unwrap().associated_data(&deployment, &key, &id());
            prop_assert_eq!(a == b, data(&a) == data(&b));
        }
    }
}
