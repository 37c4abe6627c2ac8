//! Rows with a wrapped data key in one field: lines of JSON, or lines of CSV (RFC 4180). What is
//! written back differs in that field alone.

use super::mover::Item;
use csv::ByteRecord;
use data_encoding::BASE64;
use kms_client::{Error, Kind};
use kms_core::envelope::PLAINTEXT_MAX;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

/// Which fields mean what.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    /// Holds the wrapped data key, in base64.
    pub(super) ciphertext: String,
    /// Holds its encryption context, an object of texts.
    pub(super) context: Option<String>,
    /// The context of those that have none of their own.
    pub(super) default: BTreeMap<String, String>,
}

/// A row as it was read.
#[derive(Debug)]
pub(super) struct Row {
    /// Its first line in the file, from 1.
    pub(super) line: u64,
    /// Where the next one begins, in bytes.
    pub(super) end: u64,
    text: Text,
    /// What is to be moved, `None` where nothing stands, or what is wrong with it.
    pub(super) item: Result<Option<Item>, Error>,
}

#[derive(Debug)]
enum Text {
    /// With its end of line, if it has one.
    Json(Vec<u8>, String),
    Csv(ByteRecord, usize),
}

/// Reads rows.
pub(super) enum Rows<R> {
    Json {
        input: BufReader<R>,
        line: u64,
        end: u64,
        fields: Fields,
    },
    Csv {
        reader: Box<csv::Reader<R>>,
        column: usize,
        context: Option<usize>,
        fields: Fields,
    },
}

impl<R: Read> Rows<R> {
    pub(super) fn json(input: R, fields: Fields) -> Self {
        Rows::Json {
            input: BufReader::with_capacity(BUFFER, input),
            line: 0,
            end: 0,
            fields,
        }
    }

    /// Also the header, as it is to be written.
    pub(super) fn csv(input: R, delimiter: u8, fields: Fields) -> Result<(Self, Vec<u8>), Error> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .from_reader(input);
        let header = reader.byte_headers().map_err(|e| unreadable(&e))?.clone();
        let column = position(&header, &fields.ciphertext)?;
        let context = fields.context.as_ref();
        let context = context.map(|name| position(&header, name)).transpose()?;
        let reader = Box::new(reader);
        let rows = Rows::Csv {
            reader,
            column,
            context,
            fields,
        };
        Ok((rows, line_of(&header, delimiter)?))
    }

    /// The next row.
    ///
    /// An error is about the file: no row can be told from the next.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Error> {
        match self {
            Rows::Json {
                input,
                line,
                end,
                fields,
            } => {
                let mut text = Vec::new();
                let most = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
                input
                    .take(most)
                    .read_until(b'\n', &mut text)
                    .map_err(|e| Error::file("read the file", &e))?;
                if text.is_empty() {
                    return Ok(None);
                }
                *line += 1;
                if text.len() >= LINE_MAX {
                    let sentence = format!("line {line} is longer than {LINE_MAX} bytes");
                    return Err(Error::new(Kind::Invalid, sentence));
                }
                *end += u64::try_from(text.len()).unwrap_or(u64::MAX);
                let (found, item) = match json_item(&text, fields) {
                    Ok(Some((found, item))) => (found, Ok(Some(item))),
                    Ok(None) => (String::new(), Ok(None)),
                    Err(error) => (String::new(), Err(error)),
                };
                Ok(Some(Row {
                    line: *line,
                    end: *end,
                    text: Text::Json(text, found),
                    item,
                }))
            }
            Rows::Csv {
                reader,
                column,
                context,
                fields,
            } => {
                let mut record = ByteRecord::new();
                let more = reader.read_byte_record(&mut record);
                if !more.map_err(|e| unreadable(&e))? {
                    return Ok(None);
                }
                let item = csv_item(&record, *column, *context, fields);
                Ok(Some(Row {
                    line: record.position().map_or(0, csv::Position::line),
                    end: reader.position().byte(),
                    text: Text::Csv(record, *column),
                    item,
                }))
            }
        }
    }
}

impl Row {
    /// About how much memory it takes.
    pub(super) fn size(&self) -> usize {
        let text = match &self.text {
            Text::Json(line, found) => line.len() + found.len(),
            Text::Csv(record, _) => record.as_slice().len(),
        };
        let item = self.item.as_ref().ok().and_then(Option::as_ref);
        text + item.map_or(0, |item| item.ciphertext.len())
    }

