//! `kms quota`.

use crate::limits::{limit, sentence};
use crate::session::Session;
use crate::table::{Table, person, time, time_and_age};
use clap::{Args, Subcommand};
use kms_client::{Client, Error, name, v1};
use kms_core::quota::{grouped, span};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the quotas that were set, in all spaces or in one.
    #[command(after_help = "Examples:\n  kms quota list\n  kms quota list warehouse")]
    List {
        /// The space; all when none is given.
        #[arg(value_parser = name::space)]
        space: Option<String>,
    },
    /// Show what holds for a caller, and what is left of it.
    #[command(after_help = "Examples:
  kms quota show --edge warehouse/link
  kms quota show --edge warehouse/link --who service/link-pseudonymiser")]
    Show {
        #[command(flatten)]
        on: On,
        /// Whose: person/ID or service/ID; yours when none is given.
        #[arg(long, value_name = "WHO")]
        who: Option<String>,
    },
    /// Set how much one caller, or each, may ask; raising and lowering it takes an approval.
    ///
    /// What holds for a caller is the first that limits anything: the quota of this very caller,
    /// that of each caller, the default. What was spent stays spent.
    #[command(after_help = "Examples:
  kms quota set --edge warehouse/link --who service/link-pseudonymiser \\
      --limit items/day=2500000 --limit items/year=7000000 --reason \"yearly refresh, 2 updates\"
  kms quota set --key ingest-lyon/object --each --limit requests/minute=6000 --reason fairness
  kms quota set --edge warehouse/link --each --default --reason \"the load is over\"")]
    Set(Set),
}

/// What a quota is on.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct On {
    /// An edge, for example warehouse/link.
    #[arg(long, value_parser = name::edge)]
    edge: Option<String>,
    /// A key, for example ingest-lyon/object.
    #[arg(long, value_parser = name::key)]
    key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    #[command(flatten)]
    on: On,
    /// Of this caller alone: person/ID or service/ID.
    #[arg(long, value_name = "WHO", required_unless_present = "each")]
    who: Option<String>,
    /// Of each caller who has no quota of their own.
    #[arg(long, conflicts_with = "who")]
    each: bool,
    /// The most of a measure (requests, items, bytes) in a period (minute, hour, day, month: 30
    /// days, year: 365), for example items/day=20000000; all limits that are to hold, each once.
    #[arg(long = "limit", value_name = "MEASURE/PERIOD=MOST", value_parser = limit)]
    #[arg(required_unless_present = "default")]
    limits: Vec<v1::Limit>,
    /// Take back what was set.
    #[arg(long, conflicts_with = "limits")]
    default: bool,
    #[command(flatten)]
    moving: super::Move,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::List { space } => {
                let parent = space.unwrap_or_else(|| "spaces/-".to_owned());
                let quotas = session.client.all_quotas(&parent).await?;
                if quotas.is_empty() {
                    session
                        .screen
                        .remark("no quota was set: the defaults hold (kms quota show)");
                }
                let answer = v1::ListQuotasResponse {
                    quotas,
                    next_page_token: String::new(),
                };
                session.screen.show(&answer, list)
            }
            Self::Show { on, who } => {
                let request = v1::GetAllowanceRequest {
                    on: on.name(),
                    principal: who.unwrap_or_default(),
                };
                let allowance = session.client.get_allowance(request).await?;
                session.screen.show(&allowance, allowed)
            }
            Self::Set(asked) => {
                let who = asked.who.unwrap_or_else(|| "each".to_owned());
                let request = v1::PutQuotaRequest {
                    quota: Some(v1::Quota {
                        name: format!("{}/quotas/{who}", asked.on.name()),
                        limits: asked.limits,
                        etag: asked.moving.etag,
                        ..v1::Quota::default()
                    }),
                    reason: asked.moving.reason,
                    request_id: asked.moving.once.request_id,
                };
                let quota = session.carry(request, Client::put_quota).await?;
                session.screen.show(&quota, fields)
            }
        }
    }
}

impl On {
    fn name(&self) -> String {
        let named = self.edge.as_ref().or(self.key.as_ref());
        named.cloned().unwrap_or_default()
    }
}

fn list(answer: &v1::ListQuotasResponse) -> Table {
    let mut table = Table::columns(["ON", "OF", "AT MOST", "SET", "BY", "REASON"]);
    for quota in &answer.quotas {
        let (on, of) = quota.name.split_once("/quotas/").unwrap_or_default();
        for limit in &quota.limits {
            table.row([
                on.to_owned(),
                of.to_owned(),
                sentence(limit),
                time(quota.update_time.as_ref()),
                person(&quota.actor).to_owned(),
                quota.reason.clone(),
            ]);
        }
    }
    table
}

fn allowed(allowance: &v1::Allowance) -> Table {
    let set = match allowance.quota.as_str() {
        "" => "nobody: the default".to_owned(),
        quota => quota.to_owned(),
    };
    let mut rows = vec![
        ("on".to_owned(), allowance.on.clone()),
        ("of".to_owned(), allowance.principal.clone()),
        ("set by".to_owned(), set),
    ];
    for left in &allowance.limits {
        let limit = left.limit.unwrap_or_default();
        let free = left.free_in.and_then(|wait| Duration::try_from(wait).ok());
        let free = free.map(|wait| format!("; all free in {}", span(wait)));
        rows.push((
            sentence(&limit),
            format!("{} left{}", grouped(left.left), free.unwrap_or_default()),
        ));
    }
    if allowance.limits.is_empty() {
        rows.push(("limits".to_owned(), "none".to_owned()));
    }
    Table::fields(
        rows.iter()
            .map(|(name, value)| (name.as_str(), value.clone())),
    )
}

fn fields(quota: &v1::Quota) -> Table {
    let limits: Vec<String> = quota.limits.iter().map(sentence).collect();
    let limits = match limits.as_slice() {
        [] => "none of its own: what holds without it".to_owned(),
        limits => limits.join(", "),
    };
    Table::fields([
        ("name", quota.name.clone()),
        ("at most", limits),
        ("set", time_and_age(quota.update_time.as_ref())),
        ("by", person(&quota.actor).to_owned()),
        ("reason", quota.reason.clone()),
        ("etag", quota.etag.clone()),
    ])
}
