//! The CSV file that a translation is made from: who is in it, and batch by batch what is sent.

use super::super::column::fields;
use super::super::typed::typed;
use crate::noun::csv_file::{delimiter, position, unreadable};
use crate::noun::edge::Input;
use clap::Args;
use csv::{ByteRecord, Reader, ReaderBuilder};
use kms_client::{Error, Kind, v1};
use std::fs::File;
use std::path::PathBuf;

/// Which columns of which file.
#[derive(Clone, Debug, Args)]
pub(super) struct From {
    /// The CSV file, with a header line, in UTF-8.
    pub(super) file: PathBuf,
    /// The column of what the old pseudonyms were evaluated from; in a layered campaign, of the old
    /// pseudonyms themselves. Of national identifiers three: NIR,BIRTH-DATE,SEX.
    #[arg(long, value_name = "ID")]
    column: String,
    /// The column of the parents' new pseudonyms, where the parent's edge was itself renewed.
    #[arg(long, value_name = "NEW")]
    after: Option<String>,
    /// What the columns hold; pseudonyms in a layered campaign, and with --after.
    #[arg(long, value_enum)]
    input: Option<Input>,
    /// What separates fields; one ASCII character.
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    delimiter: u8,
}

/// Some rows of the file.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// How many come before them.
    pub(super) first: u64,
    pub(super) passages: Vec<v1::Passage>,
    /// Their lines in the file.
    pub(super) lines: Vec<u64>,
}

/// The file, read from its beginning.
#[derive(Debug)]
pub(super) struct Source {
    reader: Reader<File>,
    /// One, or of national identifiers three.
    columns: Vec<usize>,
    after: Option<usize>,
    input: Input,
    read: u64,
}

impl From {
    /// Opens it, to be translated in a campaign of this mode.
    pub(super) fn open(&self, mode: v1::RenewalMode) -> Result<Source, Error> {
        let layered = mode == v1::RenewalMode::Layered;
        let pseudonyms = layered || self.after.is_some();
        let input = match (self.input, pseudonyms) {
            (Some(Input::Opaque | Input::Nir), true) => {
                return Err(Error::new(
                    Kind::Usage,
                    "old pseudonyms, and parents that have a new one, are of type pseudonym",
                ));
            }
            (Some(input), _) => input,
            (None, true) => Input::Pseudonym,
            (None, false) => Input::Opaque,
        };
        let file = File::open(&self.file)
            .map_err(|e| Error::file(&format!("read {}", self.file.display()), &e))?;
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .from_reader(file);
        let header = reader.byte_headers().map_err(|e| unreadable(&e))?.clone();
        let names = fields(&self.column, input)?;
        let columns = names.iter().map(|name| position(&header, name));
        let after = self.after.as_ref().map(|name| position(&header, name));
        Ok(Source {
            columns: columns.collect::<Result<_, _>>()?,
            reader,
            after: after.transpose()?,
            input,
            read: 0,
        })
    }

    /// How many rows it has. What is no identifier by its form is found before anything is asked.
    pub(super) fn rows(&self, mode: v1::RenewalMode) -> Result<u64, Error> {
        let mut source = self.open(mode)?;
        while source.next(MOST)?.count() > 0 {}
        Ok(source.read)
    }
}

/// The most rows that one call takes.
pub(super) const MOST: u64 = 10_000;

impl Rows {
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.lines.len()).unwrap_or(u64::MAX)
    }
}

impl Source {
    /// The next rows, so many at the most; none at the end.
    pub(super) fn next(&mut self, most: u64) -> Result<Rows, Error> {
        let mut rows = Rows {
            first: self.read,
            ..Rows::default()
        };
        let mut record = ByteRecord::new();
        while rows.count() < most
            && self
                .reader
                .read_byte_record(&mut record)
                .map_err(|e| unreadable(&e))?
        {
            let line = record.position().map_or(0, csv::Position::line);
            let before = self.identifier(&record, &self.columns, line)?;
            let after = self.after.map(|at| self.identifier(&record, &[at], line));
            rows.passages.push(v1::Passage {
                before: Some(before),
                after: after.transpose()?,
            });
            rows.lines.push(line);
        }
        self.read += rows.count();
        Ok(rows)
    }

    fn identifier(
        &self,
        record: &ByteRecord,
        columns: &[usize],
        line: u64,
    ) -> Result<v1::Identifier, Error> {
        let field = |at: &usize| {
            let text = str::from_utf8(record.get(*at).unwrap_or_default());
            text.map_err(|_bytes| {
                let wrong = "the identifier is not UTF-8; save the file in UTF-8";
                Error::new(Kind::Invalid, wrong)
            })
        };
        let texts: Result<Vec<_>, _> = columns.iter().map(field).collect();
        let made = texts.and_then(|texts| typed(self.input, &texts));
        let (_identifier, sent) = made.map_err(|e| e.within(format!("line {line}")))?;
        Ok(sent)
    }
}