    /// As it is to be written, with another wrapped data key, if there is one.
    pub(super) fn written(&self, moved: Option<&[u8]>, delimiter: u8) -> Result<Vec<u8>, Error> {
        let moved = moved.map(|ciphertext| BASE64.encode(ciphertext));
        match (&self.text, moved) {
            (Text::Json(line, found), Some(moved)) => Ok(replaced(line, found, &moved)),
            (Text::Json(line, _), None) => Ok(line.clone()),
            (Text::Csv(record, column), Some(moved)) => {
                let field = |(at, field)| {
                    if at == *column {
                        moved.as_bytes()
                    } else {
                        field
                    }
                };
                let record: ByteRecord = record.iter().enumerate().map(field).collect();
                line_of(&record, delimiter)
            }
            (Text::Csv(record, _), None) => line_of(record, delimiter),
        }
    }
}

/// The wrapped data key as it stands there, and what it is.
fn json_item(line: &[u8], fields: &Fields) -> Result<Option<(String, Item)>, Error> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let object: Map<String, Value> = serde_json::from_slice(line)
        .map_err(|_holds_content| invalid("it is not a JSON object".to_owned()))?;
    let name = &fields.ciphertext;
    let text = match object.get(name) {
        Some(Value::String(text)) => text,
        Some(Value::Null) => return Ok(None),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(invalid(format!("its field {name:?} is not a text")));
        }
        None => return Err(invalid(format!("it has no field {name:?}"))),
    };
    if text.is_empty() {
        return Ok(None);
    }
    let quoted = format!("\"{text}\"");
    let places = occurrences(line, quoted.as_bytes());
    if places != 1 {
        let sentence = format!(
            "the text of its field {name:?} stands there {places} times as it is, so that it \
             cannot be told which one to replace"
        );
        return Err(invalid(sentence));
    }
    let context = match fields.context.as_ref().map(|name| (name, object.get(name))) {
        Some((_, Some(Value::Null))) | Some((_, None)) | None => None,
        Some((name, Some(said))) => Some(context(name, said)?),
    };
    Ok(Some((
        quoted,
        item(text.as_bytes(), name, context, fields)?,
    )))
}

fn csv_item(
    record: &ByteRecord,
    column: usize,
    of_context: Option<usize>,
    fields: &Fields,
) -> Result<Option<Item>, Error> {
    let text = record.get(column).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let said = of_context.and_then(|at| record.get(at));
    let name = fields.context.as_deref().unwrap_or_default();
    let said = said.filter(|said| !said.is_empty()).map(|said| {
        let said: Result<Value, _> = serde_json::from_slice(said);
        said.map_err(|_holds_content| invalid(format!("its field {name:?} is not JSON")))
            .and_then(|said| context(name, &said))
    });
    item(text, &fields.ciphertext, said.transpose()?, fields).map(Some)
}

fn item(
    text: &[u8],
    name: &str,
    context: Option<BTreeMap<String, String>>,
    fields: &Fields,
) -> Result<Item, Error> {
    let ciphertext = BASE64
        .decode(text)
        .map_err(|_holds_content| invalid(format!("its field {name:?} is not base64")))?;
    if ciphertext.len() > CIPHERTEXT_MAX {
        let sentence = format!("its field {name:?} is longer than any wrapped data key");
        return Err(invalid(sentence));
    }
    Ok(Item {
        ciphertext,
        context: context.unwrap_or_else(|| fields.default.clone()),
    })
}

fn context(name: &str, said: &Value) -> Result<BTreeMap<String, String>, Error> {
    let pairs = said.as_object().map(|pairs| {
        let text =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        pairs.iter().map(text).collect::<Option<BTreeMap<_, _>>>()
    });
    pairs
        .flatten()
        .ok_or_else(|| invalid(format!("its field {name:?} is not an object of texts")))
}

fn occurrences(line: &[u8], quoted: &[u8]) -> usize {
    line.windows(quoted.len()).filter(|w| *w == quoted).count()
}

/// In valid JSON a text in its quotes is a whole text, and stands there once: that was looked at.
fn replaced(line: &[u8], found: &str, moved: &str) -> Vec<u8> {
    let found = found.as_bytes();
    let at = line.windows(found.len()).position(|w| w == found);
    let Some((before, rest)) = at.and_then(|at| line.split_at_checked(at)) else {
        return line.to_vec();
    };
    let after = rest.get(found.len()..).unwrap_or_default();
    [before, b"\"", moved.as_bytes(), b"\"", after].concat()
}

