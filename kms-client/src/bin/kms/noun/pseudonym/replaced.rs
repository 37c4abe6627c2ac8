//! A Parquet file whose identifiers are replaced by pseudonyms. Other columns are copied as they
//! lie; only where a row group has rows that are left out are they written anew, with their types.

use super::column::Column;
use super::evaluation::Answer;
use super::part::Answers;
use super::rejected::Rejected;
use super::row_groups::{RowGroups, unreadable};
use kms_client::{Error, Kind, Output, v1};
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::column::reader::ColumnReader;
use parquet::column::reader::ColumnReaderImpl;
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, ColumnWriterImpl};
use parquet::data_type::{ByteArray, ByteArrayType, DataType};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::FileReader;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use v1::pseudonymise_response::result::Result as Told;

/// Writes all of it.
pub(super) fn write(
    path: &Path,
    columns: &[Column],
    mut answers: Answers,
    output: Output,
    rejected: &mut Rejected,
) -> Result<Output, Error> {
    let source = RowGroups::open(path, columns, 1)?;
    let file =
        File::open(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))?;
    let replaced = source.replaced();
    let metadata = source.reader.metadata();
    let schema = schema(
        metadata.file_metadata().schema_descr().root_schema(),
        &source,
        &replaced,
    )
    .map_err(|e| unreadable(&e))?;
    let properties = properties(&source, &replaced);
    let mut writer = SerializedFileWriter::new(output, schema, Arc::new(properties))
        .map_err(|e| unwritten(&e))?;
    let mut first = 0;
    for number in 0..metadata.num_row_groups() {
        let group = metadata.row_group(number);
        let mut taken = Taken::read(group, first, columns, &mut answers, rejected)?;
        first += taken.rows;
        if taken.kept() == 0 {
            continue;
        }
        let mut to = writer.next_row_group().map_err(|e| unwritten(&e))?;
        for leaf in 0..group.num_columns() {
            if let Some(column) = replaced.iter().position(|place| *place == leaf) {
                taken.pseudonyms(column, &mut answers, &mut to)?;
            } else if taken.is_whole() {
                copy(group, leaf, &file, &mut to)?;
            } else {
                let from = source
                    .reader
                    .get_row_group(number)
                    .map_err(|e| unreadable(&e))?;
                let mut from = from.get_column_reader(leaf).map_err(|e| unreadable(&e))?;
                taken.rewrite(&mut from, &mut to)?;
            }
        }
        to.close().map_err(|e| unwritten(&e))?;
    }
    writer.into_inner().map_err(|e| unwritten(&e))
}

/// What became of the rows of one row group.
struct Taken {
    rows: u64,
    /// Runs of rows: how many are left out, then how many are kept.
    runs: Vec<(usize, usize)>,
    /// Where the group's answers begin.
    at: u64,
    chunks: usize,
}

impl Taken {
    fn read(
        group: &RowGroupMetaData,
        first: u64,
        columns: &[Column],
        answers: &mut Answers,
        rejected: &mut Rejected,
    ) -> Result<Self, Error> {
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let mut taken = Taken {
            rows,
            runs: vec![(0, 0)],
            at: answers.at,
            chunks: 0,
        };
        let mut seen = 0;
        while seen < rows {
            let chunk = answers.next()?;
            taken.chunks += 1;
            for row in 0..chunk.first().map_or(0, |answer| answer.results.len()) {
                seen += 1;
                // Rows are counted from 1.
                let row = rejected.pseudonyms(row, first + seen, columns, &chunk)?;
                taken.note(row.is_some());
            }
        }
        Ok(taken)
    }

    fn note(&mut self, kept: bool) {
        match (self.runs.last_mut(), kept) {
            (Some((_, keep)), true) => *keep += 1,
            (Some((skip, 0)), false) => *skip += 1,
            (Some(_) | None, _) => self.runs.push((1, 0)),
        }
    }

    fn is_whole(&self) -> bool {
        self.runs.iter().all(|(skip, _)| *skip == 0)
    }

    fn kept(&self) -> usize {
        self.runs.iter().map(|(_, keep)| keep).sum()
    }

    /// Writes a column of pseudonyms.
    fn pseudonyms(
        &mut self,
        column: usize,
        answers: &mut Answers,
        to: &mut SerializedRowGroupWriter<'_, Output>,
    ) -> Result<(), Error> {
        let mut writer = to
            .next_column()
            .map_err(|e| unwritten(&e))?
            .ok_or_else(|| Error::new(Kind::Internal, "there are too many columns"))?;
        answers.back(self.at)?;
        for _ in 0..self.chunks {
            let chunk = answers.next()?;
            let rows = chunk.first().map_or(0, |answer| answer.results.len());
            let whole = |row: &usize| chunk.iter().all(|answer| text(answer, *row).is_some());
            let values = (0..rows)
                .filter(whole)
                .filter_map(|row| text(chunk.get(column)?, row));
            let values: Vec<ByteArray> = values.map(ByteArray::from).collect();
            let levels = vec![1; values.len()];
            let typed = writer.typed::<ByteArrayType>();
            let levels = (typed.get_descriptor().max_def_level() > 0).then_some(levels.as_slice());
            typed
                .write_batch(&values, levels, None)
                .map_err(|e| unwritten(&e))?;
        }
        writer.close().map_err(|e| unwritten(&e))
    }

