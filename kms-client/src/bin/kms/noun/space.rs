//! `kms space`.

use super::Once;
use crate::session::Session;
use crate::table::{Table, time, time_and_age, word};
use clap::{Subcommand, ValueEnum};
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
        once: Once,
    },
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
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::List => {
                let spaces = session.client.all_spaces().await?;
                let answer = v1::ListSpacesResponse {
                    spaces,
                    next_page_token: String::new(),
                };
                session.screen.show(&answer, |answer| {
                    Table::columns(["NAME", "KIND", "TITLE", "CREATED"]).rows(
                        answer.spaces.iter().map(|space| {
                            [
                                name::short(&space.name),
                                word(space.kind().as_str_name()),
                                space.title.clone(),
                                time(space.create_time.as_ref()),
                            ]
                        }),
                    )
                })
            }
            Self::Show { space } => {
                let answer = session
                    .client
                    .get_space(v1::GetSpaceRequest { name: space })
                    .await?;
                session.screen.show(&answer, fields)
            }
            Self::Create {
                space,
                kind,
                title,
                once,
            } => {
                let request = v1::CreateSpaceRequest {
                    space: Some(v1::Space {
                        name: space,
                        title,
                        kind: v1::SpaceKind::from(kind).into(),
                        ..v1::Space::default()
                    }),
                    request_id: once.request_id,
                };
                session
                    .screen
                    .show(&session.carry(request, Client::create_space).await?, fields)
            }
        }
    }
}

impl From<Kind> for v1::SpaceKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Ingest => Self::Ingest,
            Kind::Warehouse => Self::Warehouse,
            Kind::Project => Self::Project,
            Kind::Platform => Self::Platform,
        }
    }
}

fn fields(space: &v1::Space) -> Table {
    Table::fields([
        ("name", space.name.clone()),
        ("kind", word(space.kind().as_str_name())),
        ("title", space.title.clone()),
        ("created", time_and_age(space.create_time.as_ref())),
        ("etag", space.etag.clone()),
    ])
}
