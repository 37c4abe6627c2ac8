//! `kms space`.

use super::{Move, Once};
use crate::confirm::confirm;
use crate::lifecycle::{self, Said};
use crate::session::Setting;
use crate::table::{Table, in_how_long, person, time, time_and_age, word};
use clap::{Args, Subcommand, ValueEnum};
use kms_client::{Client, Error, name, v1};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the spaces.
    #[command(after_help = "Examples:\n  kms space list\n  kms space list -o json")]
    List,
    /// Show one space.
    #[command(after_help = "Examples:\n  kms space show ingest-lyon")]
    Show {
        /// For example ingest-lyon.
        #[arg(value_parser = name::space)]
        space: String,
    },
    /// Declare a space; its name is never used again.
    #[command(
        after_help = "Examples:\n  kms space create ingest-lyon --kind ingest --title \"Centre Léon Bérard\""
    )]
    Create {
        /// For example ingest-lyon.
        #[arg(value_parser = name::space)]
        space: String,
        /// What it is for.
        #[arg(long, value_enum)]
        kind: Kind,
        /// For people.
        #[arg(long, default_value = "", hide_default_value = true)]
        title: String,
        #[command(flatten)]
        lifecycle: Said,
        #[command(flatten)]
        once: Once,
    },
    /// Change the title of a space, or what it says of the life of its keys' versions.
    #[command(after_help = "Examples:
  kms space update ingest-lyon --title \"Centre Léon Bérard, Lyon\"
  kms space update ingest-lyon --rotate-after 180d
  kms space update ingest-lyon --inherit-lifecycle")]
    Update(Update),
    /// Protect nothing new in a space any more; what was protected still opens.
    #[command(
        after_help = "Examples:\n  kms space archive project-01 --reason \"the study is over\""
    )]
    Archive(One),
    /// Set the day, in twelve months, on which every key of an archived space is destroyed; two
    /// custodians approve it now, and one when the day has come.
    #[command(after_help = "Examples:
  kms space decommission project-01 --reason \"the study is over\" --wait
  kms space keep project-01 --reason \"an appeal is pending\"")]
    Decommission {
        #[command(flatten)]
        one: One,
        /// Do not ask for a confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// Take the decommissioning back; the space stays archived.
    #[command(
        after_help = "Examples:\n  kms space keep project-01 --reason \"an appeal is pending\""
    )]
    Keep(One),
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// For example project-01.
    #[arg(value_parser = name::space)]
    space: String,
    #[command(flatten)]
    moving: Move,
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = true)]
#[group(args = ["title", "inherit_lifecycle"])]
#[group(args = lifecycle::OPTIONS)]
pub(crate) struct Update {
    /// For example ingest-lyon.
    #[arg(value_parser = name::space)]
    space: String,
    /// The new title.
    #[arg(long)]
    title: Option<String>,
    /// Those given replace all that it said of the life of its keys' versions.
    #[command(flatten)]
    lifecycle: Said,
    /// Let it say nothing of the life of its keys' versions any more.
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

/// What a space is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
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

impl Verb {
    pub(crate) async fn run(self, setting: &Setting) -> Result<(), Error> {
        if let Self::Decommission { one, yes } = &self {
            let word = name::short(&one.space);
            let question =
                format!("every key of {word} will be destroyed for ever in twelve months.");
            confirm(*yes, &question, &word)?;
        }
        let session = &setting.session().await?;
        let moved = match self {
            Self::List => {
                let spaces = session.client.all_spaces().await?;
                let answer = v1::ListSpacesResponse {
                    spaces,
                    next_page_token: String::new(),
                };
                return session.screen.show(&answer, |answer| {
                    Table::columns(["NAME", "KIND", "STANDS", "TITLE", "CREATED"]).rows(
                        answer.spaces.iter().map(|space| {
                            [
                                name::short(&space.name),
                                word(space.kind().as_str_name()),
                                stands(space).to_owned(),
                                space.title.clone(),
                                time(space.create_time.as_ref()),
                            ]
                        }),
                    )
                });
            }
            Self::Show { space } => {
                session
                    .client
                    .get_space(v1::GetSpaceRequest { name: space })
                    .await?
            }
            Self::Create {
                space,
                kind,
                title,
                lifecycle,
                once,
            } => {
                let request = v1::CreateSpaceRequest {
                    space: Some(v1::Space {
                        name: space,
                        title,
                        kind: v1::SpaceKind::from(kind).into(),
                        lifecycle: lifecycle.message(),
                        ..v1::Space::default()
                    }),
                    request_id: once.request_id,
                };
                session.carry(request, Client::create_space).await?
            }
            Self::Update(asked) => session.carry(asked.request(), Client::update_space).await?,
            Self::Archive(one) => session.carry(one.request(), Client::archive_space).await?,
            Self::Decommission { one, yes: _ } => {
                session
                    .carry(one.request(), Client::decommission_space)
                    .await?
            }
            Self::Keep(one) => session.carry(one.request(), Client::keep_space).await?,
        };
        session.screen.show(&moved, fields)
    }
}

impl One {
    fn request(self) -> v1::MoveSpaceRequest {
        v1::MoveSpaceRequest {
            name: self.space,
            etag: self.moving.etag,
            reason: self.moving.reason,
            request_id: self.moving.once.request_id,
        }
    }
}

impl Update {
    fn request(self) -> v1::UpdateSpaceRequest {
        let mut paths = Vec::new();
        if self.title.is_some() {
            paths.push("title".to_owned());
        }
        if self.inherit_lifecycle || !self.lifecycle.is_silent() {
            paths.push("lifecycle".to_owned());
        }
        v1::UpdateSpaceRequest {
            space: Some(v1::Space {
                name: self.space,
                title: self.title.unwrap_or_default(),
                lifecycle: self.lifecycle.message(),
                etag: self.etag,
                ..v1::Space::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths }),
            request_id: self.once.request_id,
        }
    }
}

/// Where it stands, in a word.
fn stands(space: &v1::Space) -> &'static str {
    if space.erased.is_some() {
        "erased"
    } else if space.decommissioned.is_some() {
        "decommissioned"
    } else if space.archived.is_some() {
        "archived"
    } else {
        "open"
    }
}

