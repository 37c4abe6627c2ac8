//! `kms access`.

mod review;

use super::policy::apply::apply;
use crate::rules;
use crate::screen::canonical;
use crate::session::{Session, Setting};
use crate::table::Table;
use clap::{Subcommand, ValueEnum};
use kms_client::{Error, Kind, v1};
use kms_core::caller::Principal;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List who is bound to which roles.
    #[command(after_help = "Examples:\n  kms access list")]
    List,
    /// Write the bindings in the form that `bind` reads.
    #[command(after_help = "Examples:\n  kms access export > bindings.yaml")]
    Export,
    /// Show everything that everyone may do, for the yearly review.
    #[command(after_help = "Examples:
  kms access review
  kms access review --by role
  kms access review --by key --csv > review-2025.csv")]
    Review {
        /// How to group it.
        #[arg(long, value_enum, default_value = "person")]
        by: By,
        /// One line for each right, as CSV; nothing is counted or left out.
        #[arg(long)]
        csv: bool,
    },
    /// Bind people and services to what a file says; whoever is not in it stays as they are.
    ///
    /// Takes approvals in production. The server refuses incompatible roles, whatever brings them
    /// together, and whatever would lock every officer out.
    #[command(after_help = "Examples:
  kms policy plan --bindings bindings.yaml
  kms access bind -f bindings.yaml --reason \"Zoe succeeds Olivia, HR 311\"
  kms access bind -f bindings.yaml --reason \"Zoe succeeds Olivia, HR 311\" --wait")]
    Bind {
        /// The bindings, YAML.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Why, for the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Take every role of a person or a service away.
    ///
    /// Takes approvals in production. Connections that are open feel it with their next call; the
    /// names stay theirs.
    #[command(
        after_help = "Examples:\n  kms access revoke person/olivia --reason \"left, HR 312\""
    )]
    Revoke {
        /// person/ID or service/ID.
        #[arg(value_parser = principal)]
        principal: String,
        /// Why, for the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// How a review is grouped.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum By {
    /// By who may do it.
    Person,
    /// By what it may be done to.
    Key,
    /// By role: who holds it, on what, and what each holder may.
    Role,
}

impl Verb {
    pub(crate) async fn run(self, setting: &Setting) -> Result<(), Error> {
        match self {
            Self::List => list(&setting.session().await?).await,
            Self::Export => {
                let session = setting.session().await?;
                let bindings = bound(&session).await?;
                session.screen.line(rules::yaml(&bindings)?.trim_end())
            }
            Self::Review { by, csv } => review::run(&setting.session().await?, by, csv).await,
            Self::Bind { file, reason } => {
                // A file that cannot be read is told before anybody is connected to.
                let candidate = rules::candidate(None, None, Some(&file))?;
                apply(&setting.session().await?, candidate, None, reason).await
            }
            Self::Revoke { principal, reason } => {
                let session = setting.session().await?;
                let found = bound(&session).await?;
                let binding = found.into_iter().find(|b| b.principal == principal);
                let binding = binding.ok_or_else(|| {
                    Error::new(Kind::NotFound, format!("{principal} is not bound here"))
                })?;
                let candidate = v1::Rules {
                    bindings: vec![v1::Binding {
                        roles: vec![],
                        etag: String::new(),
                        ..binding
                    }],
                    ..v1::Rules::default()
                };
                apply(&session, candidate, None, reason).await
            }
        }
    }
}

/// Every binding there is.
pub(super) async fn bound(session: &Session) -> Result<Vec<v1::Binding>, Error> {
    let answer = session.client.get_policy(v1::GetPolicyRequest {}).await?;
    Ok(answer.bindings)
}

async fn list(session: &Session) -> Result<(), Error> {
    let bindings = bound(session).await?;
    if session.screen.is_json() {
        let all: Result<Vec<_>, _> = bindings.iter().map(canonical).collect();
        return session.screen.json(&json!({ "bindings": all? }));
    }
    let table = Table::columns(["WHO", "ROLES", "ALSO CALLED", "SIGNS IN AS"]);
    let rows = bindings.iter().map(|bound| {
        let openid = bound.openid.as_ref();
        [
            bound.principal.clone(),
            rules::roles(bound),
            bound.aliases.join(", "),
            openid
                .map(|openid| format!("{} at {}", openid.subject, openid.issuer))
                .unwrap_or_default(),
        ]
    });
    session.screen.line(&table.rows(rows).to_string())
}

/// `person/{id}` or `service/{id}`.
pub(super) fn principal(text: &str) -> Result<String, String> {
    match text.parse::<Principal>() {
        Ok(principal) => Ok(principal.to_string()),
        Err(e) => Err(e.to_string()),
    }
}
