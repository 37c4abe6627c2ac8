//! `kms pseudonym map`: one column of a CSV file (RFC 4180), streamed.
//!
//! One thread reads, several calls are under way, answers are written in the order of the lines.
//! Memory is bounded by the batches under way, whatever the size of the file. The output appears
//! only if every line was pseudonymised: a file of which a part is still identifying must not look
//! like a result. What a quota cut short is kept under another name and can be gone on with.

use super::csv_batch::{Batch, delimiter, position, read, unreadable};
use super::edge::Input;
use super::pseudonym::{MOST, evaluate};
use super::pseudonym_part::{Finished, Part};
use crate::progress::{self, Counted};
use crate::session::Session;
use clap::Args;
use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use futures::StreamExt;
use kms_client::{Error, Kind, Output, name};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

#[derive(Debug, Args)]
pub(crate) struct Map {
    /// The CSV file, with a header line, in UTF-8; `-` is the standard input.
    file: PathBuf,
    /// The column whose identifiers become pseudonyms; it keeps its name and place.
    #[arg(long, value_name = "ID")]
    column: String,
    /// The edge, for example warehouse/link.
    #[arg(long, value_parser = name::edge)]
    edge: String,
    /// What the edge evaluates.
    #[arg(long, value_enum, default_value = "opaque")]
    input: Input,
    /// Where to; `-` is the standard output. By default FILE with `.pseudonymised` before its
    /// extension.
    #[arg(short = 'O', long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace the output if it exists, and begin anew what is not finished.
    #[arg(long)]
    force: bool,
    /// Go on with what an earlier run had finished (OUT.part) when the quota was used up or the
    /// service went away.
    #[arg(long)]
    resume: bool,
    /// What separates fields; one ASCII character.
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// Identifiers in one call, at most 10,000.
    #[arg(long, value_name = "N", default_value = "10000", value_parser = batch)]
    batch: usize,
}

impl Map {
    pub(super) async fn run(self, session: &Session) -> Result<(), Error> {
        let path = self.path();
        let part = (!is_standard(&path)).then(|| Part::of(&path));
        match &part {
            Some(part) => part.admit(self.resume, self.force)?,
            None if self.resume => {
                let sentence = "what went to the standard output cannot be gone on with";
                return Err(Error::new(Kind::Usage, sentence));
            }
            None => {}
        }
        let (source, bar) = self.source()?;
        let mut output = match &part {
            Some(_) => Output::file(&path, self.force)?,
            None => Output::standard(),
        };
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .from_reader(source);
        let header = reader.byte_headers().map_err(|e| unreadable(&e))?.clone();
        let column = position(&header, &self.column)?;
        let mut writer = WriterBuilder::new()
            .delimiter(self.delimiter)
            .from_writer(&mut output);
        writer
            .write_byte_record(&header)
            .map_err(|e| unwritten(&e))?;
        let mut finished = Finished::default();
        if let Some(part) = part.as_ref().filter(|_| self.resume) {
            finished = part.copy(&mut reader, column, self.delimiter, &mut writer)?;
        }
        let ended = self
            .rest(session, (reader, column), &mut writer, &mut finished)
            .await;
        writer
            .flush()
            .map_err(|e| Error::file("write the output", &e))?;
        drop(writer);
        match (ended, part) {
            (Ok(()), part) => {
                output.commit()?;
                part.map_or(Ok(()), |part| part.remove())?;
                bar.finish_and_clear();
                self.tell(session, &path, finished.lines)
            }
            // What was evaluated is not to be evaluated again: it counts.
            (Err(e), Some(part)) if matches!(e.kind(), Kind::Exhausted | Kind::Unavailable) => {
                Err(part.keep(output, &finished, e))
            }
            (Err(e), _) => Err(e),
        }
    }

