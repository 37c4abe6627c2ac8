//! `kms pseudonym renew apply`: the old pseudonyms of a column become the new ones. The table is
//! opened in memory alone, 40 bytes a row; the file is streamed. The output appears whole or not at
//! all.

use super::opened::{Opened, Said};
use super::table::TranslationTable;
use crate::noun::csv_file::{delimiter, position, unreadable};
use crate::session::Session;
use clap::Args;
use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use kms_client::{Error, Kind, Output};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The CSV file, with a header line, in UTF-8.
    file: PathBuf,
    /// The column whose old pseudonyms become new ones.
    #[arg(long, value_name = "COLUMN")]
    column: String,
    /// Put the new pseudonyms into a column of their own, and leave the old ones: for the renewal of
    /// an edge that evaluates them.
    #[arg(long, value_name = "COLUMN")]
    into: Option<String>,
    /// The directory of the table. It is opened in memory: 40 bytes for each of its rows.
    #[arg(long, value_name = "DIRECTORY")]
    table: PathBuf,
    /// Where to. By default FILE with `.renewed` before its extension.
    #[arg(short = 'O', long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace the output if it exists.
    #[arg(long)]
    force: bool,
    /// What separates fields; one ASCII character.
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    delimiter: u8,
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Tally {
    replaced: u64,
    already: u64,
}

impl Apply {
    pub(super) async fn run(self, session: &Session) -> Result<(), Error> {
        let path = self.path();
        let output = Output::file(&path, self.force)?;
        let table = TranslationTable::open(&self.table)?;
        let opened = Opened::of(&session.client, &table).await?;
        let (tally, output) = self.replaced(&opened, output)?;
        output.commit()?;
        let Tally { replaced, already } = tally;
        if session.screen.is_json() {
            let told = json!({ "file": path, "replaced": replaced, "already": already });
            return session.screen.json(&told);
        }
        let place = path.display();
        session.screen.line(&format!(
            "{place}: {replaced} pseudonyms replaced, {already} were new already"
        ))
    }

    fn replaced(&self, opened: &Opened, mut output: Output) -> Result<(Tally, Output), Error> {
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .from_path(&self.file)
            .map_err(|e| unreadable(&e).within(self.file.display()))?;
        let header = reader.byte_headers().map_err(|e| unreadable(&e))?.clone();
        let column = position(&header, &self.column)?;
        let mut writer = WriterBuilder::new()
            .delimiter(self.delimiter)
            .from_writer(&mut output);
        let unwritten =
            |e: csv::Error| Error::new(Kind::Io, format!("cannot write the output: {e}"));
        writer
            .write_byte_record(&self.with(
                &header,
                column,
                self.into.as_deref().unwrap_or(&self.column),
            ))
            .map_err(unwritten)?;
        let mut tally = Tally::default();
        let mut record = ByteRecord::new();
        while reader
            .read_byte_record(&mut record)
            .map_err(|e| unreadable(&e))?
        {
            let line = record.position().map_or(0, csv::Position::line);
            let text = str::from_utf8(record.get(column).unwrap_or_default()).unwrap_or_default();
            let new = match opened.translated(text) {
                Said::New(new) => {
                    tally.replaced += 1;
                    new.to_text()
                        .map_err(|e| Error::new(Kind::Internal, e.message().to_owned()))?
                }
                Said::Already => {
                    tally.already += 1;
                    text.to_owned()
                }
                Said::Nothing(why) => {
                    let sentence =
                        format!("line {line}: what stands there {why}; nothing was written");
                    return Err(Error::new(Kind::Invalid, sentence));
                }
            };
            writer
                .write_byte_record(&self.with(&record, column, &new))
                .map_err(unwritten)?;
        }
        writer
            .flush()
            .map_err(|e| Error::file("write the output", &e))?;
        drop(writer);
        Ok((tally, output))
    }

    /// A line with this in the column, or in one more.
    fn with(&self, record: &ByteRecord, column: usize, text: &str) -> ByteRecord {
        let more = self.into.is_some();
        let field = |(at, field)| {
            if at == column && !more {
                text.as_bytes()
            } else {
                field
            }
        };
        let mut out: ByteRecord = record.iter().enumerate().map(field).collect();
        if more {
            out.push_field(text.as_bytes());
        }
        out
    }

    fn path(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| {
            let mut name = self.file.file_stem().unwrap_or_default().to_owned();
            name.push(".renewed");
            if let Some(extension) = self.file.extension() {
                name.push(".");
                name.push(extension);
            }
            self.file.with_file_name(name)
        })
    }
}
