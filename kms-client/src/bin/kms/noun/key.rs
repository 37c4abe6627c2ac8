//! `kms key`.

use super::{Move, Once, version};
use crate::intake;
use crate::lifecycle::{self, Said};
use crate::session::Session;
use crate::study;
use crate::table::{Table, in_how_long, time_and_age, word, yes};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use kms_client::{Client, Error, Kind, name, v1};
use kms_core::name::Slug;
use std::collections::BTreeMap;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the keys, of all spaces or of one.
    #[command(after_help = "Examples:\n  kms key list\n  kms key list ingest-lyon -o json")]
    List {
        /// The space; all that you may see when none is given.
        #[arg(value_parser = name::space)]
        space: Option<String>,
    },
    /// Show one key and its versions.
    #[command(after_help = "Examples:\n  kms key show ingest-lyon/object")]
    Show {
        /// For example ingest-lyon/object.
        #[arg(value_parser = name::key)]
        key: String,
    },
    /// Make a key and its first version in the HSM.
    #[command(after_help = "Examples:
  kms key create ingest-lyon/object --class data-at-rest --title \"Object storage\"
  kms key create ingest-lyon/import --class import-wrapping
  kms key create ingest-hcl/import --class import-wrapping --takes rsa-oaep-sha256 --partner hcl
  kms key create ingest-hcl/exchange --class exchange --origin external --takes aes-kwp
  kms key create ingest-lyon/legacy --class data-at-rest --origin external
  kms key create project-01/object --class data-at-rest --study cardio --study-ends 2027-01-01
  kms key create ingest-lyon/hot --class data-at-rest --rotate-after 90d --process-for 365d")]
    Create(Create),
    /// Change the title, the labels, the study or the lifecycle of a key; nothing else of it can change.
    #[command(after_help = "Examples:
  kms key update ingest-lyon/object --title \"Object storage, hot tier\"
  kms key update ingest-lyon/object --label tier=hot --label owner=clb
  kms key update ingest-lyon/object --no-labels
  kms key update project-01/object --study cardio --study-ends 2028-01-01
  kms key update ingest-lyon/object --rotate-after 90d --rotate-after-encryptions 1000000
  kms key update ingest-lyon/object --inherit-lifecycle")]
    Update(Update),
    /// Make a new version, which protects from now on; older ones go on to decrypt.
    #[command(
        after_help = "Examples:\n  kms key rotate ingest-lyon/object --reason \"yearly rotation\""
    )]
    Rotate {
        /// For example ingest-lyon/object.
        #[arg(value_parser = name::key)]
        key: String,
        /// Make the version but hold it back; `kms version activate` lets it protect.
        #[arg(long)]
        pre_active: bool,
        #[command(flatten)]
        moving: Move,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// For example ingest-lyon/object.
    #[arg(value_parser = name::key)]
    key: String,
    /// What it is for: one key, one use.
    #[arg(long, value_enum)]
    class: Class,
    /// Where its material comes from.
    #[arg(long, value_enum, default_value = "generated")]
    origin: Origin,
    /// For people.
    #[arg(long, default_value = "", hide_default_value = true)]
    title: String,
    /// A label; may be given several times.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Let it leave for another HSM one day, wrapped. Decided here, for ever.
    #[arg(long)]
    exportable: bool,
    #[command(flatten)]
    study: Bound,
    #[command(flatten)]
    lifecycle: Said,
    #[command(flatten)]
    intake: intake::Takes,
    #[command(flatten)]
    once: Once,
}

/// The study that a key is bound to.
#[derive(Debug, Args)]
pub(crate) struct Bound {
    /// The authorised study that it serves, and nothing else: whoever uses it must state this
    /// purpose.
    #[arg(long, value_name = "PURPOSE", requires = "study_ends")]
    study: Option<Slug>,
    /// The day on which the study ends (00:00 UTC): from then on the key is of no use.
    #[arg(long, value_name = "DATE", requires = "study", value_parser = study::day)]
    study_ends: Option<Timestamp>,
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = true)]
#[group(args = ["title", "labels", "no_labels", "study", "no_study", "inherit_lifecycle"])]
#[group(args = lifecycle::OPTIONS)]
pub(crate) struct Update {
    /// For example ingest-lyon/object.
    #[arg(value_parser = name::key)]
    key: String,
    /// The new title.
    #[arg(long)]
    title: Option<String>,
    /// A label; those given replace all that there were.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Remove all labels.
    #[arg(long, conflicts_with = "labels")]
    no_labels: bool,
    #[command(flatten)]
    study: Bound,
    /// Bind it to no study any more.
    #[arg(long, conflicts_with = "study")]
    no_study: bool,
    /// Those given replace all that it said of the life of its versions.
    #[command(flatten)]
    lifecycle: Said,
    /// Let it say nothing of the life of its versions any more.
    #[arg(long, conflicts_with_all = lifecycle::OPTIONS)]
    inherit_lifecycle: bool,
    /// Go on only if this is still the current etag.
    #[arg(
        long,
        value_name = "ETAG",
        default_value = "",
        hide_default_value = true
    )]
    etag: String,
    #[command(flatten)]
    once: Once,
}

/// What a key is for; keys of edges are made by `kms edge create`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Class {
    /// Protects objects, volumes, databases, backups of one space.
    DataAtRest,
    /// Protects keys that come in from outside.
    ImportWrapping,
    /// The same, and symmetric: shared with a partner, and imported itself.
    Exchange,
}

