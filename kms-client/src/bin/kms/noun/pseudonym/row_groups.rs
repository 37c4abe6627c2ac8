//! The rows of a Parquet file, in chunks: of each row group, the columns that hold identifiers.

use super::column::Column;
use super::evaluation::{Chunk, Read, Source};
use jiff::civil::Date;
use kms_client::{Error, Kind};
use parquet::basic::{Compression, ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// A Parquet file that this command understands.
pub(super) struct RowGroups {
    pub(super) reader: SerializedFileReader<File>,
    columns: Vec<Column>,
    /// For each column, which leaves of the schema its fields are.
    pub(super) places: Vec<Vec<usize>>,
    size: usize,
    group: usize,
    open: Option<Open>,
    read: u64,
}

/// A row group that is being read.
struct Open {
    /// For each column, its fields.
    fields: Vec<Vec<Field>>,
    left: usize,
}

/// A field of a row group.
struct Field {
    reader: ColumnReader,
    optional: bool,
    is_date: bool,
}

/// Whether a file begins as Parquet does.
pub(super) fn is_parquet(path: &Path) -> Result<bool, Error> {
    let failed = |e: io::Error| Error::file(&format!("read {}", path.display()), &e);
    let mut magic = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(4).read_to_end(&mut magic).map_err(failed)?;
    let named = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("parquet"));
    match magic.as_slice() {
        b"PAR1" => Ok(true),
        b"PARE" => Err(invalid("the file is encrypted Parquet; decrypt it first")),
        _ if named => Err(invalid(
            "the file is named .parquet and is not Parquet: it does not begin with PAR1",
        )),
        _ => Ok(false),
    }
}

impl RowGroups {
    /// Reads what the file says of itself, and whether it can be so.
    pub(super) fn open(path: &Path, columns: &[Column], size: usize) -> Result<Self, Error> {
        let file =
            File::open(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let reader = SerializedFileReader::new(file).map_err(|e| unreadable(&e))?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        for (number, group) in reader.metadata().row_groups().iter().enumerate() {
            credible(group, length).map_err(|e| e.within(format!("row group {}", number + 1)))?;
        }
        let places = columns.iter().map(|column| {
            let fields = column.fields.iter().enumerate();
            let places = fields.map(|(number, name)| place(&schema, name, number == 0));
            places.collect::<Result<Vec<_>, _>>()
        });
        let places = places.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            reader,
            columns: columns.to_vec(),
            places,
            size,
            group: 0,
            open: None,
            read: 0,
        })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        let groups = self.reader.metadata().row_groups().iter();
        groups
            .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
            .sum()
    }

    /// Where each pseudonym goes.
    pub(super) fn replaced(&self) -> Vec<usize> {
        self.places
            .iter()
            .filter_map(|places| places.first().copied())
            .collect()
    }

    /// The next row group that has rows.
    fn enter(&mut self) -> Result<Option<Open>, Error> {
        let metadata = self.reader.metadata();
        while let Some(group) = metadata.row_groups().get(self.group) {
            let number = self.group;
            self.group += 1;
            let left = usize::try_from(group.num_rows()).unwrap_or(0);
            if left == 0 {
                continue;
            }
            let schema = metadata.file_metadata().schema_descr();
            let group = self
                .reader
                .get_row_group(number)
                .map_err(|e| unreadable(&e))?;
            let field = |place: &usize| {
                let leaf = schema.column(*place);
                Ok(Field {
                    reader: group
                        .get_column_reader(*place)
                        .map_err(|e| unreadable(&e))?,
                    optional: leaf.max_def_level() > 0,
                    is_date: matches!(leaf.logical_type_ref(), Some(LogicalType::Date))
                        || leaf.converted_type() == ConvertedType::DATE,
                })
            };
            let fields = self
                .places
                .iter()
                .map(|places| places.iter().map(field).collect());
            return Ok(Some(Open {
                fields: fields.collect::<Result<_, Error>>()?,
                left,
            }));
        }
        Ok(None)
    }
}

impl Source for RowGroups {
    type Rows = ();

    fn next(&mut self) -> Read<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => match self.enter()? {
                Some(open) => open,
                None => return Ok(None),
            },
        };
        let rows = open.left.min(self.size);
        let mut asked = Vec::with_capacity(self.columns.len());
        for (column, fields) in self.columns.iter().zip(&mut open.fields) {
            let texts = fields.iter_mut().map(|field| field.texts(rows));
            let texts = texts.collect::<Result<Vec<_>, _>>()?;
            let identifier = |row: usize| {
                let fields = texts.iter().map(|texts| texts.get(row)?.as_deref());
                column.identifier(&fields.collect::<Vec<_>>())
            };
            asked.push((0..rows).map(identifier).collect());
        }
        open.left -= rows;
        self.open = Some(open).filter(|open| open.left > 0);
        let first = self.read;
        self.read += u64::try_from(rows).unwrap_or(u64::MAX);
        Ok(Some(Chunk {
            rows: (),
            first,
            asked,
        }))
    }
}

