//! `kms pseudonym renew translate`: from a CSV file to a sealed table, part by part. Memory is
//! bounded by the calls under way, whatever the size of the file. A part that is sealed is not
//! translated again.

use super::of;
use super::source::{From, Rows, Source};
use super::table::{Label, Pairs, TranslationTable, envelopes};
use crate::progress;
use crate::session::Session;
use clap::Args;
use futures::StreamExt;
use kms_client::{Client, Error, Kind, name, v1};
use serde_json::json;
use std::path::PathBuf;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use zeroize::Zeroizing;

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
    /// Rows in one call and one part, at most 10,000.
    #[arg(long, value_name = "N", default_value_t = MOST, value_parser = clap::value_parser!(u64).range(1..=MOST))]
    batch: u64,
}

/// The most that one call takes.
const MOST: u64 = 10_000;

/// Calls under way at once: enough to hide the way to the service and back.
const UNDER_WAY: usize = 4;

impl Translate {
    pub(super) async fn run(self, session: &Session) -> Result<(), Error> {
        let renewal = of(session, self.edge.clone()).await?;
        if renewal.table_key.is_empty() || renewal.finished.is_some() {
            let sentence = format!("no renewal campaign of {} runs", name::short(&self.edge));
            return Err(Error::new(Kind::State, sentence));
        }
        let envelopes = envelopes(&session.client);
        let mut table = TranslationTable::begin(&self.table, Label::of(&renewal))?;
        let mut source = self.from.open(renewal.mode())?;
        self.skip(session, &table, &mut source).await?;
        let begun = table.rows();
        let bar = progress::waiting();
        let (sender, receiver) = mpsc::channel(1);
        let size = self.batch;
        let reading = tokio::task::spawn_blocking(move || read(source, size, &sender));
        // Each call goes on by itself while a part is sealed: what is not read of an answer would hold
        // up the connection on which the data key of that part comes.
        let mut answers = ReceiverStream::new(receiver)
            .map(|rows| {
                let (client, edge) = (session.client.clone(), self.edge.clone());
                tokio::spawn(async move { pairs(&client, &edge, rows?).await })
            })
            .buffered(UNDER_WAY);
        while let Some(answer) = answers.next().await {
            let (pairs, rows) = answer
                .map_err(|e| Error::new(Kind::Internal, format!("a call broke off: {e}")))??;
            table.add(&envelopes, pairs, rows).await?;
            bar.set_message(format!("{} rows translated", table.rows()));
        }
        drop(answers);
        reading
            .await
            .map_err(|e| Error::new(Kind::Internal, format!("reading the file broke off: {e}")))?;
        bar.finish_and_clear();
        let (rows, place) = (table.rows(), self.table.display());
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

    /// Reads over what an earlier run sealed, and makes sure, by the last part of it, that it was
    /// made from this file.
    async fn skip(
        &self,
        session: &Session,
        table: &TranslationTable,
        source: &mut Source,
    ) -> Result<(), Error> {
        let mut parts = table.parts.iter().peekable();
        while let Some(part) = parts.next() {
            let rows = source.next(part.rows)?;
            let same = if parts.peek().is_some() {
                count(&rows) == part.rows
            } else {
                count(&rows) == part.rows
                    && part.is(&pairs(&session.client, &self.edge, rows).await?.0)
            };
            if !same {
                return Err(Error::new(
                    Kind::Invalid,
                    format!(
                        "{} was not made from {}; name another table, or remove it",
                        self.table.display(),
                        self.from.file.display()
                    ),
                ));
            }
        }
        Ok(())
    }
}

pub(super) fn count(rows: &Rows) -> u64 {
    u64::try_from(rows.lines.len()).unwrap_or(u64::MAX)
}

fn read(mut source: Source, size: u64, sender: &mpsc::Sender<Result<Rows, Error>>) {
    loop {
        let rows = source.next(size);
        let end = rows.as_ref().map_or(true, |rows| rows.lines.is_empty());
        let send = rows.is_err() || !end;
        // Whoever listened may have failed already.
        if send && sender.blocking_send(rows).is_err() || end {
            return;
        }
    }
}

/// One call: the rows of a part, and how many.
pub(super) async fn pairs(client: &Client, edge: &str, rows: Rows) -> Result<(Pairs, u64), Error> {
    use v1::translate_response::result::Result as Answer;
    let asked = count(&rows);
    let answer = client
        .translate(v1::TranslateRequest {
            name: edge.to_owned(),
            passages: rows.passages,
        })
        .await?;
    if answer.results.len() != rows.lines.len() {
        let sentence = "the service gave another number of results than it was asked for";
        return Err(Error::new(Kind::Internal, sentence));
    }
    let mut pairs = Zeroizing::new(Vec::with_capacity(rows.lines.len() * ROW));
    for (result, line) in answer.results.into_iter().zip(rows.lines) {
        match result.result {
            Some(Answer::Pair(pair)) => {
                for part in [pair.old.as_bytes(), b",", pair.new.as_bytes(), b"\n"] {
                    pairs.extend_from_slice(part);
                }
            }
            Some(Answer::Error(error)) => {
                return Err(Error::from(error).within(format!("line {line}")));
            }
            None => return Err(Error::new(Kind::Internal, "the service gave no result")),
        }
    }
    Ok((pairs, asked))
}

/// Room for a row, so that what is secret is not moved about in memory.
const ROW: usize = 160;
