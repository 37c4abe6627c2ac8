//! `kms ceremony confirm`.

use super::minutes::Minutes;
use crate::noun::audit::{Log, size, walk};
use crate::progress;
use crate::session::Session;
use crate::table::Table;
use clap::Args;
use kms_client::{Error, Kind, v1};
use kms_core::record::{Detail, Record, Settled};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Confirm {
    /// The minutes.
    minutes: PathBuf,
}

/// The import of a wrapped key, as the log has it.
struct Import {
    record: u64,
    done: bool,
    time: String,
    who: String,
    version: String,
    wrapper: String,
}

impl Confirm {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        let minutes = Minutes::read(&self.minutes)?;
        let invalid = |sentence: String| Err(Error::new(Kind::Invalid, sentence));
        let shown = self.minutes.display();
        if minutes.combined.is_empty() {
            return invalid(format!("by {shown} the key was never combined"));
        }
        let found = imports(session).await?;
        let mut table = Table::columns(["COMBINED", "HOLDERS", "IMPORTED", "BY", "AS", "RECORD"]);
        let mut told = Vec::new();
        for combined in &minutes.combined {
            let digest = &combined.wrapped_sha256;
            let Some(import) = found.get(digest).filter(|import| import.done) else {
                let sentence = format!(
                    "NOT CONFIRMED: no import of what was wrapped on {} (SHA-256 {digest}) is in the \
                     changes log",
                    combined.at
                );
                return Err(Error::new(Kind::NotFound, sentence));
            };
            let into = import.version.rsplit_once("/versions/");
            if into.map(|(key, _)| key) != Some(&combined.key) || import.wrapper != combined.wrapper
            {
                return invalid(format!(
                    "NOT CONFIRMED: what was wrapped on {} for {} under {} came in as {} under {}",
                    combined.at, combined.key, combined.wrapper, import.version, import.wrapper
                ));
            }
            let names: Vec<&str> = combined.holders.iter().map(|h| h.name.as_str()).collect();
            told.push(json!({
                "combined": combined.at,
                "holders": names,
                "imported": import.time,
                "by": import.who,
                "version": import.version,
                "record": import.record,
            }));
            table.row([
                combined.at.clone(),
                names.join(", "),
                import.time.clone(),
                import.who.clone(),
                kms_client::name::short(&import.version),
                import.record.to_string(),
            ]);
        }
        if session.screen.is_json() {
            return session.screen.json(&json!({ "confirmed": told }));
        }
        session.screen.line(&table.to_string())?;
        session.screen.line(
            "\nconfirmed: each time the wrapped key of the minutes came in, for the key and under the \
             version that they name",
        )
    }
}

/// Every import of the changes log, by the SHA-256 of what was handed in.
async fn imports(session: &Session) -> Result<BTreeMap<String, Import>, Error> {
    let mut found = BTreeMap::new();
    let mut intended: BTreeMap<u64, String> = BTreeMap::new();
    let end = size(session, Log::Changes).await?;
    let bar = progress::steps(usize::try_from(end).unwrap_or(usize::MAX));
    walk(session, Log::Changes, 0, end, |entry| {
        bar.inc(1);
        let record = decoded(entry)?;
        match record.detail() {
            Detail::Intention(intention) => {
                let versions = intention.plan.writes.iter();
                let versions = versions.filter_map(|write| write.value.as_version());
                for version in versions {
                    let Some(imported) = &version.imported else {
                        continue;
                    };
                    // A later write of the same version is no import.
                    let Some(digest) = imported.sha256.clone() else {
                        continue;
                    };
                    if found.contains_key(&digest) {
                        continue;
                    }
                    intended.insert(entry.index, digest.clone());
                    let import = Import {
                        record: entry.index,
                        done: false,
                        time: time(&record),
                        who: imported.by.clone().unwrap_or_default(),
                        version: version.name.to_string(),
                        wrapper: imported.wrapping.to_string(),
                    };
                    found.insert(digest, import);
                }
            }
            Detail::Outcome(outcome) => {
                let Some(digest) = intended.remove(&outcome.intention) else {
                    return Ok(());
                };
                match &outcome.settled {
                    Settled::Committed { .. } => {
                        if let Some(import) = found.get_mut(&digest) {
                            import.done = true;
                        }
                    }
                    Settled::Abandoned { .. } => {
                        found.remove(&digest);
                    }
                }
            }
            Detail::Use(_) => {}
        }
        Ok(())
    })
    .await?;
    bar.finish_and_clear();
    Ok(found)
}

fn decoded(entry: &v1::Entry) -> Result<Record, Error> {
    Record::decode(&entry.entry).map_err(|e| {
        let why = e.cause().unwrap_or(e.message());
        let sentence = format!("record {} cannot be read: {why}", entry.index);
        Error::new(Kind::Invalid, sentence)
    })
}

fn time(record: &Record) -> String {
    let milliseconds = i64::try_from(record.time().0).ok();
    let at = milliseconds.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map(|at| format!("{at:.0}")).unwrap_or_default()
}