impl Field {
    /// The next rows as text; nothing where there is no value.
    fn texts(&mut self, rows: usize) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let optional = self.optional;
        match &mut self.reader {
            ColumnReader::ByteArrayColumnReader(reader) => {
                column(reader, rows, optional, |value| value.data().to_vec())
            }
            ColumnReader::Int32ColumnReader(reader) if self.is_date => {
                column(reader, rows, optional, |days| date(*days).into_bytes())
            }
            ColumnReader::Int32ColumnReader(reader) => column(reader, rows, optional, |value| {
                value.to_string().into_bytes()
            }),
            ColumnReader::Int64ColumnReader(reader) => column(reader, rows, optional, |value| {
                value.to_string().into_bytes()
            }),
            ColumnReader::BoolColumnReader(_)
            | ColumnReader::Int96ColumnReader(_)
            | ColumnReader::FloatColumnReader(_)
            | ColumnReader::DoubleColumnReader(_)
            | ColumnReader::FixedLenByteArrayColumnReader(_) => Err(Error::new(
                Kind::Internal,
                "a column of another type was let in",
            )),
        }
    }
}

fn column<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    optional: bool,
    text: impl Fn(&T::T) -> Vec<u8>,
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let read = reader.read_records(rows, optional.then_some(&mut levels), None, &mut values);
    let (records, ..) = read.map_err(|e| unreadable(&e))?;
    let levels_fit = !optional || levels.len() == rows;
    if records != rows || !levels_fit {
        return Err(invalid(
            "the file is damaged: a row group ends before its rows do",
        ));
    }
    let mut values = values.iter();
    let mut next = || values.next().map(&text);
    if optional {
        return Ok(levels
            .iter()
            .map(|level| if *level > 0 { next() } else { None })
            .collect());
    }
    Ok((0..rows).map(|_| next()).collect())
}

/// Which leaf of the schema has this name. A pseudonym replaces text alone: what a number's text is,
/// with or without leading zeros, nobody here can know.
fn place(schema: &SchemaDescriptor, name: &str, is_replaced: bool) -> Result<usize, Error> {
    let leaves = schema.columns().iter().enumerate();
    let mut named =
        leaves.filter(|(_, leaf)| leaf.path().parts().first().is_some_and(|p| p == name));
    let (place, leaf) = match (named.next(), named.next()) {
        (Some(found), None) => found,
        (Some(_), Some(_)) => {
            return Err(invalid(&format!("column {name:?} is nested; flatten it")));
        }
        (None, _) => {
            let columns = schema.root_schema().get_fields().len();
            let sentence = format!("the file has no column {name:?}, but {columns} of other names");
            return Err(invalid(&sentence));
        }
    };
    if leaf.path().parts().len() != 1 || leaf.max_rep_level() != 0 {
        return Err(invalid(&format!("column {name:?} is nested; flatten it")));
    }
    let kind = leaf.physical_type();
    let is_number = matches!(kind, Type::INT32 | Type::INT64);
    if kind == Type::BYTE_ARRAY || (is_number && !is_replaced) {
        return Ok(place);
    }
    Err(invalid(&format!(
        "column {name:?} is of type {kind}: write it as a string first, with the leading zeros that \
         its identifiers have"
    )))
}

/// Whether a row group can be what it says it is, and is written in a way that is read here.
fn credible(group: &RowGroupMetaData, length: u64) -> Result<(), Error> {
    for column in group.columns() {
        let codec = column.compression();
        let is_known = matches!(
            codec,
            Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_)
        );
        if !is_known {
            let path = column.column_path();
            let sentence = format!(
                "column {path} is compressed with {codec}; write the file with snappy, zstd or no \
                 compression"
            );
            return Err(invalid(&sentence));
        }
        let (offset, size) = (column.data_page_offset(), column.compressed_size());
        let first = column
            .dictionary_page_offset()
            .unwrap_or(offset)
            .min(offset);
        let inside = u64::try_from(first)
            .ok()
            .zip(u64::try_from(size).ok())
            .and_then(|(first, size)| first.checked_add(size))
            .is_some_and(|end| end <= length);
        if !inside {
            let path = column.column_path();
            return Err(invalid(&format!(
                "the file is damaged: column {path} is not in it"
            )));
        }
    }
    if group.num_rows() < 0 {
        return Err(invalid("the file is damaged: there are less than no rows"));
    }
    Ok(())
}

/// A day, as a count from 1970-01-01.
fn date(days: i32) -> String {
    let epoch = Date::constant(1970, 1, 1);
    let span = jiff::Span::new().try_days(days);
    let date = span.and_then(|span| epoch.checked_add(span));
    // What is no date is none to whoever reads it, and is rejected there.
    date.map_or_else(|_| days.to_string(), |date| date.to_string())
}

/// Why a file cannot be read. Not the whole message: it may be long and repeat what the file holds.
pub(super) fn unreadable(error: &ParquetError) -> Error {
    if let ParquetError::External(cause) = error {
        return Error::new(Kind::Io, format!("cannot read the file: {cause}"));
    }
    let what = if matches!(error, ParquetError::EOF(_)) {
        "it ends too early"
    } else if matches!(error, ParquetError::NYI(_)) {
        "it uses what this reader does not know"
    } else {
        "it is damaged"
    };
    invalid(&format!("the file cannot be read as Parquet: {what}"))
}

fn invalid(sentence: &str) -> Error {
    Error::new(Kind::Invalid, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-5_265), "1955-08-03");
        assert_eq!(date(i32::MAX), i32::MAX.to_string());
    }
}
