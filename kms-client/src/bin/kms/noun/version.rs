//! `kms version`.

use super::{Move, aftermath};
use crate::confirm::confirm;
use crate::lifecycle::{Length, length, period};
use crate::session::Setting;
use crate::table::{Table, in_how_long, person, time, time_and_age, word, yes};
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
    /// Tell whether a version is still needed: how often it was used, when last, and by whom.
    #[command(after_help = "Examples:
  kms version usage ingest-lyon/object/2
  kms version usage ingest-lyon/object/2 -o json")]
    Usage {
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
    /// campaign. Its successor is made at once; then it is told what it protected, who used it, and
    /// what is to be re-wrapped.
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
    /// Set the day on which a version is destroyed, for ever. Until then it does nothing, so that
    /// whoever still needs it finds out; then a custodian approves, and the service does it.
    #[command(after_help = "Examples:
  kms version destroy ingest-lyon/object/2 --reason \"superseded, all re-wrapped\" --wait
  kms version destroy ingest-lyon/object/2 --after 7d --reason \"study withdrawn\" --yes
  kms version keep ingest-lyon/object/2 --reason \"still needed\"")]
    Destroy {
        #[command(flatten)]
        one: One,
        /// How long it waits; seven days at least in production.
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = length)]
        after: Length,
        /// Although it was used lately.
        #[arg(long)]
        force: bool,
        /// Do not ask for a confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// Take the day of its destruction back.
    #[command(
        after_help = "Examples:\n  kms version keep ingest-lyon/object/2 --reason \"still needed\""
    )]
    Keep(One),
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
        if let Self::Destroy {
            one, yes, after, ..
        } = &self
        {
            let word = name::short(&one.version);
            let after = period(&after.message());
            let question = format!(
                "{word} will do nothing from now on, and be destroyed for ever in {after}."
            );
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
            Self::Usage { version } => {
                let asked = v1::GetVersionUsageRequest { name: version };
                let told = client.get_version_usage(asked).await?;
                if !session.screen.is_json() {
                    session.screen.line(&counted(&told).to_string())?;
                    return match told.users.as_slice() {
                        [] => Ok(()),
                        users => session
                            .screen
                            .line(&format!("\n{}", by(users, told.others))),
                    };
                }
                return session.screen.message(&told);
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
            Self::Keep(one) => {
                session
                    .carry(one.request(), Client::cancel_destruction)
                    .await?
            }
            Self::Destroy {
                one,
                after,
                force,
                yes: _,
            } => {
                let request = v1::ScheduleDestructionRequest {
                    name: one.version,
                    etag: one.moving.etag,
                    waiting: Some(after.message()),
                    force,
                    reason: one.moving.reason,
                    request_id: one.moving.once.request_id,
                };
                session.carry(request, Client::schedule_destruction).await?
            }
            Self::Resume(one) => session.carry(one.request(), Client::resume_version).await?,
            Self::Compromise { one, yes: _ } => {
                let version = one.version.clone();
                let moved = session
                    .carry(one.request(), Client::compromise_version)
                    .await?;
                session.screen.show(&moved, fields)?;
                return aftermath::tell(&session, &version).await;
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
        (
            "wrapped with",
            if version.import_two_steps {
                format!("{}, in two steps: WEAKER", version.import_mechanism)
            } else {
                version.import_mechanism.clone()
            },
        ),
        ("partner", version.import_partner.clone()),
        ("imported by", version.import_actor.clone()),
        ("exported", exported(&version.exports)),
        ("created", time_and_age(version.create_time.as_ref())),
        ("protected from", time(version.activate_time.as_ref())),
        ("protected until", time(version.retire_time.as_ref())),
        (
            "destruction",
            version.destruction.as_ref().map(end).unwrap_or_default(),
        ),
        ("evaluated through", version.layered_on.clone()),
        ("first stage of", version.first_stage_of.clone()),
        ("etag", version.etag.clone()),
    ])
}

/// Where it left for: from then on it is not here alone.
fn exported(exports: &[v1::Export]) -> String {
    let one = |export: &v1::Export| {
        let when = export.moved.as_ref().and_then(|moved| moved.time.as_ref());
        format!("{} to {}", time(when), name::short(&export.destination))
    };
    exports.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// How a version was used.
fn counted(told: &v1::VersionUsage) -> Table {
    let used = |time: &Option<_>| match time {
        Some(time) => time_and_age(Some(time)),
        None => "never, as far as is counted".to_owned(),
    };
    Table::fields([
        ("name", told.name.clone()),
        ("last used", used(&told.last_use_time)),
        ("first used", time_and_age(told.first_use_time.as_ref())),
        ("protected", told.protected.to_string()),
        ("processed", told.processed.to_string()),
        ("counted since", time_and_age(told.counted_since.as_ref())),
    ])
}

/// By whom.
fn by(users: &[v1::VersionUser], others: i64) -> Table {
    let mut table = Table::columns(["BY", "ITEMS", "LAST"]).rows(users.iter().map(|user| {
        let last = time_and_age(user.last_use_time.as_ref());
        [user.principal.clone(), user.count.to_string(), last]
    }));
    if others > 0 {
        table.row(["others, earlier".into(), others.to_string(), String::new()]);
    }
    table
}

/// When it will be destroyed, by whom and why.
fn end(destruction: &v1::Destruction) -> String {
    let day = time(destruction.time.as_ref());
    let said = destruction.scheduled.as_ref();
    let by = said.map(|said| person(&said.actor)).unwrap_or_default();
    let why = said.map(|said| said.reason.as_str()).unwrap_or_default();
    let lately = if destruction.forced {
        ", although it was used lately"
    } else {
        ""
    };
    format!("{day}{lately} ({by}: {why})")
}

/// With what the state alone does not tell.
fn state(version: &v1::KeyVersion) -> String {
    let state = word(version.state().as_str_name());
    if let Some(destruction) = version
        .destruction
        .as_ref()
        .filter(|_| version.state() != v1::VersionState::Destroyed)
    {
        let when = in_how_long(destruction.time.as_ref());
        return format!("{state} (destroyed {when})");
    }
    if !version.first_stage_of.is_empty() && version.state() != v1::VersionState::Destroyed {
        let above = name::short(&version.first_stage_of);
        return format!("{state} (first stage of {above})");
    }
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
