//! What the commands that read CSV files (RFC 4180) have in common.

use csv::ByteRecord;
use kms_client::{Error, Kind};

/// What separates fields, as it is given.
pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [one] if one.is_ascii() && !matches!(one, b'"' | b'\r' | b'\n') => Ok(*one),
        _ if text == "\\t" => Ok(b'\t'),
        _ => Err("one ASCII character, or \\t".to_owned()),
    }
}

/// Which column this is.
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

/// Why a file cannot be read as CSV.
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

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

    fn record(names: &[&str]) -> ByteRecord {
        names.iter().copied().collect()
    }
}
