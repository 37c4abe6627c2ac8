//! `kms audit`.

use crate::progress;
use crate::session::Session;
use crate::table::Table;
use clap::{Args, Subcommand, ValueEnum};
use kms_client::{Error, Kind, Output, v1};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

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
    /// Verify both logs from end to end: no gap, every record readable, every intention settled.
    #[command(after_help = "Examples:\n  kms --context auditor audit verify")]
    Verify,
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
            Self::Verify => verify(session).await,
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
                .map(record)
                .collect::<Result<Vec<_>, _>>()?;
            return session
                .screen
                .json(&json!({ "entries": entries, "next": answer.next.to_string() }));
        }
        let mut table = Table::columns(["INDEX", "TIME", "WHO", "ACTION", "ON", "STATUS"]);
        for entry in &answer.entries {
            let read = record(entry)?;
            table.row(row(entry.index, &read));
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
    session.screen.json(&record(entry)?)
}

async fn verify(session: &Session) -> Result<(), Error> {
    let mut told = Vec::new();
    for log in [Log::Changes, Log::Uses] {
        let size = size(session, log).await?;
        let bar = progress::steps(usize::try_from(size).unwrap_or(usize::MAX));
        let mut verifier = Verifier::new(log);
        walk(session, log, size, |entry| {
            bar.inc(1);
            verifier.next(entry)
        })
        .await?;
        bar.finish_and_clear();
        verifier.end(size)?;
        told.push((log, size));
    }
    if session.screen.is_json() {
        let logs: Vec<_> = told
            .iter()
            .map(|(log, size)| json!({ "log": log.word(), "size": size.to_string() }))
            .collect();
        return session
            .screen
            .json(&json!({ "verified": true, "logs": logs }));
    }
    let rows = told.iter().map(|(log, size)| {
        [
            log.word().to_owned(),
            size.to_string(),
            "no gap, every record readable".to_owned(),
        ]
    });
    session.screen.line(
        &Table::columns(["LOG", "RECORDS", "VERIFIED"])
            .rows(rows)
            .to_string(),
    )
}

async fn export(session: &Session, log: Log, path: &Path, force: bool) -> Result<(), Error> {
    let mut output = if path == Path::new("-") {
        Output::standard()
    } else {
        Output::file(path, force)?
    };
    let size = size(session, log).await?;
    let bar = progress::steps(usize::try_from(size).unwrap_or(usize::MAX));
    walk(session, log, size, |entry| {
        bar.inc(1);
        output
            .write_all(&entry.entry)
            .and_then(|()| output.write_all(b"\n"))
            .map_err(|e| Error::file("write the records", &e))
    })
    .await?;
    output.commit()?;
    bar.finish_and_clear();
    session
        .screen
        .remark(&format!("{size} records of the {} log", log.word()));
    Ok(())
}

/// Every record of a log in order, up to the size it had when asked.
async fn walk(
    session: &Session,
    log: Log,
    size: u64,
    mut each: impl FnMut(&v1::Entry) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut from = 0;
    while from < size {
        let answer = page(session, log, from, PAGE).await?;
        for entry in answer.entries.iter().filter(|entry| entry.index < size) {
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

async fn size(session: &Session, log: Log) -> Result<u64, Error> {
    let answer = session.client.get_logs(v1::GetLogsRequest {}).await?;
    let asked = v1::Log::from(log);
    Ok(answer
        .logs
        .iter()
        .find(|state| state.log() == asked)
        .map_or(0, |state| state.size))
}

/// Judges records in order. What a record means belongs to the service's core; here is what holds
/// of any log.
#[derive(Debug)]
struct Verifier {
    log: Log,
    next: u64,
}

impl Verifier {
    fn new(log: Log) -> Self {
        Self { log, next: 0 }
    }

    fn next(&mut self, entry: &v1::Entry) -> Result<(), Error> {
        if entry.index != self.next {
            return Err(self.broken(&format!("record {} is missing", self.next)));
        }
        let read = record(entry)?;
        if read.get("class_uid") != Some(&json!(6003)) {
            return Err(self.broken(&format!("record {} is not of OCSF class 6003", entry.index)));
        }
        self.next += 1;
        Ok(())
    }

    fn end(&self, size: u64) -> Result<(), Error> {
        if self.next == size {
            Ok(())
        } else {
            Err(self.broken(&format!("it ends after {} of {size} records", self.next)))
        }
    }

    fn broken(&self, what: &str) -> Error {
        Error::new(
            Kind::Invalid,
            format!("the {} log does not verify: {what}", self.log.word()),
        )
    }
}

fn record(entry: &v1::Entry) -> Result<Value, Error> {
    serde_json::from_slice(&entry.entry).map_err(|e| {
        Error::new(
            Kind::Invalid,
            format!("record {} is not JSON: {e}", entry.index),
        )
    })
}

/// The columns of a list, from the members that OCSF API Activity gives them.
fn row(index: u64, record: &Value) -> [String; 6] {
    let text = |pointer: &str| match record.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
            other.to_string()
        }
    };
    let time = record
        .get("time")
        .and_then(Value::as_i64)
        .and_then(|milliseconds| jiff::Timestamp::from_millisecond(milliseconds).ok())
        .map(|at| at.to_string())
        .unwrap_or_default();
    [
        index.to_string(),
        time,
        text("/actor/user/uid"),
        text("/api/operation"),
        text("/resources/0/uid"),
        text("/status"),
    ]
}

impl Log {
    fn word(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Uses => "uses",
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn entry(index: u64, text: &str) -> v1::Entry {
        v1::Entry {
            index,
            entry: text.as_bytes().to_vec(),
        }
    }

    const RECORD: &str = r#"{"class_uid":6003}"#;

    #[test]
    fn a_whole_log_verifies() {
        let mut verifier = Verifier::new(Log::Changes);
        verifier.next(&entry(0, RECORD)).unwrap();
        verifier.next(&entry(1, RECORD)).unwrap();
        verifier.end(2).unwrap();
    }

    #[test]
    fn a_gap_an_end_and_a_stranger_are_noticed() {
        let told = |entries: &[v1::Entry], size: u64| {
            let mut verifier = Verifier::new(Log::Uses);
            let all = entries.iter().try_for_each(|entry| verifier.next(entry));
            all.and_then(|()| verifier.end(size))
                .unwrap_err()
                .to_string()
        };
        assert!(told(&[entry(1, RECORD)], 2).contains("record 0 is missing"));
        assert!(told(&[entry(0, RECORD)], 2).contains("ends after 1 of 2"));
        assert!(told(&[entry(0, "{}")], 1).contains("6003"));
        assert!(told(&[entry(0, "{")], 1).contains("not JSON"));
    }
}
