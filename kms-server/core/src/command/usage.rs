//! Commands that use keys, and what they carry.

use crate::action::Action;
use crate::attestation::Subject;
use crate::chain::Commitment;
use crate::envelope::EncryptionContext;
use crate::import_token::ImportToken;
use crate::key::Wrapping;
use crate::name::{EdgeName, KeyName};
use crate::pseudonym::Identifier;
use crate::quota::{Batch, Metered, Tally};
use std::fmt;
use zeroize::Zeroizing;

/// A command that uses keys.
#[derive(Debug)]
pub enum Use {
    /// Encrypts each item under the key's primary version.
    Encrypt {
        /// The key.
        key: KeyName,
        /// What to protect.
        items: Vec<Plain>,
    },
    /// Decrypts each item, if this key protected it.
    Decrypt {
        /// The key.
        key: KeyName,
        /// What was protected.
        items: Vec<Sealed>,
    },
    /// Moves each item to the key's primary version.
    ReEncrypt {
        /// The key.
        key: KeyName,
        /// What was protected.
        items: Vec<Sealed>,
    },
    /// Makes a data key for each item.
    GenerateDataKey {
        /// The key that wraps them.
        key: KeyName,
        /// What to make.
        items: Vec<DataKey>,
        /// Whether to show the plaintexts.
        reveal: bool,
    },
    /// Evaluates identifiers along an edge. What is not of the edge's type has its own error.
    Pseudonymise {
        /// The edge.
        edge: EdgeName,
        /// The identifiers, or why one is none.
        identifiers: Vec<crate::Result<Identifier>>,
        /// Where they lie in the run that they belong to, if they belong to one.
        batch: Option<Batch>,
    },
    /// Follows one person along the edges, by a permission that others agreed to.
    ChainPerson {
        /// The edge that their identifier is evaluated along first.
        edge: EdgeName,
        /// What others agreed to.
        commitment: Commitment,
        /// Who it is.
        identifier: Identifier,
    },
    /// Old pseudonyms to new, inside a renewal campaign. What is not fit has its own error.
    Translate {
        /// The edge.
        edge: EdgeName,
        /// What the pseudonyms are evaluated from, or why one is nothing such.
        passages: Vec<crate::Result<Passage>>,
        /// Where they lie in the run that they belong to, if they belong to one.
        batch: Option<Batch>,
    },
    /// A public key to wrap outside material with, and its import token.
    GetImportParameters {
        /// The key that will receive it.
        key: KeyName,
        /// The key that will unwrap it.
        wrapping: KeyName,
        /// How it will be wrapped; `None`: as the wrapping key was made for.
        mechanism: Option<Wrapping>,
    },
    /// Whether wrapped material would come in: its structure, its import token, and a trial inside
    /// the HSM that leaves nothing there.
    CheckImport {
        /// The key that would receive it.
        key: KeyName,
        /// What the import token says; its code is verified before it is believed.
        token: ImportToken,
        /// Its authentication code.
        mac: [u8; 32],
        /// The wrapped material.
        bytes: Vec<u8>,
    },
    /// What was destroyed, and what may be left of it, signed in the HSM.
    Attest {
        /// Of what.
        subject: Subject,
    },
    /// Bytes of the HSM's generator.
    GenerateRandom {
        /// How many.
        length: usize,
    },
}

/// What one person's old and new pseudonym are evaluated from. It never shows itself in logs.
#[derive(Clone)]
pub struct Passage {
    /// For the old one; in a layered campaign the old pseudonym itself.
    pub before: Identifier,
    /// For the new one, where it differs: the parent's edge was itself renewed.
    pub after: Option<Identifier>,
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passage { redacted }")
    }
}

impl Passage {
    /// In bytes, as it came.
    #[must_use]
    pub fn size(&self) -> usize {
        let after = self.after.as_ref().map_or(0, Identifier::size);
        self.before.size().saturating_add(after)
    }
}

/// A plaintext and what it is to be bound to.
pub struct Plain {
    /// The plaintext.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// Or why it is none.
    pub context: crate::Result<EncryptionContext>,
}

/// A ciphertext and what it was bound to.
pub struct Sealed {
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// Or why it is none.
    pub context: crate::Result<EncryptionContext>,
}

/// A data key to make.
#[derive(Debug)]
pub struct DataKey {
    /// In bytes, or why that is no length.
    pub length: crate::Result<usize>,
    /// Or why it is none.
    pub context: crate::Result<EncryptionContext>,
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain { redacted }")
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed { redacted }")
    }
}