/// A step of its life: when, by whom, why.
fn step(step: Option<&v1::Transition>) -> String {
    let Some(step) = step else {
        return String::new();
    };
    let when = time_and_age(step.time.as_ref());
    format!("{when}, {}: {}", person(&step.actor), step.reason)
}

/// The day on which its keys are erased, while that lies ahead.
fn erasure(space: &v1::Space) -> String {
    match (&space.erased, space.erase_time.as_ref()) {
        (None, Some(at)) => format!("{} ({})", time(Some(at)), in_how_long(Some(at))),
        (Some(_), _) | (None, None) => String::new(),
    }
}

impl From<Kind> for v1::SpaceKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Ingest => Self::Ingest,
            Kind::Warehouse => Self::Warehouse,
            Kind::Project => Self::Project,
            Kind::Platform => Self::Platform,
            Kind::Outside => Self::Outside,
        }
    }
}

fn fields(space: &v1::Space) -> Table {
    Table::fields([
        ("name", space.name.clone()),
        ("kind", word(space.kind().as_str_name())),
        ("title", space.title.clone()),
        ("stands", stands(space).to_owned()),
        ("lifecycle", lifecycle::told(space.lifecycle.as_ref())),
        ("created", time_and_age(space.create_time.as_ref())),
        ("archived", step(space.archived.as_ref())),
        ("decommissioned", step(space.decommissioned.as_ref())),
        ("keys erased", erasure(space)),
        ("erased", step(space.erased.as_ref())),
        ("etag", space.etag.clone()),
    ])
}
