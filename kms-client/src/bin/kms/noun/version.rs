//! `kms version`.

use super::Move;
use crate::confirm::confirm;
use crate::session::Setting;
use crate::table::{Table, time, time_and_age, word, yes};
use clap::{Args, Subcommand};
use kms_client::{Client, Error, name, v1};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the versions of a key, or of every key of a space.
    #[command(
        after_help = "Examples:\n  kms version list ingest-lyon/object\n  kms version list ingest-lyon/-"
    )]
    List {
        /// For example ingest-lyon/object; `-` stands for every key, or every space.
        #[arg(value_parser = name::keys, default_value = "-/-")]
        key: String,
    },
    /// Show one version.
    #[command(after_help = "Examples:\n  kms version show ingest-lyon/object/3")]
    Show {
        /// For example ingest-lyon/object/3.
        #[arg(value_parser = name::version)]
        version: String,
    },
    /// Let a pre-active version protect; it becomes primary and the former primary is deactivated.
    #[command(
        after_help = "Examples:\n  kms version activate ingest-lyon/object/3 --reason \"cutover\""
    )]
    Activate(One),
    /// Let a version protect no more; it goes on to decrypt.
    #[command(
        after_help = "Examples:\n  kms version deactivate ingest-lyon/object/2 --reason \"superseded\""
    )]
    Deactivate(One),
    /// Hold all use of a version, at once.
    #[command(
        after_help = "Examples:\n  kms version suspend ingest-lyon/object/3 --reason \"incident 42\"\n  kms version suspend ingest-lyon/object/3 --reason \"incident 42\" --keep-processing"
    )]
    Suspend {
        #[command(flatten)]
        one: One,
        /// Let decryption and unwrapping go on meanwhile.
        #[arg(long)]
        keep_processing: bool,
    },
    /// End a suspension.
    #[command(
        after_help = "Examples:\n  kms version resume ingest-lyon/object/3 --reason \"incident 42 closed\""
    )]
    Resume(One),
    /// Mark a version as compromised, for ever: what it protects stays closed until an approved
    /// campaign.
    #[command(
        after_help = "Examples:\n  kms version compromise ingest-lyon/object/2 --reason \"PIN leaked, incident 43\""
    )]
    Compromise {
        #[command(flatten)]
        one: One,
        /// Do not ask for a confirmation.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// For example ingest-lyon/object/3.
    #[arg(value_parser = name::version)]
    version: String,
    #[command(flatten)]
    moving: Move,
}

impl Verb {
    pub(crate) async fn run(self, setting: &Setting) -> Result<(), Error> {
        if let Self::Compromise { one, yes } = &self {
            let word = name::short(&one.version);
            let question =
                format!("{word} will be compromised for ever, and open nothing any more.");
            confirm(*yes, &question, &word)?;
        }
        let session = setting.session().await?;
        let client = &session.client;
        let moved = match self {
            Self::List { key } => {
                let versions = client.all_versions(&key).await?;
                let answer = v1::ListVersionsResponse {
                    versions,
                    next_page_token: String::new(),
                };
                return session
                    .screen
                    .show(&answer, |answer| table(&answer.versions));
            }
            Self::Show { version } => {
                client
                    .get_version(v1::GetVersionRequest { name: version })
                    .await?
            }
            Self::Activate(one) => {
                session
                    .carry(one.request(), Client::activate_version)
                    .await?
            }
            Self::Deactivate(one) => {
                session
                    .carry(one.request(), Client::deactivate_version)
                    .await?
            }
            Self::Resume(one) => session.carry(one.request(), Client::resume_version).await?,
            Self::Compromise { one, yes: _ } => {
                session
                    .carry(one.request(), Client::compromise_version)
                    .await?
            }
            Self::Suspend {
                one,
                keep_processing,
            } => {
                let request = v1::SuspendVersionRequest {
                    name: one.version,
                    etag: one.moving.etag,
                    reason: one.moving.reason,
                    keep_processing,
                    request_id: one.moving.once.request_id,
                };
                session.carry(request, Client::suspend_version).await?
            }
        };
        session.screen.show(&moved, fields)
    }
}

impl One {
    fn request(self) -> v1::MoveVersionRequest {
        v1::MoveVersionRequest {
            name: self.version,
            etag: self.moving.etag,
            reason: self.moving.reason,
            request_id: self.moving.once.request_id,
        }
    }
}

pub(super) fn table(versions: &[v1::KeyVersion]) -> Table {
    Table::columns(["VERSION", "STATE", "ALGORITHM", "ORIGIN", "SINCE", "REASON"]).rows(
        versions.iter().map(|version| {
            [
                name::short(&version.name),
                state(version),
                version.algorithm.clone(),
                word(version.origin().as_str_name()),
                time(version.state_time.as_ref()),
                version.state_reason.clone(),
            ]
        }),
    )
}

pub(super) fn fields(version: &v1::KeyVersion) -> Table {
    Table::fields([
        ("name", version.name.clone()),
        ("state", state(version)),
        ("since", time_and_age(version.state_time.as_ref())),
        ("reason", version.state_reason.clone()),
        ("by", version.state_actor.clone()),
        ("algorithm", version.algorithm.clone()),
        ("origin", word(version.origin().as_str_name())),
        ("compromised", yes(version.compromised)),
        ("fingerprint", version.fingerprint.clone()),
        ("wrapped by", version.import_wrapping_version.clone()),
        ("wrapped with", version.import_mechanism.clone()),
        ("created", time_and_age(version.create_time.as_ref())),
        ("etag", version.etag.clone()),
    ])
}

/// With what the state alone does not tell.
fn state(version: &v1::KeyVersion) -> String {
    let state = word(version.state().as_str_name());
    match version.state() {
        v1::VersionState::Suspended if version.suspended_processing => {
            format!("{state} (decrypts)")
        }
        v1::VersionState::Destroyed if version.compromised => format!("{state} (compromised)"),
        v1::VersionState::Unspecified
        | v1::VersionState::PreActive
        | v1::VersionState::Active
        | v1::VersionState::Suspended
        | v1::VersionState::Deactivated
        | v1::VersionState::Compromised
        | v1::VersionState::Destroyed => state,
    }
}