impl Use {
    /// Its name in policy and audit.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Use::Encrypt { .. } => Action::Encrypt,
            Use::Decrypt { .. } => Action::Decrypt,
            Use::ReEncrypt { .. } => Action::ReEncrypt,
            Use::GenerateDataKey { reveal: true, .. } => Action::GenerateDataKey,
            Use::GenerateDataKey { reveal: false, .. } => Action::GenerateDataKeyWithoutPlaintext,
            Use::Pseudonymise { .. } => Action::Pseudonymise,
            Use::ChainPerson { .. } => Action::ChainPerson,
            Use::Translate { .. } => Action::Translate,
            Use::GetImportParameters { .. } => Action::GetImportParameters,
            Use::CheckImport { .. } => Action::CheckImport,
            Use::Attest { .. } => Action::Attest,
            Use::GenerateRandom { .. } => Action::GenerateRandom,
        }
    }

    /// The resource that it is about.
    #[must_use]
    pub fn resource(&self) -> (&'static str, String) {
        match self {
            Use::Encrypt { key, .. }
            | Use::Decrypt { key, .. }
            | Use::ReEncrypt { key, .. }
            | Use::GenerateDataKey { key, .. }
            | Use::GetImportParameters { key, .. }
            | Use::CheckImport { key, .. } => ("key", key.to_string()),
            Use::Pseudonymise { edge, .. }
            | Use::Translate { edge, .. }
            | Use::ChainPerson { edge, .. } => ("edge", edge.to_string()),
            Use::Attest { subject } => match subject {
                Subject::Version(name) => ("version", name.to_string()),
                Subject::Space(name) => ("space", name.to_string()),
            },
            Use::GenerateRandom { .. } => ("deployment", crate::value::DEPLOYMENT.into()),
        }
    }

    /// How many items it asks for.
    #[must_use]
    pub fn items(&self) -> usize {
        match self {
            Use::Encrypt { items, .. } => items.len(),
            Use::Decrypt { items, .. } | Use::ReEncrypt { items, .. } => items.len(),
            Use::GenerateDataKey { items, .. } => items.len(),
            Use::Pseudonymise { identifiers, .. } => identifiers.len(),
            Use::Translate { passages, .. } => passages.len(),
            Use::GetImportParameters { .. }
            | Use::CheckImport { .. }
            | Use::ChainPerson { .. }
            | Use::Attest { .. }
            | Use::GenerateRandom { .. } => 1,
        }
    }

    /// What its quotas are on; `None` for what none is on, or what has a count of its own
    /// ([`crate::quota::Charged`]).
    #[must_use]
    pub fn metered(&self) -> Option<Metered> {
        match self {
            Use::Encrypt { key, .. }
            | Use::Decrypt { key, .. }
            | Use::ReEncrypt { key, .. }
            | Use::GenerateDataKey { key, .. }
            | Use::GetImportParameters { key, .. }
            | Use::CheckImport { key, .. } => Some(Metered::Key(key.clone())),
            Use::Pseudonymise { edge, .. } => Some(Metered::Edge(edge.clone())),
            // They have counts of their own: the campaign's, and a permission's (`chain::left`).
            Use::Translate { .. } | Use::ChainPerson { .. } => None,
            Use::Attest { .. } | Use::GenerateRandom { .. } => None,
        }
    }

    /// What it costs, whatever becomes of it.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let bytes: usize = match self {
            Use::Encrypt { items, .. } => items.iter().map(|i| i.plaintext.len()).sum(),
            Use::Decrypt { items, .. } | Use::ReEncrypt { items, .. } => {
                items.iter().map(|i| i.ciphertext.len()).sum()
            }
            Use::GenerateDataKey { items, .. } => {
                items.iter().flat_map(|i| i.length.as_ref().ok()).sum()
            }
            Use::Pseudonymise { identifiers, .. } => {
                identifiers.iter().flatten().map(Identifier::size).sum()
            }
            Use::ChainPerson { identifier, .. } => identifier.size(),
            Use::Translate { passages, .. } => passages.iter().flatten().map(Passage::size).sum(),
            Use::GetImportParameters { .. } | Use::Attest { .. } => 0,
            Use::CheckImport { bytes, .. } => bytes.len(),
            Use::GenerateRandom { length } => *length,
        };
        Tally {
            requests: 1,
            items: number(self.items()),
            bytes: number(bytes),
        }
    }
}
