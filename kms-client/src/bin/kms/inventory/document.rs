//! The file, as written.

use crate::intake::Intake;
use crate::lifecycle::Written;
use crate::limits::Written as Limits;
use crate::study;
use crate::yaml;
use jiff::Timestamp;
use kms_client::{Error, name, v1};
use kms_core::name::Slug;
use kms_core::quota::QuotaName;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::path::Path;

/// Everything that the file declares. Unknown fields and repeated mapping keys are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    #[serde(default)]
    pub(crate) spaces: Vec<Spanned<Space>>,
    #[serde(default)]
    pub(crate) domains: Vec<Spanned<Domain>>,
    #[serde(default)]
    pub(crate) edges: Vec<Spanned<Edge>>,
    #[serde(default)]
    pub(crate) keys: Vec<Spanned<Key>>,
    #[serde(default)]
    pub(crate) quotas: Vec<Spanned<Quota>>,
}

/// A space. What is left out is not managed by the file.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Space {
    pub(crate) name: String,
    pub(crate) kind: SpaceKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle: Option<Written>,
}

/// An identifier domain; without `source` its identifiers come from outside.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Domain {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
}

/// An edge; it makes its own key.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edge {
    pub(crate) target: String,
    pub(crate) domain: String,
    pub(crate) code: String,
    pub(crate) input: Input,
    #[serde(default)]
    pub(crate) exportable: bool,
}

/// A key; `name` is `space/key`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) class: Class,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) study: Option<Study>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle: Option<Written>,
    #[serde(default, skip_serializing_if = "Origin::is_generated")]
    pub(crate) origin: Origin,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) exportable: bool,
    /// Of a wrapping key: what it takes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) intake: Option<Intake>,
}

/// How much may be asked of one edge or one key: of each caller who has no quota of their own, or
/// of one. Without limits, what holds by default.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quota {
    /// `target/domain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) edge: Option<String>,
    /// `space/key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// `each`, or a principal.
    pub(crate) who: String,
    pub(crate) limits: Limits,
    /// Why, for those who agree to it and for the record.
    pub(crate) reason: String,
}

/// The authorised study that a key serves, and the day on which it ends: `study: {purpose: cardio,
/// ends: 2027-01-01}`. A key without one serves any purpose; one that is left out is not managed by
/// the file.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Study {
    pub(crate) purpose: Slug,
    pub(crate) ends: Day,
}

/// A day or a moment, in one spelling.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Day(Timestamp);

/// What a space is for.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SpaceKind {
    Ingest,
    Warehouse,
    Project,
    Platform,
    Outside,
}

/// What an edge evaluates.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Input {
    Opaque,
    Pseudonym,
    Nir,
}

impl Input {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Opaque => "opaque",
            Self::Pseudonym => "pseudonym",
            Self::Nir => "nir",
        }
    }
}

/// What a key is for; an edge makes its pseudonymisation key itself.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    DataAtRest,
    ImportWrapping,
    Exchange,
}

/// Where material comes from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    #[default]
    Generated,
    External,
}

impl Origin {
    fn is_generated(&self) -> bool {
        *self == Self::Generated
    }
}

impl Document {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        yaml::read(path)
    }
}

impl Study {
    /// As the service says it.
    pub(crate) fn of(study: &v1::Study) -> Option<Self> {
        Some(Self {
            purpose: study.purpose.parse().ok()?,
            ends: Day::try_from(study::ends(study)).ok()?,
        })
    }

    /// As the service takes it.
    pub(crate) fn message(&self) -> v1::Study {
        study::message(self.purpose.as_str(), self.ends.0)
    }
}

impl std::fmt::Display for Study {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} until {}",
            self.purpose,
            String::from(self.ends.clone())
        )
    }
}

impl TryFrom<String> for Day {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        study::day(&text).map(Self)
    }
}

impl From<Day> for String {
    fn from(day: Day) -> String {
        study::ends(&study::message("", day.0))
    }
}

impl Quota {
    /// The full name, if it is on one thing: `{edge or key}/quotas/{who}`.
    pub(crate) fn name(&self) -> Result<String, String> {
        let on = match (&self.edge, &self.key) {
            (Some(edge), None) => name::edge(edge),
            (None, Some(key)) => name::key(key),
            (Some(_), Some(_)) | (None, None) => {
                return Err("a quota is on one edge or on one key".to_owned());
            }
        };
        let name = format!("{}/quotas/{}", on.map_err(|e| e.to_string())?, self.who);
        match name.parse::<QuotaName>() {
            Ok(_) => Ok(name),
            Err(e) => Err(e.to_string()),
        }
    }

    /// `edge warehouse/link of each`.
    pub(crate) fn said(&self) -> String {
        let on = match (&self.edge, &self.key) {
            (Some(edge), _) => format!("edge {edge}"),
            (None, Some(key)) => format!("key {key}"),
            (None, None) => "nothing".to_owned(),
        };
        format!("{on} of {}", self.who)
    }
}

impl Edge {
    /// `target/domain`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.target, self.domain)
    }
}
