//! `kms emergency`.

use crate::difference::visible;
use crate::session::Session;
use crate::table::{Table, person, time, time_and_age, yes};
use clap::Subcommand;
use kms_client::{Client, Error, Kind, name, v1};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Break the glass: for a short time, what stops harm needs one approval less.
    ///
    /// Off unless the policy was given ops/policy/break-glass.cedar. It takes a custodian's approval
    /// itself, is loud in records and metrics, ends by itself, and must be reviewed before another
    /// can be declared.
    #[command(after_help = "Examples:
  kms emergency declare --minutes 60 --reason \"incident 42: the second custodian cannot be reached\"")]
    Declare {
        /// For how long: 1 to 240.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=240))]
        minutes: u32,
        /// Why, for the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// End an emergency before its time.
    #[command(after_help = "Examples:\n  kms emergency end --reason \"incident 42 is contained\"")]
    End {
        /// Which; the one under way when none is given.
        #[arg(value_parser = name::emergency)]
        emergency: Option<String>,
        /// Why, for the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Say what an emergency was used for and whether that was right; by somebody else than who
    /// declared or approved it.
    #[command(after_help = "Examples:
  kms audit list -o json | jq '.entries[] | select(.unmapped.emergency)'
  kms emergency review e7c2m4hx0q --findings \"one version compromised, rightly; report 2025-17\"")]
    Review {
        /// Which.
        #[arg(value_parser = name::emergency)]
        emergency: String,
        /// What was done in it, and whether it was right.
        #[arg(long, value_name = "TEXT")]
        findings: String,
    },
    /// List the emergencies that there were.
    #[command(after_help = "Examples:\n  kms emergency list")]
    List,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        let request_id = String::new();
        let moved = match self {
            Self::Declare { minutes, reason } => {
                let request = v1::DeclareEmergencyRequest {
                    minutes,
                    reason,
                    request_id,
                };
                session.carry(request, Client::declare_emergency).await?
            }
            Self::End { emergency, reason } => {
                let name = match emergency {
                    Some(name) => name,
                    None => running(session).await?,
                };
                let request = v1::EndEmergencyRequest {
                    name,
                    reason,
                    request_id,
                };
                session.carry(request, Client::end_emergency).await?
            }
            Self::Review {
                emergency,
                findings,
            } => {
                let request = v1::ReviewEmergencyRequest {
                    name: emergency,
                    findings,
                    request_id,
                };
                session.carry(request, Client::review_emergency).await?
            }
            Self::List => return list(session).await,
        };
        session.screen.show(&moved, fields)
    }
}

/// The one under way.
async fn running(session: &Session) -> Result<String, Error> {
    let request = v1::GetDeploymentRequest {};
    let here = session.client.get_deployment(request).await?;
    if here.emergency.is_empty() {
        return Err(Error::new(Kind::NotFound, "no emergency is under way"));
    }
    Ok(here.emergency)
}

async fn list(session: &Session) -> Result<(), Error> {
    let request = v1::ListEmergenciesRequest {};
    let answer = session.client.list_emergencies(request).await?;
    if answer.emergencies.is_empty() {
        session.screen.remark("no emergency was ever declared here");
    }
    session.screen.show(&answer, |answer| {
        let header = [
            "EMERGENCY",
            "STATE",
            "FROM",
            "UNTIL",
            "BY",
            "REASON",
            "FINDINGS",
        ];
        Table::columns(header).rows(answer.emergencies.iter().map(|emergency| {
            let until = emergency.ended_time.as_ref();
            [
                name::short(&emergency.name),
                state(emergency).to_owned(),
                time(emergency.start_time.as_ref()),
                time(until.or(emergency.end_time.as_ref())),
                emergency.declarer.clone(),
                visible(&emergency.reason),
                visible(&emergency.findings),
            ]
        }))
    })
}

fn state(emergency: &v1::Emergency) -> &'static str {
    if emergency.running {
        "RUNNING"
    } else if emergency.review_time.is_none() {
        "to be reviewed"
    } else {
        "reviewed"
    }
}

fn fields(emergency: &v1::Emergency) -> Table {
    let said = |time: Option<&prost_types::Timestamp>, who: &str, what: &str| match time {
        Some(_) => format!(
            "{} by {}: {}",
            time_and_age(time),
            person(who),
            visible(what)
        ),
        None => String::new(),
    };
    Table::fields([
        ("name", emergency.name.clone()),
        ("running", yes(emergency.running)),
        ("declared by", emergency.declarer.clone()),
        ("approved by", emergency.approvers.join(", ")),
        ("reason", visible(&emergency.reason)),
        ("from", time_and_age(emergency.start_time.as_ref())),
        ("until", time_and_age(emergency.end_time.as_ref())),
        (
            "ended",
            said(
                emergency.ended_time.as_ref(),
                &emergency.ended_actor,
                &emergency.ended_reason,
            ),
        ),
        (
            "reviewed",
            said(
                emergency.review_time.as_ref(),
                &emergency.reviewer,
                &emergency.findings,
            ),
        ),
        ("etag", emergency.etag.clone()),
    ])
}