/// Where key material comes from.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Origin {
    /// Generated in the HSM.
    Generated,
    /// Imported later, by `kms import`.
    External,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::List { space } => list(session, space).await,
            Self::Show { key } => show(session, key).await,
            Self::Create(asked) => asked.run(session).await,
            Self::Update(asked) => asked.run(session).await,
            Self::Rotate {
                key,
                pre_active,
                moving,
            } => {
                let request = v1::RotateKeyRequest {
                    name: key,
                    etag: moving.etag,
                    reason: moving.reason,
                    pre_active,
                    request_id: moving.once.request_id,
                };
                session.screen.show(
                    &session.carry(request, Client::rotate_key).await?,
                    version::fields,
                )
            }
        }
    }
}

async fn list(session: &Session, space: Option<String>) -> Result<(), Error> {
    let parent = space.unwrap_or_else(|| "spaces/-".to_owned());
    let keys = session.client.all_keys(&parent).await?;
    let answer = v1::ListKeysResponse {
        keys,
        next_page_token: String::new(),
    };
    session.screen.show(&answer, |answer| {
        Table::columns(["NAME", "CLASS", "ORIGIN", "PRIMARY", "TITLE"]).rows(
            answer.keys.iter().map(|key| {
                [
                    name::short(&key.name),
                    word(key.class().as_str_name()),
                    word(key.origin().as_str_name()),
                    number(&key.primary),
                    key.title.clone(),
                ]
            }),
        )
    })
}

async fn show(session: &Session, key: String) -> Result<(), Error> {
    let answer = session
        .client
        .get_key(v1::GetKeyRequest { name: key.clone() })
        .await?;
    session.screen.show(&answer, fields)?;
    if !session.screen.is_json() {
        let versions = session.client.all_versions(&key).await?;
        session.screen.line("")?;
        session
            .screen
            .line(&version::table(&versions).to_string())?;
    }
    Ok(())
}

impl Create {
    async fn run(self, session: &Session) -> Result<(), Error> {
        let key = v1::Key {
            name: self.key,
            class: match self.class {
                Class::DataAtRest => v1::KeyClass::DataAtRest,
                Class::ImportWrapping => v1::KeyClass::ImportWrapping,
                Class::Exchange => v1::KeyClass::Exchange,
            }
            .into(),
            title: self.title,
            origin: match self.origin {
                Origin::Generated => v1::Origin::Generated,
                Origin::External => v1::Origin::External,
            }
            .into(),
            exportable: self.exportable,
            labels: labels(self.labels)?,
            study: self.study.message(),
            lifecycle: self.lifecycle.message(),
            intake: self.intake.message(),
            ..v1::Key::default()
        };
        let request = v1::CreateKeyRequest {
            key: Some(key),
            request_id: self.once.request_id,
        };
        session
            .screen
            .show(&session.carry(request, Client::create_key).await?, fields)
    }
}

impl Bound {
    fn message(self) -> Option<v1::Study> {
        Some(study::message(self.study?.as_str(), self.study_ends?))
    }
}

impl Update {
    async fn run(self, session: &Session) -> Result<(), Error> {
        let mut paths = Vec::new();
        if self.title.is_some() {
            paths.push("title".to_owned());
        }
        if self.no_labels || !self.labels.is_empty() {
            paths.push("labels".to_owned());
        }
        if self.no_study || self.study.study.is_some() {
            paths.push("study".to_owned());
        }
        if self.inherit_lifecycle || !self.lifecycle.is_silent() {
            paths.push("lifecycle".to_owned());
        }
        let request = v1::UpdateKeyRequest {
            key: Some(v1::Key {
                name: self.key,
                title: self.title.unwrap_or_default(),
                labels: labels(self.labels)?,
                study: self.study.message(),
                lifecycle: self.lifecycle.message(),
                etag: self.etag,
                ..v1::Key::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths }),
            request_id: self.once.request_id,
        };
        session
            .screen
            .show(&session.carry(request, Client::update_key).await?, fields)
    }
}

/// `name=value`, as an option takes it.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write NAME=VALUE".to_owned()),
    }
}

fn labels(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Error> {
    let mut labels = BTreeMap::new();
    for (name, value) in pairs {
        if labels.insert(name.clone(), value).is_some() {
            return Err(Error::new(
                Kind::Usage,
                format!("the label {name:?} is given twice"),
            ));
        }
    }
    Ok(labels)
}

/// The number of a version, from its name.
fn number(version: &str) -> String {
    version.rsplit('/').next().unwrap_or_default().to_owned()
}

pub(super) fn fields(key: &v1::Key) -> Table {
    let labels: Vec<String> = key
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Table::fields([
        ("name", key.name.clone()),
        ("class", word(key.class().as_str_name())),
        ("title", key.title.clone()),
        ("origin", word(key.origin().as_str_name())),
        ("exportable", yes(key.exportable)),
        (
            "takes in",
            key.intake.as_ref().map(intake::told).unwrap_or_default(),
        ),
        ("primary version", number(&key.primary)),
        ("labels", labels.join(", ")),
        (
            "study",
            key.study.as_ref().map(study::told).unwrap_or_default(),
        ),
        ("lifecycle", lifecycle::told(key.lifecycle.as_ref())),
        (
            "re-wrapped",
            key.rewrap.as_ref().map(campaign).unwrap_or_default(),
        ),
        ("created", time_and_age(key.create_time.as_ref())),
        ("updated", time_and_age(key.update_time.as_ref())),
        ("etag", key.etag.clone()),
    ])
}

/// A re-wrap campaign, in a few words.
fn campaign(rewrap: &v1::Rewrap) -> String {
    let versions = rewrap.versions.iter().map(|version| number(version));
    let versions = versions.collect::<Vec<_>>().join(", ");
    let ends = in_how_long(rewrap.end_time.as_ref());
    format!("version {versions} may be re-wrapped, ends {ends}")
}
