//! What the HSM does of a change.

use crate::id::KeyId;
use crate::key::{KeySpec, Wrapping};
use crate::name::{DestinationName, VersionName};
use serde::{Deserialize, Serialize};

/// An act of the HSM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// None.
    Nothing,
    /// Generates a key: done again if a crash left it open.
    Generate(KeySpec),
    /// Generates these keys, one after the other: done again until all of them are there.
    GenerateEach(Vec<KeySpec>),
    /// Destroys these keys: nothing to destroy is not an error, so that it is done again until all
    /// of them are gone.
    Destroy(Vec<KeyId>),
    /// Unwraps outside material: given up if a crash left it open and the key is not there, because
    /// the wrapped material is in nobody's log.
    Unwrap(KeySpec),
    /// Wraps a key for another HSM. It changes nothing in this one; what may have left counts as
    /// left.
    Wrap(Leaving),
}

/// A key on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// Which.
    pub version: VersionName,
    /// Where it goes.
    pub destination: DestinationName,
    /// How it is wrapped.
    pub mechanism: Wrapping,
}

impl Act {
    /// The keys that it makes, in this order.
    #[must_use]
    pub fn makes(&self) -> Vec<KeyId> {
        match self {
            Act::Nothing | Act::Destroy(_) | Act::Wrap(_) => vec![],
            Act::Generate(spec) | Act::Unwrap(spec) => vec![spec.id],
            Act::GenerateEach(specs) => specs.iter().map(|spec| spec.id).collect(),
        }
    }

    /// The keys of which nobody knows whether the token holds them, if it was given up.
    #[must_use]
    pub fn touches(&self) -> Vec<KeyId> {
        match self {
            Act::Nothing | Act::Wrap(_) => vec![],
            Act::Destroy(ids) => ids.clone(),
            Act::Generate(_) | Act::GenerateEach(_) | Act::Unwrap(_) => self.makes(),
        }
    }
}
