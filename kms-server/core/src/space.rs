//! Spaces, identifier domains, and the edges between them.

use crate::error::{Error, Result};
use crate::key::Moved;
use crate::lifecycle::Lifecycle;
use crate::name::{DomainName, EdgeName, KeyName, SpaceName};
use crate::time::{DAY, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a space is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpaceKind {
    /// Receives one supplier's data.
    Ingest,
    /// The warehouse itself.
    Warehouse,
    /// The workspace of one research project.
    Project,
    /// The platform's own services.
    Platform,
    /// A child system outside: edges lead into it, and nothing else is kept for it here.
    Outside,
}

impl SpaceKind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SpaceKind::Ingest => "ingest",
            SpaceKind::Warehouse => "warehouse",
            SpaceKind::Project => "project",
            SpaceKind::Platform => "platform",
            SpaceKind::Outside => "outside",
        }
    }
}

/// A secure bubble, strongly isolated from the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Its name.
    pub name: SpaceName,
    /// For people.
    pub title: String,
    /// What it is for.
    pub kind: SpaceKind,
    /// What it says of the life of its keys' versions.
    #[serde(skip_serializing_if = "Lifecycle::is_silent", default)]
    pub lifecycle: Lifecycle,
    /// When it was declared.
    pub created: Time,
    /// From then on nothing new is protected in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub archived: Option<Moved>,
    /// When its keys will be erased.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decommission: Option<Decommission>,
    /// From then on none of its keys exists.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub erased: Option<Moved>,
}

impl Space {
    /// A space that was just declared.
    #[must_use]
    pub fn new(name: SpaceName, title: String, kind: SpaceKind, created: Time) -> Self {
        Space {
            name,
            title,
            kind,
            lifecycle: Lifecycle::default(),
            created,
            archived: None,
            decommission: None,
            erased: None,
        }
    }
}

/// That the keys of a space will be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decommission {
    /// Not before.
    pub erase: Time,
    /// When it was decided, by whom, why.
    pub moved: Moved,
}

/// How long the keys of a decommissioned space are kept, in milliseconds: twelve months.
pub const KEPT: u64 = 365 * DAY;

/// A set of identifiers within which one person has one identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Its name.
    pub name: DomainName,
    /// For people.
    pub title: String,
    /// The space whose pseudonyms are its identifiers; `None` when they come from outside.
    pub source: Option<SpaceName>,
    /// When it was declared.
    pub created: Time,
}

/// What an edge evaluates: part of the canonical input, golden for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputType {
    /// An opaque identifier from outside.
    Opaque,
    /// A pseudonym of the domain's source space.
    Pseudonym,
    /// A national identifier, with birth date and sex: in a supplier's own deployment alone.
    Nir,
}

impl InputType {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            InputType::Opaque => "opaque",
            InputType::Pseudonym => "pseudonym",
            InputType::Nir => "nir",
        }
    }
}

/// The readable name of an edge in its pseudonyms: `[a-z][a-z0-9]{1,9}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EdgeCode(String);

impl EdgeCode {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EdgeCode {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let letters = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
        if letters && begins && (2..=10).contains(&text.len()) {
            Ok(EdgeCode(text.to_owned()))
        } else {
            Err(Error::invalid(
                "code",
                "an edge's code has 2 to 10 characters of a-z and 0-9 and begins with a letter",
            ))
        }
    }
}

impl TryFrom<String> for EdgeCode {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<EdgeCode> for String {
    fn from(code: EdgeCode) -> String {
        code.0
    }
}

impl fmt::Display for EdgeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An edge of the transfer graph: from an identifier domain to a target space, with one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Its name.
    pub name: EdgeName,
    /// How its pseudonyms begin; never used again.
    pub code: EdgeCode,
    /// What it evaluates.
    pub input: InputType,
    /// Whether its key may one day leave, wrapped, for another HSM.
    pub exportable: bool,
    /// Its key.
    pub key: KeyName,
    /// When it was declared.
    pub created: Time,
}
