//! A CSV file (RFC 4180) in batches of lines, with one column taken out.

use csv::ByteRecord;
use kms_client::{Error, Kind};
use std::io::Read;
use tokio::sync::mpsc;

/// Some lines of the file.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: Vec<ByteRecord>,
    pub(super) lines: Vec<u64>,
    pub(super) identifiers: Vec<String>,
}

/// Sends the file in batches, or what is wrong with it, until the end or until nobody listens.
pub(super) fn read(
    mut reader: csv::Reader<impl Read>,
    column: usize,
    size: usize,
    sender: &mpsc::Sender<Result<Batch, Error>>,
) {
    let mut batch = Batch::default();
    let mut bytes = 0;
    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => {
                // Whoever listened has failed already.
                drop(sender.blocking_send(Err(unreadable(&e))));
                return;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        let text = std::str::from_utf8(record.get(column).unwrap_or_default());
        let Ok(text) = text else {
            let wrong = format!("line {line}: the identifier is not UTF-8; save the file in UTF-8");
            drop(sender.blocking_send(Err(Error::new(Kind::Invalid, wrong))));
            return;
        };
        bytes += record.as_slice().len();
        batch.identifiers.push(text.to_owned());
        batch.lines.push(line);
        batch.records.push(record.clone());
        if batch.records.len() >= size || bytes >= BATCH_BYTES {
            bytes = 0;
            if sender
                .blocking_send(Ok(std::mem::take(&mut batch)))
                .is_err()
            {
                return;
            }
        }
    }
    if !batch.records.is_empty() {
        drop(sender.blocking_send(Ok(batch)));
    }
}

/// What separates fields, as it is given.
pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [one] if one.is_ascii() && !matches!(one, b'"' | b'\r' | b'\n') => Ok(*one),
        _ if text == "\\t" => Ok(b'\t'),
        _ => Err("one ASCII character, or \\t".to_owned()),
    }
}

pub(super) fn position(header: &ByteRecord, column: &str) -> Result<usize, Error> {
    let mut found = header
        .iter()
        .enumerate()
        .filter(|(_, name)| *name == column.as_bytes());
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Ok(at),
        (Some(_), Some(_)) => Err(Error::new(
            Kind::Invalid,
            format!("the file has several columns {column:?}; give them different names"),
        )),
        (None, _) if header.is_empty() => Err(Error::new(
            Kind::Invalid,
            format!(
                "the file is empty; its first line must name its columns, {column:?} among them"
            ),
        )),
        (None, _) => {
            // What stands there is not repeated: in a file without a header these are identifiers.
            let between = [b';', b'\t', b'|', b','];
            let holds = |c: &&u8| header.iter().any(|name| name.contains(*c));
            let hint = match (header.len(), between.iter().find(holds)) {
                // One column that holds what usually stands between columns.
                (1, Some(c)) => {
                    let c = char::from(*c);
                    format!("1 column: if {c:?} separates its fields, say so (kms: --delimiter)")
                }
                (1, None) => "1 column, of another name".to_owned(),
                (many, _) => format!("{many} columns, of other names"),
            };
            Err(Error::new(
                Kind::Invalid,
                format!("the file has no column {column:?}; its first line names {hint}"),
            ))
        }
    }
}

pub(super) fn unreadable(error: &csv::Error) -> Error {
    if let csv::ErrorKind::UnequalLengths {
        pos,
        expected_len,
        len,
    } = error.kind()
    {
        let line = pos.as_ref().map_or(0, csv::Position::line);
        return Error::new(
            Kind::Invalid,
            format!("line {line} has {len} fields, the header has {expected_len}"),
        );
    }
    if error.is_io_error() {
        return Error::new(Kind::Io, format!("cannot read the file: {error}"));
    }
    Error::new(Kind::Invalid, format!("the file is not CSV: {error}"))
}

/// A batch ends early at this much, so that wide lines do not cost more memory than narrow ones.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use csv::ReaderBuilder;

    #[test]
    fn a_column_that_is_not_there_is_told_without_what_stands_there() {
        let refused = position(&record(&["ID", "SEX"]), "id").unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid);
        assert!(
            refused
                .to_string()
                .ends_with("names 2 columns, of other names"),
            "{refused}"
        );
        assert!(position(&record(&["ID", "ID"]), "ID").is_err());
        assert_eq!(position(&record(&["SEX", "ID"]), "ID").unwrap(), 1);
    }

    #[test]
    fn batches_keep_order_and_line_numbers() {
        let text = "ID,NOTE\n1,\"two\nlines\"\n2,x\n3,y\n";
        let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
        reader.byte_headers().unwrap();
        let (sender, mut receiver) = mpsc::channel(8);
        read(reader, 0, 2, &sender);
        drop(sender);
        let mut seen = Vec::new();
        while let Ok(batch) = receiver.try_recv() {
            let batch = batch.unwrap();
            assert!(batch.records.len() <= 2);
            seen.extend(batch.identifiers.into_iter().zip(batch.lines));
        }
        let expected = [("1", 2), ("2", 4), ("3", 5)].map(|(id, line)| (id.to_owned(), line));
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_line_with_too_few_fields_is_named_by_number() {
        let mut reader = ReaderBuilder::new().from_reader("A,B\n1,2\nsecret\n".as_bytes());
        reader.byte_headers().unwrap();
        let (sender, mut receiver) = mpsc::channel(8);
        read(reader, 0, 10, &sender);
        let refused = receiver.try_recv().unwrap().err().unwrap();
        assert_eq!(refused.to_string(), "line 3 has 1 fields, the header has 2");
    }

    fn record(names: &[&str]) -> ByteRecord {
        names.iter().copied().collect()
    }
}
