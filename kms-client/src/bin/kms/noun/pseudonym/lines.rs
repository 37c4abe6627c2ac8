//! The lines of a CSV file (RFC 4180), in chunks.

use super::column::Column;
use super::evaluation::{Answer, Asked, Chunk, Read, Source};
use super::rejected::Rejected;
use crate::noun::csv_file::{position, unreadable};
use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use kms_client::{Error, Kind, Output};
use std::io;

/// A CSV file with a header.
pub(super) struct Lines<R> {
    reader: csv::Reader<Bounded<R>>,
    header: ByteRecord,
    columns: Vec<Column>,
    /// For each column, where its fields stand.
    places: Vec<Vec<usize>>,
    size: usize,
    read: u64,
}

/// Lines as they were read, and where they begin in the file.
#[derive(Debug, Default)]
pub(super) struct Held {
    records: Vec<ByteRecord>,
    numbers: Vec<u64>,
}

impl<R: io::Read> Lines<R> {
    /// Reads the header.
    pub(super) fn open(
        source: R,
        delimiter: u8,
        columns: &[Column],
        size: usize,
    ) -> Result<Self, Error> {
        let bounded = Bounded {
            inner: source,
            left: LINE_MAX,
        };
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(bounded);
        let header = reader.byte_headers().map_err(|e| unreadable(&e))?.clone();
        let place = |column: &Column| {
            let fields = column.fields.iter().map(|name| position(&header, name));
            fields.collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            places: columns.iter().map(place).collect::<Result<_, _>>()?,
            columns: columns.to_vec(),
            reader,
            header,
            size,
            read: 0,
        })
    }

    pub(super) fn header(&self) -> &ByteRecord {
        &self.header
    }

    /// How many lines there are, without the header.
    pub(super) fn count(mut self) -> Result<u64, Error> {
        let mut record = ByteRecord::new();
        let mut lines = 0;
        while self.line(&mut record)? {
            lines += 1;
        }
        Ok(lines)
    }

    /// The next lines.
    pub(super) fn held(&mut self) -> Result<Option<Held>, Error> {
        let mut held = Held::default();
        let mut record = ByteRecord::new();
        let mut bytes = 0;
        while held.records.len() < self.size && bytes < CHUNK_BYTES && self.line(&mut record)? {
            bytes += record.as_slice().len();
            let number = record.position().map_or(0, csv::Position::line);
            held.numbers.push(number);
            held.records.push(record.clone());
        }
        Ok(Some(held).filter(|held| !held.records.is_empty()))
    }

    fn line(&mut self, record: &mut ByteRecord) -> Result<bool, Error> {
        let number = self.reader.position().line();
        self.reader.get_mut().left = LINE_MAX;
        self.reader.read_byte_record(record).map_err(|e| {
            if e.is_io_error() && self.reader.get_ref().left == 0 {
                let sentence = format!(
                    "line {number} is longer than {} MiB: a quote is not closed, or this is not CSV",
                    LINE_MAX / MIB
                );
                return Error::new(Kind::Invalid, sentence);
            }
            unreadable(&e)
        })
    }

    fn asked(&self, records: &[ByteRecord]) -> Vec<Asked> {
        let each = |(column, places): (&Column, &Vec<usize>)| {
            let identifiers = records.iter().map(|record| {
                if record.len() != self.header.len() {
                    let (has, names) = (record.len(), self.header.len());
                    let sentence = format!("the line has {has} fields, the header has {names}");
                    return Err(Error::new(Kind::Invalid, sentence));
                }
                let fields: Vec<_> = places.iter().map(|place| record.get(*place)).collect();
                column.identifier(&fields)
            });
            identifiers.collect()
        };
        self.columns.iter().zip(&self.places).map(each).collect()
    }
}

impl<R: io::Read + Send + 'static> Source for Lines<R> {
    type Rows = Held;

    fn next(&mut self) -> Read<Held> {
        let Some(rows) = self.held()? else {
            return Ok(None);
        };
        let first = self.read;
        self.read += rows.count();
        Ok(Some(Chunk {
            asked: self.asked(&rows.records),
            rows,
            first,
        }))
    }
}

impl Held {
    /// How many lines these are.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.records.len()).unwrap_or(u64::MAX)
    }
}

/// The same file with pseudonyms in it.
#[derive(Debug)]
pub(super) struct Written {
    writer: csv::Writer<Output>,
    columns: Vec<Column>,
    /// Where each pseudonym goes.
    places: Vec<usize>,
}

