//! `kms rotation`.

use super::Move;
use crate::lifecycle::{Length, length};
use crate::session::Session;
use crate::table::{Table, in_how_long, thing, time, word};
use clap::{Args, Subcommand};
use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};
use kms_client::{Client, Error, Kind, name, v1};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// What is due, and what will be within a month: what the service does by itself, and what
    /// people must.
    #[command(after_help = "Examples:
  kms rotation due
  kms rotation due --within 7d
  kms rotation due --people -o json")]
    Due {
        /// How far to look.
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = length)]
        within: Length,
        /// Only what people must do.
        #[arg(long)]
        people: bool,
    },
    /// What happens when, month by month, for the next twelve.
    #[command(
        after_help = "Examples:\n  kms rotation calendar\n  kms rotation calendar --months 3"
    )]
    Calendar {
        /// For how many months.
        #[arg(long, value_name = "COUNT", default_value = "12")]
        #[arg(value_parser = clap::value_parser!(u8).range(1..=120))]
        months: u8,
    },
    /// Let compromised versions decrypt, for re-wrapping alone; a custodian approves.
    #[command(after_help = "Examples:
  kms rotation start-rewrap ingest-lyon/object --version 2 --reason \"incident 43\" --wait
  kms rewrap /srv/lyon/*.kms
  kms rotation finish-rewrap ingest-lyon/object --reason \"all of it is moved\"")]
    StartRewrap(StartRewrap),
    /// End a re-wrap campaign: the compromised versions open nothing any more.
    #[command(
        after_help = "Examples:\n  kms rotation finish-rewrap ingest-lyon/object --reason \"all of it is moved\""
    )]
    FinishRewrap {
        /// For example ingest-lyon/object.
        #[arg(value_parser = name::key)]
        key: String,
        #[command(flatten)]
        moving: Move,
    },
}

#[derive(Debug, Args)]
pub(crate) struct StartRewrap {
    /// For example ingest-lyon/object.
    #[arg(value_parser = name::key)]
    key: String,
    /// A compromised version, by its number; may be given several times.
    #[arg(long = "version", value_name = "NUMBER", required = true)]
    versions: Vec<u32>,
    /// For how long at the most; 90 days are the longest.
    #[arg(long = "for", value_name = "TIME", default_value = "30d", value_parser = length)]
    lasting: Length,
    #[command(flatten)]
    moving: Move,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::Due { within, people } => due(session, within, people).await,
            Self::Calendar { months } => calendar(session, months).await,
            Self::StartRewrap(asked) => {
                let versions = asked.versions.iter();
                let request = v1::StartRewrapRequest {
                    versions: versions
                        .map(|number| format!("{}/versions/{number}", asked.key))
                        .collect(),
                    name: asked.key,
                    etag: asked.moving.etag,
                    lasting: Some(asked.lasting.message()),
                    reason: asked.moving.reason,
                    request_id: asked.moving.once.request_id,
                };
                let key = session.carry(request, Client::start_rewrap).await?;
                session.screen.show(&key, super::key::fields)
            }
            Self::FinishRewrap { key, moving } => {
                let request = v1::FinishRewrapRequest {
                    name: key,
                    etag: moving.etag,
                    reason: moving.reason,
                    request_id: moving.once.request_id,
                };
                let key = session.carry(request, Client::finish_rewrap).await?;
                session.screen.show(&key, super::key::fields)
            }
        }
    }
}

async fn due(session: &Session, within: Length, people: bool) -> Result<(), Error> {
    let request = v1::ListDueRequest {
        horizon: Some(within.message()),
    };
    let mut answer = session.client.list_due(request).await?;
    answer.due.retain(|due| !(people && due.automatic));
    session.screen.show(&answer, |answer| {
        Table::columns(["WHEN", "WHAT", "ON", "BY", "WHY"]).rows(answer.due.iter().map(|due| {
            [
                when(due, answer.time.as_ref()),
                word(due.task().as_str_name()),
                thing(&due.resource),
                by(due),
                due.reason.clone(),
            ]
        }))
    })?;
    if !session.screen.is_json() && answer.due.is_empty() {
        session.screen.remark("nothing is due by then");
    }
    Ok(())
}

/// `due now`, or the day and how long until then.
fn when(due: &v1::Due, now: Option<&prost_types::Timestamp>) -> String {
    let (at, now) = (due.time.as_ref(), now.map_or(0, |now| now.seconds));
    if at.is_some_and(|at| at.seconds <= now) {
        return "now".to_owned();
    }
    format!("{} ({})", day(at), in_how_long(at))
}

fn by(due: &v1::Due) -> String {
    if !due.proposal.is_empty() {
        return format!("a custodian approves {}", name::short(&due.proposal));
    }
    match (due.automatic, due.task()) {
        (true, v1::Task::Destroy | v1::Task::Erase) => "the service, once approved".to_owned(),
        (true, _) => "the service".to_owned(),
        (false, _) => "people".to_owned(),
    }
}

fn day(at: Option<&prost_types::Timestamp>) -> String {
    time(at).split('T').next().unwrap_or_default().to_owned()
}

async fn calendar(session: &Session, months: u8) -> Result<(), Error> {
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let until = end_of(&now, months)?;
    let request = v1::ListDueRequest {
        horizon: Some(prost_types::Duration {
            seconds: until.timestamp().duration_since(now.timestamp()).as_secs(),
            nanos: 0,
        }),
    };
    let answer = session.client.list_due(request).await?;
    session.screen.show(&answer, |answer| {
        let mut table = Table::columns(["DAY", "WHAT", "HOW MANY", "ON"]);
        for (day, task, on) in days(&answer.due) {
            let count = on.len().to_string();
            table.row([day, task, count, few(&on)]);
        }
        table
    })
}

/// The last moment of so many months from now.
fn end_of(now: &Zoned, months: u8) -> Result<Zoned, Error> {
    now.checked_add(i64::from(months).months())
        .map_err(|e| Error::new(Kind::Usage, format!("--months: {e}")))
}

/// What is alike on one day, together.
fn days(due: &[v1::Due]) -> Vec<(String, String, Vec<String>)> {
    let mut days: Vec<(String, String, Vec<String>)> = Vec::new();
    for one in due {
        let (day, task) = (day(one.time.as_ref()), word(one.task().as_str_name()));
        let alike =
            |(on, what, _): &&mut (String, String, Vec<String>)| *on == day && *what == task;
        match days.iter_mut().find(alike) {
            Some((_, _, on)) => on.push(thing(&one.resource)),
            None => days.push((day, task, vec![thing(&one.resource)])),
        }
    }
    days
}

/// The first few names.
fn few(on: &[String]) -> String {
    const FEW: usize = 3;
    let shown: Vec<&str> = on.iter().take(FEW).map(String::as_str).collect();
    match on.len().checked_sub(FEW) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        Some(_) | None => shown.join(", "),
    }
}
