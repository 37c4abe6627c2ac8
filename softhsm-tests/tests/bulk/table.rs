//! Parquet files of fictitious patients, written and read here, by the crate and not by our code.

use parquet::basic::{Compression, ZstdLevel};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// A number, two identifiers of which the second may be missing, a date, a measure, and a list.
const SCHEMA: &str = "message patients {
    required int64 number;
    required binary ID (STRING);
    required int32 birth (DATE);
    optional binary MOTHER (STRING);
    optional double measure;
    optional group tags (LIST) { repeated group list { required binary element (STRING); } }
}";

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) number: i64,
    pub(crate) id: String,
    pub(crate) birth: i32,
    pub(crate) mother: Option<String>,
    pub(crate) measure: Option<f64>,
    pub(crate) tags: Vec<String>,
}

/// So many rows, from this one on.
pub(crate) fn rows(from: i64, count: i64) -> Vec<Row> {
    let row = |number: i64| Row {
        number,
        id: format!("CHILD-{number:06}"),
        birth: i32::try_from(number).unwrap() - 9_000,
        mother: Some(format!("MOTHER-{:06}", number / 2)),
        measure: (number % 3 != 0).then(|| f64::from(i32::try_from(number).unwrap()) / 7.0),
        tags: (0..number % 3).map(|tag| format!("tag-{tag}")).collect(),
    };
    (from..from + count).map(row).collect()
}

/// Writes row groups.
pub(crate) fn write(path: &Path, groups: &[Vec<Row>], compression: Compression) {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_data_page_row_count_limit(50)
        .build();
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    for rows in groups {
        let mut group = writer.next_row_group().unwrap();
        let texts = |texts: Vec<&str>| -> Vec<ByteArray> {
            texts.into_iter().map(ByteArray::from).collect()
        };
        let numbers: Vec<i64> = rows.iter().map(|r| r.number).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<Int64Type>()
            .write_batch(&numbers, None, None)
            .unwrap();
        column.close().unwrap();
        let ids = texts(rows.iter().map(|r| r.id.as_str()).collect());
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&ids, None, None)
            .unwrap();
        column.close().unwrap();
        let births: Vec<i32> = rows.iter().map(|r| r.birth).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<Int32Type>()
            .write_batch(&births, None, None)
            .unwrap();
        column.close().unwrap();
        let mothers = texts(rows.iter().filter_map(|r| r.mother.as_deref()).collect());
        let levels: Vec<i16> = rows.iter().map(|r| i16::from(r.mother.is_some())).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&mothers, Some(&levels), None)
            .unwrap();
        column.close().unwrap();
        let measures: Vec<f64> = rows.iter().filter_map(|r| r.measure).collect();
        let levels: Vec<i16> = rows
            .iter()
            .map(|r| i16::from(r.measure.is_some()))
            .collect();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<DoubleType>()
            .write_batch(&measures, Some(&levels), None)
            .unwrap();
        column.close().unwrap();
        let (mut tags, mut defined, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            if row.tags.is_empty() {
                // A list that is there and empty.
                defined.push(1);
                repeats.push(0);
            }
            for (at, tag) in row.tags.iter().enumerate() {
                tags.push(ByteArray::from(tag.as_str()));
                defined.push(2);
                repeats.push(i16::from(at > 0));
            }
        }
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&tags, Some(&defined), Some(&repeats))
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

/// Reads all rows, and checks that the schema is as it was.
pub(crate) fn read(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema();
    assert_eq!(schema, &parse_message_type(SCHEMA).unwrap());
    let mut all = Vec::new();
    for number in 0..reader.num_row_groups() {
        let group = reader.get_row_group(number).unwrap();
        let count = usize::try_from(group.metadata().num_rows()).unwrap();
        let ColumnReader::Int64ColumnReader(mut column) = group.get_column_reader(0).unwrap()
        else {
            panic!("not a number");
        };
        let mut numbers = Vec::new();
        column
            .read_records(count, None, None, &mut numbers)
            .unwrap();
        let (ids, _, _) = texts(group.get_column_reader(1).unwrap(), count);
        let ColumnReader::Int32ColumnReader(mut column) = group.get_column_reader(2).unwrap()
        else {
            panic!("not a date");
        };
        let mut births = Vec::new();
        column.read_records(count, None, None, &mut births).unwrap();
        let (mothers, mother_levels, _) = texts(group.get_column_reader(3).unwrap(), count);
        let ColumnReader::DoubleColumnReader(mut column) = group.get_column_reader(4).unwrap()
        else {
            panic!("not a measure");
        };
        let (mut measures, mut measure_levels) = (Vec::new(), Vec::new());
        column
            .read_records(count, Some(&mut measure_levels), None, &mut measures)
            .unwrap();
        let (tags, tag_levels, repeats) = texts(group.get_column_reader(5).unwrap(), count);
        let mut lists: Vec<Vec<String>> = Vec::new();
        let mut tags = tags.into_iter();
        for (defined, repeat) in tag_levels.iter().zip(repeats) {
            if repeat == 0 {
                lists.push(Vec::new());
            }
            if *defined == 2 {
                lists.last_mut().unwrap().push(tags.next().unwrap());
            }
        }
        let (mut mothers, mut measures) = (mothers.into_iter(), measures.into_iter());
        for row in 0..count {
            all.push(Row {
                number: numbers[row],
                id: ids[row].clone(),
                birth: births[row],
                mother: (mother_levels[row] > 0).then(|| mothers.next().unwrap()),
                measure: (measure_levels[row] > 0).then(|| measures.next().unwrap()),
                tags: lists[row].clone(),
            });
        }
    }
    all
}

/// The values, with their levels.
fn texts(reader: ColumnReader, count: usize) -> (Vec<String>, Vec<i16>, Vec<i16>) {
    let ColumnReader::ByteArrayColumnReader(mut column) = reader else {
        panic!("not a text");
    };
    let (mut values, mut defined, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
    column
        .read_records(count, Some(&mut defined), Some(&mut repeats), &mut values)
        .unwrap();
    let text = |value: &ByteArray| value.as_utf8().unwrap().to_owned();
    (values.iter().map(text).collect(), defined, repeats)
}

/// One of the two that files come in.
pub(crate) fn zstd() -> Compression {
    Compression::ZSTD(ZstdLevel::default())
}