impl Written {
    pub(super) fn begin(
        output: Output,
        delimiter: u8,
        header: &ByteRecord,
        columns: &[Column],
    ) -> Result<Self, Error> {
        let mut writer = WriterBuilder::new()
            .delimiter(delimiter)
            .from_writer(output);
        writer
            .write_byte_record(header)
            .map_err(|e| unwritten(&e))?;
        let places = columns.iter().map(|column| position(header, column.name()));
        Ok(Self {
            places: places.collect::<Result<_, _>>()?,
            columns: columns.to_vec(),
            writer,
        })
    }

    /// Writes lines whose answers are there, but for those that were rejected.
    pub(super) fn add(
        &mut self,
        lines: &Held,
        answers: &[Answer],
        rejected: &mut Rejected,
    ) -> Result<(), Error> {
        let each = lines.records.iter().zip(&lines.numbers).enumerate();
        for (row, (record, number)) in each {
            let pseudonyms = rejected.pseudonyms(row, *number, &self.columns, answers)?;
            let Some(pseudonyms) = pseudonyms else {
                continue;
            };
            let fields = record.iter().enumerate().map(|(at, field)| {
                let column = self.places.iter().position(|place| *place == at);
                let pseudonym = column.and_then(|column| pseudonyms.get(column));
                pseudonym.map_or(field, |pseudonym| pseudonym.as_bytes())
            });
            self.writer
                .write_record(fields)
                .map_err(|e| unwritten(&e))?;
        }
        Ok(())
    }

    /// Gives the output back, whole.
    pub(super) fn finish(self) -> Result<Output, Error> {
        let failed = |e: csv::IntoInnerError<_>| Error::file("write the output", e.error());
        self.writer.into_inner().map_err(failed)
    }
}

/// Ends what is read without an end of line: memory must not grow with a quote that nobody closes.
struct Bounded<R> {
    inner: R,
    left: usize,
}

impl<R: io::Read> io::Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let most = buffer.len().min(self.left);
        let (buffer, _) = buffer.split_at_mut(most);
        let length = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(length);
        Ok(length)
    }
}

fn unwritten(error: &csv::Error) -> Error {
    Error::new(Kind::Io, format!("cannot write the output: {error}"))
}

const MIB: usize = 1024 * 1024;

/// The longest line, and what the reader buffers.
const LINE_MAX: usize = 16 * MIB;

/// A chunk ends early at this much, so that wide lines do not cost more memory than narrow ones.
const CHUNK_BYTES: usize = 4 * MIB;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::noun::edge::Input;

    fn columns(names: &[&str]) -> Vec<Column> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let edges = vec!["edge".to_owned(); names.len()];
        Column::all(&names, &edges, &vec![Input::Opaque; names.len()]).unwrap()
    }

    fn lines(text: &str) -> Lines<io::Cursor<Vec<u8>>> {
        let source = io::Cursor::new(text.as_bytes().to_vec());
        Lines::open(source, b',', &columns(&["ID"]), 2).unwrap()
    }

    #[test]
    fn chunks_keep_order_and_line_numbers() {
        let mut lines = lines("ID,NOTE\n1,\"two\nlines\"\n2,x\n3,y\n");
        let mut seen = Vec::new();
        while let Some(chunk) = lines.next().unwrap() {
            assert!(chunk.rows.records.len() <= 2);
            seen.push((chunk.first, chunk.rows.numbers, chunk.asked.len()));
        }
        assert_eq!(seen, [(0, vec![2, 4], 1), (2, vec![5], 1)]);
    }

    #[test]
    fn a_line_of_another_length_is_rejected_and_the_others_are_not() {
        let mut lines = lines("ID,B\nsecret\n1,2\n");
        let asked = lines.next().unwrap().unwrap().asked.remove(0);
        let told = asked.first().unwrap().as_ref().unwrap_err();
        assert_eq!(told.to_string(), "the line has 1 fields, the header has 2");
        assert!(asked.last().unwrap().is_ok());
    }

    #[test]
    fn a_quote_that_is_not_closed_costs_no_memory() {
        let endless = io::Read::chain("ID\n\"".as_bytes(), io::repeat(b'x'));
        let mut lines = Lines::open(endless, b',', &columns(&["ID"]), 2).unwrap();
        let told = lines.next().unwrap_err();
        assert_eq!(told.kind(), Kind::Invalid);
        assert!(told.to_string().starts_with("line 2 is longer"), "{told}");
    }
}
