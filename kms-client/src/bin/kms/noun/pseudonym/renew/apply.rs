//! `kms pseudonym renew apply`: the old pseudonyms of a column become the new ones.
//!
//! Memory is bounded whatever the size of the file and of the table: a stretch of the file that has as
//! many different pseudonyms as may be held is read ahead, the table is read past these once, and the
//! stretch is written; then the next one. The output appears whole or not at all.

use super::table::TranslationTable;
use super::wanted::{EACH, Said, Wanted};
use crate::noun::csv_file::{delimiter, position, unreadable};
use crate::progress;
use crate::session::Session;
use clap::Args;
use csv::{ByteRecord, Reader, ReaderBuilder, WriterBuilder};
use kms_client::{Client, Error, Kind, Output};
use serde_json::json;
use std::fs::File;
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
    /// The directory of the table; give it again for another one of the same campaign.
    #[arg(long, value_name = "DIRECTORY", required = true)]
    table: Vec<PathBuf>,
    /// How much memory pseudonyms may take, in MiB. The table is read once for every 25,000 different
    /// pseudonyms of the file that one MiB holds.
    #[arg(long, value_name = "MIB", default_value_t = 96, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    memory: u32,
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
        let tables = self.tables()?;
        let (tally, output) = self.replaced(&session.client, &tables, output).await?;
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

    /// The tables, of one campaign.
    fn tables(&self) -> Result<Vec<TranslationTable>, Error> {
        let tables = self.table.iter().map(|place| TranslationTable::open(place));
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        let mut pairs = tables.iter().zip(tables.iter().skip(1));
        if pairs.all(|(one, next)| one.label.is_beside(&next.label)) {
            return Ok(tables);
        }
        let sentence = "these tables are of different campaigns; apply one after the other";
        Err(Error::new(Kind::Invalid, sentence))
    }

    async fn replaced(
        &self,
        client: &Client,
        tables: &[TranslationTable],
        mut output: Output,
    ) -> Result<(Tally, Output), Error> {
        let none = || Error::new(Kind::Usage, "name a table");
        let most = usize::try_from(self.memory).unwrap_or(usize::MAX);
        let most = most.saturating_mul(MIB) / EACH;
        let mut wanted = Wanted::of(&tables.first().ok_or_else(none)?.label, most)?;
        let (mut ahead, mut reader) = (self.column()?, self.column()?);
        let mut writer = WriterBuilder::new()
            .delimiter(self.delimiter)
            .from_writer(&mut output);
        let header = self.into.as_deref().unwrap_or(&self.column);
        let header = self.with(&reader.header, reader.at, header);
        writer
            .write_byte_record(&header)
            .map_err(|e| unwritten(&e))?;
        let bar = progress::waiting();
        let mut tally = Tally::default();
        loop {
            wanted.clear();
            let mut lines = 0_u64;
            while !wanted.is_full() && ahead.next()? {
                let added = wanted.add(ahead.text());
                added.map_err(|why| ahead.refused(why))?;
                lines += 1;
            }
            if lines == 0 {
                break;
            }
            wanted.look_up(client, tables).await?;
            for _ in 0..lines {
                let new = match reader.next()?.then(|| wanted.translated(reader.text())) {
                    Some(Ok(Said::New(new))) => {
                        tally.replaced += 1;
                        let text = new.to_text();
                        text.map_err(|e| Error::new(Kind::Internal, e.message().to_owned()))?
                    }
                    Some(Ok(Said::Already)) => {
                        tally.already += 1;
                        reader.text().to_owned()
                    }
                    Some(Err(why)) => return Err(reader.refused(why)),
                    None => {
                        let sentence =
                            "the file was changed while it was read; nothing was written";
                        return Err(Error::new(Kind::Invalid, sentence));
                    }
                };
                let line = self.with(&reader.record, reader.at, &new);
                writer.write_byte_record(&line).map_err(|e| unwritten(&e))?;
            }
            bar.set_message(format!("{} lines", tally.replaced + tally.already));
        }
        bar.finish_and_clear();
        writer
            .flush()
            .map_err(|e| Error::file("write the output", &e))?;
        drop(writer);
        Ok((tally, output))
    }

    fn column(&self) -> Result<Column, Error> {
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .from_path(&self.file)
            .map_err(|e| unreadable(&e).within(self.file.display()))?;
        let header = reader.byte_headers().map_err(|e| unreadable(&e))?.clone();
        Ok(Column {
            at: position(&header, &self.column)?,
            header,
            reader,
            record: ByteRecord::new(),
        })
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

/// The column of the file, line by line.
struct Column {
    reader: Reader<File>,
    header: ByteRecord,
    at: usize,
    /// The line that was read last.
    record: ByteRecord,
}

impl Column {
    /// Reads the next line, if there is one.
    fn next(&mut self) -> Result<bool, Error> {
        let read = self.reader.read_byte_record(&mut self.record);
        read.map_err(|e| unreadable(&e))
    }

    /// What stands in it.
    fn text(&self) -> &str {
        str::from_utf8(self.record.get(self.at).unwrap_or_default()).unwrap_or_default()
    }

    fn refused(&self, why: &str) -> Error {
        let line = self.record.position().map_or(0, csv::Position::line);
        let sentence = format!("line {line}: what stands there {why}; nothing was written");
        Error::new(Kind::Invalid, sentence)
    }
}

fn unwritten(error: &csv::Error) -> Error {
    Error::new(Kind::Io, format!("cannot write the output: {error}"))
}

const MIB: usize = 1 << 20;