fn line_of(record: &ByteRecord, delimiter: u8) -> Result<Vec<u8>, Error> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(Vec::new());
    let broken = |why: String| Error::new(Kind::Internal, format!("a line has no CSV form: {why}"));
    writer
        .write_byte_record(record)
        .map_err(|e| broken(e.to_string()))?;
    writer.into_inner().map_err(|e| broken(e.to_string()))
}

fn invalid(sentence: String) -> Error {
    Error::new(Kind::Invalid, sentence)
}

use crate::noun::csv_file::{position, unreadable};

const BUFFER: usize = 128 * 1024;
/// Of a line of JSON.
const LINE_MAX: usize = 4 * 1024 * 1024;
/// The service wraps nothing longer, and adds little.
const CIPHERTEXT_MAX: usize = PLAINTEXT_MAX + 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn fields(context: Option<&str>) -> Fields {
        Fields {
            ciphertext: "dek".into(),
            context: context.map(str::to_owned),
            default: [("a".to_owned(), "b".to_owned())].into(),
        }
    }

    fn rows(text: &str, context: Option<&str>) -> Vec<Row> {
        let mut rows = Rows::json(text.as_bytes(), fields(context));
        std::iter::from_fn(|| rows.next().unwrap()).collect()
    }

    #[test]
    fn a_line_of_json_changes_in_one_field_alone() {
        let text = "{\"n\": 12345678901234567890.10, \"dek\":\"AAEC\" ,\"x\":{\"dek\":1}}\n\n{\"dek\":null}";
        let rows = rows(text, None);
        assert_eq!(rows.len(), 3);
        let first = rows.first().unwrap();
        let item = first.item.as_ref().unwrap().as_ref().unwrap();
        assert_eq!(item.ciphertext, [0, 1, 2]);
        assert_eq!(item.context, fields(None).default);
        let written = first.written(Some(&[9, 9]), b',').unwrap();
        let expected = "{\"n\": 12345678901234567890.10, \"dek\":\"CQk=\" ,\"x\":{\"dek\":1}}\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
        let as_it_was: Vec<u8> = rows
            .iter()
            .flat_map(|row| row.written(None, b',').unwrap())
            .collect();
        assert_eq!(as_it_was, text.as_bytes());
        assert!(rows.iter().skip(1).all(|row| matches!(row.item, Ok(None))));
        let ends: Vec<u64> = rows.iter().map(|row| row.end).collect();
        assert_eq!(ends.last(), Some(&u64::try_from(text.len()).unwrap()));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_told_without_its_content() {
        for (line, context, told) in [
            ("secret", None, "not a JSON object"),
            ("{\"secret\":1}", None, "has no field \"dek\""),
            ("{\"dek\":[\"secret\"]}", None, "not a text"),
            ("{\"dek\":\"secret!\"}", None, "not base64"),
            ("{\"dek\":\"AAEC\",\"again\":\"AAEC\"}", None, "2 times"),
            ("{\"dek\":\"AA\\u0045C\"}", None, "0 times"),
            (
                "{\"dek\":\"AAEC\",\"c\":{\"secret\":1}}",
                Some("c"),
                "object of texts",
            ),
        ] {
            let rows = rows(line, context);
            let error = rows.first().unwrap().item.as_ref().unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_context_is_a_rows_own_or_everybodys() {
        let own = rows("{\"dek\":\"AAEC\",\"c\":{\"x\":\"y\"}}", Some("c"));
        let item = own.first().unwrap().item.as_ref().unwrap().as_ref();
        assert_eq!(
            item.unwrap().context,
            [("x".to_owned(), "y".to_owned())].into()
        );
        let none = rows("{\"dek\":\"AAEC\"}", Some("c"));
        let item = none.first().unwrap().item.as_ref().unwrap().as_ref();
        assert_eq!(item.unwrap().context, fields(None).default);
    }

    #[test]
    fn a_line_of_csv_changes_in_one_column_alone() {
        let text = "id,dek,note\n1,AAEC,\"two\nlines\"\n2,,x\n3,no!,y\n";
        let (mut rows, header) = Rows::csv(text.as_bytes(), b',', fields(None)).unwrap();
        let mut all = header;
        let mut lines = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let moved = matches!(row.item, Ok(Some(_))).then_some([9_u8, 9]);
            all.extend(row.written(moved.as_ref().map(|m| &m[..]), b',').unwrap());
            lines.push((row.line, row.item.is_ok()));
        }
        assert_eq!(lines, [(2, true), (4, true), (5, false)]);
        let all = String::from_utf8(all).unwrap();
        assert_eq!(all, text.replace("AAEC", "CQk="));
    }
}
