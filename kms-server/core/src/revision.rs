//! The store's revision of a resource.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Opaque to everyone but the store that gave it; it only grows. As text it is the resource's
/// `etag`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Revision {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let revision = text.parse().map(Revision).ok();
        // One revision, one text.
        revision.filter(|r| r.to_string() == text).ok_or_else(|| {
            Error::invalid(
                "etag",
                "the etag is not one that this service gave; read the resource again",
            )
        })
    }
}
