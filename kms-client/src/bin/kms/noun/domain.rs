//! `kms domain`.

use super::Once;
use crate::session::Session;
use crate::table::{Table, time, time_and_age};
use clap::Subcommand;
use kms_client::{Client, Error, name, v1};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the identifier domains.
    #[command(after_help = "Examples:\n  kms domain list")]
    List,
    /// Show one identifier domain.
    #[command(after_help = "Examples:\n  kms domain show link")]
    Show {
        /// For example link.
        #[arg(value_parser = name::domain)]
        domain: String,
    },
    /// Declare an identifier domain.
    #[command(
        after_help = "Examples:\n  kms domain create link --title \"Hospital and SNDS link\"\n  kms domain create warehouse --source warehouse"
    )]
    Create {
        /// For example link.
        #[arg(value_parser = name::domain)]
        domain: String,
        /// The space whose pseudonyms are this domain's identifiers; none when they come from
        /// outside.
        #[arg(long, value_name = "SPACE", value_parser = name::space)]
        source: Option<String>,
        /// For people.
        #[arg(long, default_value = "", hide_default_value = true)]
        title: String,
        #[command(flatten)]
        once: Once,
    },
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::List => {
                let domains = session.client.all_domains().await?;
                let answer = v1::ListDomainsResponse {
                    domains,
                    next_page_token: String::new(),
                };
                session.screen.show(&answer, |answer| {
                    Table::columns(["NAME", "SOURCE", "TITLE", "CREATED"]).rows(
                        answer.domains.iter().map(|domain| {
                            [
                                name::short(&domain.name),
                                source(domain),
                                domain.title.clone(),
                                time(domain.create_time.as_ref()),
                            ]
                        }),
                    )
                })
            }
            Self::Show { domain } => {
                let answer = session
                    .client
                    .get_domain(v1::GetDomainRequest { name: domain })
                    .await?;
                session.screen.show(&answer, fields)
            }
            Self::Create {
                domain,
                source,
                title,
                once,
            } => {
                let request = v1::CreateDomainRequest {
                    domain: Some(v1::Domain {
                        name: domain,
                        title,
                        source: source.unwrap_or_default(),
                        ..v1::Domain::default()
                    }),
                    request_id: once.request_id,
                };
                session.screen.show(
                    &session.carry(request, Client::create_domain).await?,
                    fields,
                )
            }
        }
    }
}

fn source(domain: &v1::Domain) -> String {
    if domain.source.is_empty() {
        "(outside)".to_owned()
    } else {
        name::short(&domain.source)
    }
}

fn fields(domain: &v1::Domain) -> Table {
    Table::fields([
        ("name", domain.name.clone()),
        ("source", source(domain)),
        ("title", domain.title.clone()),
        ("created", time_and_age(domain.create_time.as_ref())),
        ("etag", domain.etag.clone()),
    ])
}
