//! `kms pseudonym renew translate`: from a CSV file to a sealed table, part by part. Memory is
//! bounded by the messages under way, whatever the size of the file. A part that is sealed is not
//! translated again.

use super::of;
use super::passing::Passing;
use super::source::{From, MOST, Rows, Source};
use super::table::{TranslationTable, envelopes};
use crate::progress;
use crate::session::Session;
use clap::Args;
use kms_client::{Backoff, Error, Kind, name};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::time::timeout;

#[derive(Debug, Args)]
pub(crate) struct Translate {
    #[command(flatten)]
    from: From,
    /// The edge, for example warehouse/link.
    #[arg(long, value_parser = name::edge)]
    edge: String,
    /// The directory of the table: only sealed parts are written there.
    #[arg(long, value_name = "DIRECTORY")]
    table: PathBuf,
    /// Rows in one message and one part, at most 10,000.
    #[arg(long, value_name = "N", default_value_t = MOST, value_parser = clap::value_parser!(u64).range(1..=MOST))]
    batch: u64,
    /// How long to wait for a service that went away, before giving up.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    patience: u64,
}

impl Translate {
    pub(super) async fn run(self, session: &Session) -> Result<(), Error> {
        let renewal = of(session, self.edge.clone()).await?;
        if renewal.table_key.is_empty() || renewal.finished.is_some() {
            let sentence = format!("no renewal campaign of {} runs", name::short(&self.edge));
            return Err(Error::new(Kind::State, sentence));
        }
        let rows = self.from.rows(renewal.mode())?;
        if rows == 0 {
            let sentence = "the file has no rows: there is nothing to translate";
            return Err(Error::new(Kind::Invalid, sentence));
        }
        let mut table = TranslationTable::begin(&self.table, &renewal, (rows, self.batch))?;
        let mut source = self.from.open(renewal.mode())?;
        let mut passing = Passing::of(session, &table.label, self.patience);
        if table.label.rows != rows || !self.reached(&table, &mut source, &mut passing).await? {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "{} was not made from {}; name another table, or remove it",
                    self.table.display(),
                    self.from.file.display()
                ),
            ));
        }
        let begun = table.rows();
        self.rest(session, &mut table, source, passing).await?;
        let place = self.table.display();
        if session.screen.is_json() {
            let told = json!({ "table": self.table, "rows": rows, "resumed": begun });
            return session.screen.json(&told);
        }
        let more = match begun {
            0 => String::new(),
            begun => format!(", {begun} of them by an earlier run"),
        };
        session
            .screen
            .line(&format!("{place}: {rows} rows translated{more}"))
    }

    /// Reads over what an earlier run sealed; whether it was made from this file, by its last part.
    async fn reached(
        &self,
        table: &TranslationTable,
        source: &mut Source,
        passing: &mut Passing,
    ) -> Result<bool, Error> {
        let Some((last, before)) = table.parts.split_last() else {
            return Ok(true);
        };
        for part in before {
            source.next(part.rows)?;
        }
        let rows = source.next(last.rows)?;
        if rows.count() != last.rows {
            return Ok(false);
        }
        passing.ask(rows)?;
        match passing.next().await {
            Ok(passed) => Ok(passed.is_some_and(|passed| last.is(&passed.pairs))),
            // Other identifiers at this place of the run.
            Err(error) if error.kind() == Kind::Invalid => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Translates what is not in the table yet.
    async fn rest(
        &self,
        session: &Session,
        table: &mut TranslationTable,
        source: Source,
        mut passing: Passing,
    ) -> Result<(), Error> {
        // As patient as the stream: the data key of a part comes from the same service.
        let backoff = Backoff {
            attempts: u32::MAX,
            ..Backoff::default()
        };
        let envelopes = envelopes(&session.client.clone().with_backoff(backoff));
        let bar = progress::lines(table.label.rows, table.rows());
        let mut read = read(source, table.label.batch);
        let mut ended = false;
        loop {
            while !ended && passing.has_room() {
                let next = match read.try_recv() {
                    Err(TryRecvError::Empty) if passing.is_idle() => read.recv().await,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => None,
                    Ok(next) => Some(next),
                };
                match next {
                    Some(rows) => passing.ask(rows?)?,
                    None => ended = true,
                }
            }
            match passing.next().await? {
                Some(passed) => {
                    let sealed = table.add(&envelopes, passed.pairs, passed.rows);
                    let sealed = timeout(Duration::from_secs(self.patience), sealed).await;
                    sealed.unwrap_or_else(|_late| {
                        let sentence =
                            "the service was away for too long; the same command goes on";
                        Err(Error::new(Kind::Unavailable, sentence))
                    })?;
                    bar.set_position(table.rows());
                }
                None if ended => break,
                None => {}
            }
        }
        bar.finish_and_clear();
        if table.rows() == table.label.rows {
            Ok(())
        } else {
            let sentence = "the file was changed while it was read; begin another table";
            Err(Error::new(Kind::Invalid, sentence))
        }
    }
}

/// Reads on a thread of its own, until the end or until nobody listens.
fn read(mut source: Source, size: u64) -> mpsc::Receiver<Result<Rows, Error>> {
    let (sender, receiver) = mpsc::channel(1);
    // It ends when the receiver is dropped; what goes wrong with it, it sends.
    drop(tokio::task::spawn_blocking(move || {
        loop {
            let rows = source.next(size);
            let end = rows.as_ref().is_ok_and(|rows| rows.lines.is_empty());
            let last = rows.is_err();
            if end || sender.blocking_send(rows).is_err() || last {
                return;
            }
        }
    }));
    receiver
}