    /// Pseudonymises what is left of the file.
    async fn rest(
        &self,
        session: &Session,
        (reader, column): (csv::Reader<impl Read + Send + 'static>, usize),
        writer: &mut csv::Writer<&mut Output>,
        finished: &mut Finished,
    ) -> Result<(), Error> {
        let (sender, receiver) = mpsc::channel(1);
        let size = self.batch;
        let reading = tokio::task::spawn_blocking(move || read(reader, column, size, &sender));
        let mut answers = ReceiverStream::new(receiver)
            .map(|batch| self.pseudonymised(session, batch, column))
            .buffered(UNDER_WAY);
        let mut rejected = Rejected::default();
        while let Some(answer) = answers.next().await {
            let lines = match answer {
                Ok(lines) => lines,
                // Lines to mend come first: nothing can be gone on with before.
                Err(e) => return rejected.end().and(Err(e)),
            };
            for (line, written) in lines {
                match written {
                    Ok(record) if rejected.first.is_none() => {
                        finished.add(&record, column)?;
                        writer
                            .write_byte_record(&record)
                            .map_err(|e| unwritten(&e))?;
                    }
                    Ok(_unused) => {}
                    Err(e) => rejected.add(line, e)?,
                }
            }
        }
        drop(answers);
        reading.await.map_err(|e| {
            let sentence = format!("reading {} broke off: {e}", self.file.display());
            Error::new(Kind::Internal, sentence)
        })?;
        rejected.end()
    }

    async fn pseudonymised(
        &self,
        session: &Session,
        batch: Result<Batch, Error>,
        column: usize,
    ) -> Result<Vec<(u64, Result<ByteRecord, Error>)>, Error> {
        let Batch {
            records,
            lines,
            identifiers,
        } = batch?;
        let results = evaluate(session, &self.edge, self.input, identifiers).await?;
        Ok(records
            .into_iter()
            .zip(results)
            .map(|(record, result)| result.map(|pseudonym| replaced(&record, column, &pseudonym)))
            .zip(lines)
            .map(|(record, line)| (line, record))
            .collect())
    }

    fn path(&self) -> PathBuf {
        match &self.output {
            Some(path) => path.clone(),
            None if is_standard(&self.file) => self.file.clone(),
            None => {
                let mut name = self.file.file_stem().unwrap_or_default().to_owned();
                name.push(".pseudonymised");
                if let Some(extension) = self.file.extension() {
                    name.push(".");
                    name.push(extension);
                }
                self.file.with_file_name(name)
            }
        }
    }

    fn source(&self) -> Result<(Counted<Box<dyn Read + Send>>, indicatif::ProgressBar), Error> {
        let (inner, bar): (Box<dyn Read + Send>, _) = if is_standard(&self.file) {
            (Box::new(io::stdin()), progress::bytes(None))
        } else {
            let unread = |e: io::Error| Error::file(&format!("read {}", self.file.display()), &e);
            let file = File::open(&self.file).map_err(unread)?;
            let size = file.metadata().map_err(unread)?.len();
            (Box::new(file), progress::bytes(Some(size)))
        };
        Ok((
            Counted {
                inner,
                bar: bar.clone(),
            },
            bar,
        ))
    }

    fn tell(&self, session: &Session, path: &Path, lines: u64) -> Result<(), Error> {
        if is_standard(path) {
            session
                .screen
                .remark(&format!("{lines} lines pseudonymised"));
            return Ok(());
        }
        if session.screen.is_json() {
            return session
                .screen
                .json(&json!({ "file": path, "lines": lines }));
        }
        session
            .screen
            .line(&format!("{}: {lines} lines pseudonymised", path.display()))
    }
}

/// Calls under way at once: enough to hide the way to the service and back.
const UNDER_WAY: usize = 4;
/// Lines that are rejected before the work is given up.
const MOST_REJECTED: usize = 1_000;
/// Of these, how many are named.
const NAMED: usize = 20;

fn replaced(record: &ByteRecord, column: usize, pseudonym: &str) -> ByteRecord {
    let field = |(at, field)| {
        if at == column {
            pseudonym.as_bytes()
        } else {
            field
        }
    };
    record.iter().enumerate().map(field).collect()
}

/// Lines that the service did not take, by number, never by value.
#[derive(Debug, Default)]
struct Rejected {
    lines: Vec<u64>,
    first: Option<Error>,
}

impl Rejected {
    /// Notes one; gives up where the failure is not about the line, or there are too many.
    fn add(&mut self, line: u64, error: Error) -> Result<(), Error> {
        if error.kind() != Kind::Invalid {
            return Err(error.within(format!("line {line}")));
        }
        self.lines.push(line);
        self.first.get_or_insert(error);
        if self.lines.len() >= MOST_REJECTED {
            self.end()
        } else {
            Ok(())
        }
    }

    fn end(&self) -> Result<(), Error> {
        let Some(first) = &self.first else {
            return Ok(());
        };
        let mut named: Vec<String> = self
            .lines
            .iter()
            .take(NAMED)
            .map(ToString::to_string)
            .collect();
        if self.lines.len() > NAMED {
            named.push("…".to_owned());
        }
        let lines = match self.lines.len() {
            1 => "1 line is".to_owned(),
            MOST_REJECTED => format!("{MOST_REJECTED} lines and perhaps more are"),
            count => format!("{count} lines are"),
        };
        let named = named.join(", ");
        Err(Error::new(
            Kind::Invalid,
            format!("{lines} rejected and nothing was written; mend line {named}: {first}"),
        ))
    }
}

fn unwritten(error: &csv::Error) -> Error {
    Error::new(Kind::Io, format!("cannot write the output: {error}"))
}

fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

fn batch(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|size| (1..=MOST).contains(size))
        .ok_or_else(|| format!("a number from 1 to {MOST}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn header(names: &[&str]) -> ByteRecord {
        names.iter().copied().collect()
    }

    #[test]
    fn only_the_column_is_replaced() {
        let record = header(&["a,b", "secret", "c"]);
        assert_eq!(replaced(&record, 1, "p"), header(&["a,b", "p", "c"]));
    }

    #[test]
    fn rejected_lines_are_numbered() {
        let mut rejected = Rejected::default();
        rejected.end().unwrap();
        for line in 2..40 {
            rejected
                .add(line, Error::new(Kind::Invalid, "is empty"))
                .unwrap();
        }
        let told = rejected.end().unwrap_err().to_string();
        assert!(told.starts_with("38 lines are rejected"), "{told}");
        assert!(
            told.contains("mend line 2, 3,") && told.ends_with("21, …: is empty"),
            "{told}"
        );
        let other = rejected
            .add(50, Error::new(Kind::Unavailable, "gone"))
            .unwrap_err();
        assert_eq!(other.kind(), Kind::Unavailable);
    }
}
