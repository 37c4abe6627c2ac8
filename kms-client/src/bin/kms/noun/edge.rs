//! `kms edge`.

use super::{Once, edge_graph};
use crate::session::Session;
use crate::table::{Table, time, time_and_age, word, yes};
use clap::{Subcommand, ValueEnum};
use kms_client::{Client, Error, name, v1};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the edges, of all spaces or into one.
    #[command(after_help = "Examples:\n  kms edge list\n  kms edge list warehouse")]
    List {
        /// The target space; all when none is given.
        #[arg(value_parser = name::space)]
        space: Option<String>,
    },
    /// Show one edge.
    #[command(after_help = "Examples:\n  kms edge show warehouse/link")]
    Show {
        /// Target and domain, for example warehouse/link.
        #[arg(value_parser = name::edge)]
        edge: String,
    },
    /// Show which identifiers become which pseudonyms where, as a table or a picture.
    #[command(after_help = "Examples:
  kms edge graph
  kms edge graph -o svg > transfers.svg
  kms edge graph -o dot | dot -Tpdf > transfers.pdf")]
    Graph,
    /// Declare an edge and generate its key in the HSM; nothing of it can be changed later.
    #[command(after_help = "Examples:
  kms edge create warehouse/link --code whlink --input opaque
  kms edge create project-01/warehouse --code p01 --input pseudonym")]
    Create {
        /// Target and domain, for example warehouse/link.
        #[arg(value_parser = name::edge)]
        edge: String,
        /// The readable prefix of its pseudonyms: 2 to 10 of a-z and 0-9, the first a letter.
        #[arg(long)]
        code: String,
        /// What it evaluates.
        #[arg(long, value_enum)]
        input: Input,
        /// Let its key leave for another HSM one day, wrapped. Without this, moving to another HSM
        /// renews every pseudonym.
        #[arg(long)]
        exportable: bool,
        #[command(flatten)]
        once: Once,
    },
}

/// What an edge evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Input {
    /// Identifiers from outside.
    Opaque,
    /// Pseudonyms of the space that is the source of the edge's domain.
    Pseudonym,
    /// National identifiers, each as NIR,BIRTH-DATE,SEX: 15 characters, YYYY-MM-DD, 1 or 2.
    Nir,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::List { space } => {
                let parent = space.unwrap_or_else(|| "spaces/-".to_owned());
                let edges = session.client.all_edges(&parent).await?;
                let answer = v1::ListEdgesResponse {
                    edges,
                    next_page_token: String::new(),
                };
                session.screen.show(&answer, |answer| {
                    Table::columns(["NAME", "CODE", "INPUT", "EXPORTABLE", "CREATED"]).rows(
                        answer.edges.iter().map(|edge| {
                            [
                                name::short(&edge.name),
                                edge.code.clone(),
                                word(edge.input().as_str_name()),
                                yes(edge.exportable),
                                time(edge.create_time.as_ref()),
                            ]
                        }),
                    )
                })
            }
            Self::Graph => edge_graph::show(session).await,
            Self::Show { edge } => {
                let answer = session
                    .client
                    .get_edge(v1::GetEdgeRequest { name: edge })
                    .await?;
                session.screen.show(&answer, fields)
            }
            Self::Create {
                edge,
                code,
                input,
                exportable,
                once,
            } => {
                let request = v1::CreateEdgeRequest {
                    edge: Some(v1::Edge {
                        name: edge,
                        code,
                        input: v1::InputType::from(input).into(),
                        exportable,
                        ..v1::Edge::default()
                    }),
                    request_id: once.request_id,
                };
                session
                    .screen
                    .show(&session.carry(request, Client::create_edge).await?, fields)
            }
        }
    }
}

impl From<Input> for v1::InputType {
    fn from(input: Input) -> Self {
        match input {
            Input::Opaque => Self::Opaque,
            Input::Pseudonym => Self::Pseudonym,
            Input::Nir => Self::Nir,
        }
    }
}

fn fields(edge: &v1::Edge) -> Table {
    Table::fields([
        ("name", edge.name.clone()),
        ("code", edge.code.clone()),
        ("input", word(edge.input().as_str_name())),
        ("exportable", yes(edge.exportable)),
        ("key", edge.key.clone()),
        ("created", time_and_age(edge.create_time.as_ref())),
        ("etag", edge.etag.clone()),
    ])
}
