//! The CSV file that a translation is made from: who is in it, and batch by batch what is sent.

use super::super::column::fields;
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
        })
    }
}

impl Source {
    /// The next rows, so many at the most; none at the end.
    pub(super) fn next(&mut self, most: u64) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        let mut record = ByteRecord::new();
        let full = |rows: &Rows| u64::try_from(rows.lines.len()).unwrap_or(u64::MAX) >= most;
        while !full(&rows)
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
        Ok(rows)
    }

    fn identifier(
        &self,
        record: &ByteRecord,
        columns: &[usize],
        line: u64,
    ) -> Result<v1::Identifier, Error> {
        use v1::identifier::Identifier as I;
        let field = |number: usize| {
            let field = columns.get(number).and_then(|at| record.get(*at));
            let text = str::from_utf8(field.unwrap_or_default());
            text.map(str::to_owned).map_err(|_bytes| {
                let wrong =
                    format!("line {line}: the identifier is not UTF-8; save the file in UTF-8");
                Error::new(Kind::Invalid, wrong)
            })
        };
        let identifier = match self.input {
            Input::Nir => I::Nir(v1::Nir {
                nir: field(0)?,
                birth_date: field(1)?,
                sex: field(2)?,
            }),
            Input::Pseudonym => I::Pseudonym(field(0)?),
            Input::Opaque => I::Opaque(field(0)?),
        };
        Ok(v1::Identifier {
            identifier: Some(identifier),
        })
    }
}
