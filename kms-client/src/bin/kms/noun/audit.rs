//! `kms audit`.

use crate::authority::Authorities;
use crate::progress;
use crate::session::Session;
use crate::table::{Table, person};
use crate::verify::Verifier;
use clap::{Args, Subcommand, ValueEnum};
use kms_client::{Error, Kind, Output, v1};
use kms_core::command::LogName;
use kms_core::record::{Detail, Record, Settled};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List records of a log.
    #[command(after_help = "Examples:
  kms audit list
  kms audit list --log uses --from 1200 --limit 50
  kms audit list -o json")]
    List(List),
    /// Show one record, as it was written.
    #[command(after_help = "Examples:\n  kms audit show 42\n  kms audit show 1200 --log uses")]
    Show {
        /// Its index in the log.
        index: u64,
        /// Of which log.
        #[arg(long, value_enum, default_value = "changes")]
        log: Log,
    },
    /// Verify both logs from end to end: no gap, every record readable, every intention settled,
    /// every approval signed by the custodian whom it names.
    #[command(after_help = "Examples:
  kms --context auditor audit verify
  kms --context auditor audit verify --client-ca pki/ca.pem --client-ca pki/ca-2024.pem")]
    Verify {
        /// An authority that clients' certificates came from, PEM; may be given several times. Then
        /// each custodian's certificate must have been issued by one, and valid, when it was used.
        #[arg(long, value_name = "FILE")]
        client_ca: Vec<PathBuf>,
    },
    /// Write a log to a file, one JSON record a line.
    #[command(after_help = "Examples:\n  kms audit export --log changes -O changes.jsonl")]
    Export {
        /// Which log.
        #[arg(long, value_enum)]
        log: Log,
        /// Where to; `-` is the standard output.
        #[arg(short = 'O', long, value_name = "OUT")]
        output: PathBuf,
        /// Replace the output if it exists.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Which log.
    #[arg(long, value_enum, default_value = "changes")]
    log: Log,
    /// The first index to show; by default the last records are shown.
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// How many to show at most.
    #[arg(long, value_name = "N", default_value = "20")]
    #[arg(value_parser = clap::value_parser!(i32).range(1..=1000))]
    limit: i32,
}

/// A log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Log {
    /// Keys, spaces, documents.
    Changes,
    /// Uses, reads and refusals.
    Uses,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::List(asked) => asked.run(session).await,
            Self::Show { index, log } => show(session, log, index).await,
            Self::Verify { client_ca } => {
                let known = (!client_ca.is_empty()).then(|| Authorities::read(&client_ca));
                verify(session, known.transpose()?.as_ref()).await
            }
            Self::Export { log, output, force } => export(session, log, &output, force).await,
        }
    }
}

impl List {
    async fn run(self, session: &Session) -> Result<(), Error> {
        let from = match self.from {
            Some(from) => from,
            None => {
                let limit = u64::try_from(self.limit).unwrap_or_default();
                size(session, self.log).await?.saturating_sub(limit)
            }
        };
        let answer = page(session, self.log, from, self.limit).await?;
        if session.screen.is_json() {
            let entries = answer
                .entries
                .iter()
                .map(written)
                .collect::<Result<Vec<_>, _>>()?;
            return session
                .screen
                .json(&json!({ "entries": entries, "next": answer.next.to_string() }));
        }
        let mut table = Table::columns(["INDEX", "TIME", "WHO", "ACTION", "ON", "WHAT"]);
        for entry in &answer.entries {
            table.row(row(entry)?);
        }
        session.screen.line(&table.to_string())
    }
}

async fn show(session: &Session, log: Log, index: u64) -> Result<(), Error> {
    let answer = page(session, log, index, 1).await?;
    let entry = answer
        .entries
        .first()
        .filter(|entry| entry.index == index)
        .ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("the {} log has no record {index}", log.word()),
            )
        })?;
    session.screen.json(&written(entry)?)
}

