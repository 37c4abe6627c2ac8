//! The file, as written.

use kms_client::{Error, Kind};
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
}

/// A space. What is left out is not managed by the file.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Space {
    pub(crate) name: String,
    pub(crate) kind: SpaceKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
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
    #[serde(default, skip_serializing_if = "Origin::is_generated")]
    pub(crate) origin: Origin,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) exportable: bool,
}

/// What a space is for.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SpaceKind {
    Ingest,
    Warehouse,
    Project,
    Platform,
}

/// What an edge evaluates.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Input {
    Opaque,
    Pseudonym,
}

/// What a key is for; an edge makes its pseudonymisation key itself.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    DataAtRest,
    ImportWrapping,
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
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::file(&format!("read {}", path.display()), &e))?;
        Self::parse(&text).map_err(|e| e.within(path.display()))
    }

    /// Reads YAML.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        serde_saphyr::from_str(text).map_err(|e| {
            let plain = serde_saphyr::render_options! {
                snippets: serde_saphyr::SnippetMode::Off,
                formatter: &serde_saphyr::UserMessageFormatter,
            };
            let said = e.render_with_options(plain).replace('\n', " ");
            let said = said
                .rsplit_once(" at line ")
                .map_or(said.as_str(), |(said, _)| said);
            let line = e
                .location()
                .map(|at| format!("line {}: ", at.line()))
                .unwrap_or_default();
            Error::new(Kind::Invalid, format!("{line}{said}"))
        })
    }
}

impl Edge {
    /// `target/domain`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.target, self.domain)
    }
}