    /// Writes another column anew, without the rows that are left out.
    fn rewrite(
        &self,
        from: &mut ColumnReader,
        to: &mut SerializedRowGroupWriter<'_, Output>,
    ) -> Result<(), Error> {
        let mut writer = to
            .next_column()
            .map_err(|e| unwritten(&e))?
            .ok_or_else(|| Error::new(Kind::Internal, "there are too many columns"))?;
        use {ColumnReader as R, ColumnWriter as W};
        match (from, writer.untyped()) {
            (R::BoolColumnReader(from), W::BoolColumnWriter(to)) => self.filter(from, to),
            (R::Int32ColumnReader(from), W::Int32ColumnWriter(to)) => self.filter(from, to),
            (R::Int64ColumnReader(from), W::Int64ColumnWriter(to)) => self.filter(from, to),
            (R::Int96ColumnReader(from), W::Int96ColumnWriter(to)) => self.filter(from, to),
            (R::FloatColumnReader(from), W::FloatColumnWriter(to)) => self.filter(from, to),
            (R::DoubleColumnReader(from), W::DoubleColumnWriter(to)) => self.filter(from, to),
            (R::ByteArrayColumnReader(from), W::ByteArrayColumnWriter(to)) => self.filter(from, to),
            (R::FixedLenByteArrayColumnReader(from), W::FixedLenByteArrayColumnWriter(to)) => {
                self.filter(from, to)
            }
            (_, _) => Err(Error::new(Kind::Internal, "a column changed its type")),
        }?;
        writer.close().map_err(|e| unwritten(&e))
    }

    fn filter<T: DataType>(
        &self,
        from: &mut ColumnReaderImpl<T>,
        to: &mut ColumnWriterImpl<'_, T>,
    ) -> Result<(), Error> {
        let (optional, repeated) = {
            let leaf = to.get_descriptor();
            (leaf.max_def_level() > 0, leaf.max_rep_level() > 0)
        };
        let torn = || {
            Error::new(
                Kind::Invalid,
                "the file is damaged: a column ends too early",
            )
        };
        let (mut values, mut defined, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
        for (skip, keep) in &self.runs {
            if from.skip_records(*skip).map_err(|e| unreadable(&e))? != *skip {
                return Err(torn());
            }
            let mut left = *keep;
            while left > 0 {
                values.clear();
                defined.clear();
                repeats.clear();
                let levels = (
                    optional.then_some(&mut defined),
                    repeated.then_some(&mut repeats),
                );
                let (records, ..) = from
                    .read_records(left.min(STEP), levels.0, levels.1, &mut values)
                    .map_err(|e| unreadable(&e))?;
                if records == 0 {
                    return Err(torn());
                }
                left -= records;
                let levels = (
                    optional.then_some(defined.as_slice()),
                    repeated.then_some(repeats.as_slice()),
                );
                to.write_batch(&values, levels.0, levels.1)
                    .map_err(|e| unwritten(&e))?;
            }
        }
        Ok(())
    }
}

fn text(answer: &Answer, row: usize) -> Option<&str> {
    match answer.results.get(row)?.result.as_ref()? {
        Told::Pseudonym(pseudonym) => Some(pseudonym),
        Told::Error(_) => None,
    }
}

/// Copies a column as it lies.
fn copy(
    group: &RowGroupMetaData,
    leaf: usize,
    file: &File,
    to: &mut SerializedRowGroupWriter<'_, Output>,
) -> Result<(), Error> {
    let column = group.column(leaf);
    let closed = ColumnCloseResult {
        bytes_written: u64::try_from(column.compressed_size()).unwrap_or(0),
        rows_written: u64::try_from(group.num_rows()).unwrap_or(0),
        metadata: column.clone(),
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    to.append_column(file, closed).map_err(|e| unreadable(&e))
}

/// The same schema, with text where pseudonyms are.
fn schema(root: &Type, source: &RowGroups, replaced: &[usize]) -> Result<TypePtr, ParquetError> {
    let descriptor = source.reader.metadata().file_metadata().schema_descr();
    let mut fields = root.get_fields().to_vec();
    for place in replaced {
        let name = descriptor.column(*place).name().to_owned();
        for field in &mut fields {
            if field.name() == name {
                let info = field.get_basic_info();
                let repetition = if info.has_repetition() {
                    info.repetition()
                } else {
                    Repetition::REQUIRED
                };
                let id = info.has_id().then(|| info.id());
                *field = Arc::new(
                    Type::primitive_type_builder(&name, Physical::BYTE_ARRAY)
                        .with_repetition(repetition)
                        .with_logical_type(Some(LogicalType::String))
                        .with_id(id)
                        .build()?,
                );
            }
        }
    }
    Ok(Arc::new(
        Type::group_type_builder(root.name())
            .with_fields(fields)
            .build()?,
    ))
}

/// As the file was written, as far as it says.
fn properties(source: &RowGroups, replaced: &[usize]) -> WriterProperties {
    let metadata = source.reader.metadata();
    let mut properties = WriterProperties::builder()
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(metadata.file_metadata().key_value_metadata().cloned());
    for (leaf, column) in metadata
        .file_metadata()
        .schema_descr()
        .columns()
        .iter()
        .enumerate()
    {
        let groups = metadata.row_groups().first();
        let codec = groups.map_or(Compression::SNAPPY, |group| {
            group.column(leaf).compression()
        });
        properties = properties.set_column_compression(column.path().clone(), codec);
        if replaced.contains(&leaf) {
            // No two are the same: a dictionary would only hold them all in memory.
            properties = properties
                .set_column_dictionary_enabled(column.path().clone(), false)
                .set_column_statistics_enabled(column.path().clone(), EnabledStatistics::None);
        }
    }
    properties.build()
}

fn unwritten(error: &ParquetError) -> Error {
    Error::new(Kind::Io, format!("cannot write the output: {error}"))
}

/// Rows that are held while a column is written anew.
const STEP: usize = 1_024;