async fn verify(session: &Session, authorities: Option<&Authorities>) -> Result<(), Error> {
    let mut told = Vec::new();
    let mut approvals = 0;
    for log in [Log::Changes, Log::Uses] {
        let size = size(session, log).await?;
        let bar = progress::steps(usize::try_from(size).unwrap_or(usize::MAX));
        let mut verifier = Verifier::new(log);
        walk(session, log, 0, size, |entry| {
            bar.inc(1);
            verifier.next(entry)
        })
        .await?;
        for _ in 0..LOOKS {
            if !verifier.is_open() {
                break;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
            let from = verifier.count();
            walk(session, log, from, from + 1, |entry| verifier.next(entry)).await?;
        }
        bar.finish_and_clear();
        let open = verifier.end(size)?;
        for approval in verifier.approvals() {
            authorities.map_or(Ok(()), |known| known.vouch(approval))?;
            approvals += 1;
        }
        told.push((log, verifier.count(), open));
    }
    if session.screen.is_json() {
        let logs: Vec<_> = told
            .iter()
            .map(|(log, size, open)| {
                let open = open.map(|index| index.to_string());
                json!({ "log": log.word(), "size": size.to_string(), "open": open })
            })
            .collect();
        return session.screen.json(&json!({
            "verified": true,
            "logs": logs,
            "approvals": approvals,
            "authoritiesVouched": authorities.is_some(),
        }));
    }
    let rows = told.iter().map(|(log, size, open)| {
        let found = match (log, open) {
            (Log::Changes, None) => "no gap, every record readable, every intention settled".into(),
            (Log::Changes, Some(index)) => format!(
                "no gap, every record readable; the last change, record {index}, waits for the HSM"
            ),
            (Log::Uses, _) => "no gap, every record readable".into(),
        };
        [log.word().to_owned(), size.to_string(), found]
    });
    session.screen.line(
        &Table::columns(["LOG", "RECORDS", "VERIFIED"])
            .rows(rows)
            .to_string(),
    )?;
    session.screen.line(&match (approvals, authorities) {
        (0, _) => "no approvals".to_owned(),
        (count, None) => format!(
            "{count} approvals: each is signed by the certificate that it names (who issued the \
             certificates was not asked: --client-ca)"
        ),
        (count, Some(_)) => format!(
            "{count} approvals: each is signed by the certificate that it names, and an authority \
             vouched for that at the time"
        ),
    })
}

/// How often, and how far apart, the outcome of a change under way is looked for.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

async fn export(session: &Session, log: Log, path: &Path, force: bool) -> Result<(), Error> {
    let mut output = if path == Path::new("-") {
        Output::standard()
    } else {
        Output::file(path, force)?
    };
    let size = size(session, log).await?;
    let bar = progress::steps(usize::try_from(size).unwrap_or(usize::MAX));
    let mut written = 0;
    walk(session, log, 0, size, |entry| {
        bar.inc(1);
        written += 1;
        output
            .write_all(&entry.entry)
            .and_then(|()| output.write_all(b"\n"))
            .map_err(|e| Error::file("write the records", &e))
    })
    .await?;
    output.commit()?;
    bar.finish_and_clear();
    let log = log.word();
    session.screen.remark(&if written == size {
        format!("{size} records of the {log} log")
    } else {
        format!("{written} of {size} records of the {log} log; the others are not yours to see")
    });
    Ok(())
}

/// Every record of a log in order, from one index up to another, which is left out.
pub(super) async fn walk(
    session: &Session,
    log: Log,
    mut from: u64,
    end: u64,
    mut each: impl FnMut(&v1::Entry) -> Result<(), Error>,
) -> Result<(), Error> {
    while from < end {
        let answer = page(session, log, from, PAGE).await?;
        for entry in answer.entries.iter().filter(|entry| entry.index < end) {
            each(entry)?;
        }
        if answer.next <= from {
            break;
        }
        from = answer.next;
    }
    Ok(())
}

const PAGE: i32 = 1_000;

async fn page(
    session: &Session,
    log: Log,
    from: u64,
    page_size: i32,
) -> Result<v1::ListEntriesResponse, Error> {
    let log = v1::Log::from(log).into();
    session
        .client
        .list_entries(v1::ListEntriesRequest {
            log,
            from,
            page_size,
        })
        .await
}

pub(super) async fn size(session: &Session, log: Log) -> Result<u64, Error> {
    let answer = session.client.get_logs(v1::GetLogsRequest {}).await?;
    let asked = v1::Log::from(log);
    Ok(answer
        .logs
        .iter()
        .find(|state| state.log() == asked)
        .map_or(0, |state| state.size))
}

/// As it was written.
fn written(entry: &v1::Entry) -> Result<Value, Error> {
    serde_json::from_slice(&entry.entry).map_err(|e| {
        Error::new(
            Kind::Invalid,
            format!("record {} is not JSON: {e}", entry.index),
        )
    })
}

/// One line of a list.
fn row(entry: &v1::Entry) -> Result<[String; 6], Error> {
    let record = Record::decode(&entry.entry).map_err(|e| {
        let why = e.cause().unwrap_or(e.message());
        Error::new(
            Kind::Invalid,
            format!("record {} cannot be read: {why}", entry.index),
        )
    })?;
    let time = i64::try_from(record.time().0)
        .ok()
        .and_then(|milliseconds| jiff::Timestamp::from_millisecond(milliseconds).ok())
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default();
    let what = match (record.detail(), record.error()) {
        (_, Some((word, _))) => word.to_owned(),
        (Detail::Intention(_), None) => "intended".to_owned(),
        (Detail::Outcome(outcome), None) => match &outcome.settled {
            Settled::Committed { .. } => format!("done ({})", outcome.intention),
            Settled::Abandoned { left, .. } if left.is_empty() => {
                format!("abandoned ({})", outcome.intention)
            }
            Settled::Abandoned { .. } => {
                format!("abandoned ({}), its number burnt", outcome.intention)
            }
        },
        (Detail::Use(counts), None) if counts.items > 1 => format!("{} items", counts.items),
        (Detail::Use(_), None) => "done".to_owned(),
    };
    let resource = record
        .resource()
        .map(|(_, name)| name.to_owned())
        .unwrap_or_default();
    let actor = person(record.actor()).to_owned();
    let operation = record.operation().to_owned();
    Ok([
        entry.index.to_string(),
        time,
        actor,
        operation,
        resource,
        what,
    ])
}

impl Log {
    /// Its name, as records give it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Changes => LogName::Changes.name(),
            Self::Uses => LogName::Uses.name(),
        }
    }
}

impl From<Log> for v1::Log {
    fn from(log: Log) -> Self {
        match log {
            Log::Changes => Self::Changes,
            Log::Uses => Self::Uses,
        }
    }
}
