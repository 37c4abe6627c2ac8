//! Lines that have no pseudonym, in a file of their own: which line, which column and why, never
//! what stood there.

use super::column::Column;
use super::evaluation::Answer;
use kms_client::{Error, Kind, Output, v1};
use std::path::{Path, PathBuf};
use v1::pseudonymise_response::result::Result as Told;

/// The side file. It is begun with the first such line.
#[derive(Debug)]
pub(super) struct Rejected {
    /// Without one, a rejected line ends the run.
    path: Option<PathBuf>,
    force: bool,
    writer: Option<csv::Writer<Output>>,
    pub(super) lines: u64,
}

impl Rejected {
    pub(super) fn new(path: Option<PathBuf>, force: bool) -> Self {
        Self {
            path,
            force,
            writer: None,
            lines: 0,
        }
    }

    /// The pseudonyms of a row, one for each column; nothing when one of them was rejected.
    pub(super) fn pseudonyms<'a>(
        &mut self,
        row: usize,
        line: u64,
        columns: &[Column],
        answers: &'a [Answer],
    ) -> Result<Option<Vec<&'a str>>, Error> {
        let mut pseudonyms = Vec::with_capacity(columns.len());
        let mut whole = true;
        for (column, answer) in columns.iter().zip(answers) {
            match answer
                .results
                .get(row)
                .and_then(|item| item.result.as_ref())
            {
                Some(Told::Pseudonym(pseudonym)) => pseudonyms.push(pseudonym.as_str()),
                Some(Told::Error(error)) => {
                    whole = false;
                    self.add(line, column.name(), &error.message)?;
                }
                None => return Err(Error::new(Kind::Internal, "a row has no result")),
            }
        }
        if whole {
            return Ok(Some(pseudonyms));
        }
        self.lines += 1;
        Ok(None)
    }

    /// Names the file. What an earlier run left there is gone.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        let Some(writer) = self.writer.take() else {
            return match &self.path {
                Some(path) if self.force => removed(path),
                Some(_) | None => Ok(()),
            };
        };
        let output = writer
            .into_inner()
            .map_err(|e| Error::file("write the rejected lines", e.error()))?;
        output.commit()
    }

    /// What is to be said in the end.
    pub(super) fn told(&self, all: u64) -> Result<(), Error> {
        let Some(path) = self.path.as_ref().filter(|_| self.lines > 0) else {
            return Ok(());
        };
        let (lines, path) = (self.lines, path.display());
        Err(Error::new(
            Kind::Rejected,
            format!("{lines} of {all} lines are rejected and left out; {path} says which and why"),
        ))
    }

    fn add(&mut self, line: u64, column: &str, reason: &str) -> Result<(), Error> {
        let Some(path) = &self.path else {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "line {line}, column {column:?}: {reason}; say with --rejected where such lines \
                     are to be listed"
                ),
            ));
        };
        let unwritten =
            |e: csv::Error| Error::new(Kind::Io, format!("cannot write the rejected lines: {e}"));
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let mut writer = csv::Writer::from_writer(Output::file(path, self.force)?);
                writer
                    .write_record(["line", "column", "reason"])
                    .map_err(unwritten)?;
                none.insert(writer)
            }
        };
        writer
            .write_record([line.to_string().as_str(), column, reason])
            .map_err(unwritten)
    }
}

/// Removes what is there.
pub(super) fn removed(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file(&format!("remove {}", path.display()), &e))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
