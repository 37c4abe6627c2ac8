//! What `kms pseudonym map` had finished when it could not go on: whole lines, in order, under a
//! name that says that it is not the result.

use super::csv_batch::unreadable;
use csv::{ByteRecord, Reader, ReaderBuilder, Writer};
use kms_client::{Error, Kind, Output};
use kms_core::pseudonym::Pseudonym;
use kms_core::quota::grouped;
use kms_core::space::EdgeCode;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The beginning of a result, `OUT.part`.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
}

/// What is finished so far.
#[derive(Debug, Default)]
pub(super) struct Finished {
    pub(super) lines: u64,
    /// The edge that made the pseudonyms, and the version of its key.
    by: Option<(EdgeCode, u32)>,
}

impl Part {
    /// Of this output.
    pub(super) fn of(output: &Path) -> Self {
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        Self {
            path: output.with_file_name(name),
        }
    }

    /// Makes sure that going on is possible, or that nothing is lost by beginning anew.
    pub(super) fn admit(&self, resume: bool, force: bool) -> Result<(), Error> {
        let (path, exists) = (self.path.display(), self.path.exists());
        if resume && !exists {
            let sentence = format!("there is no {path} to go on from; leave --resume out");
            return Err(Error::new(Kind::Io, sentence));
        }
        if exists && !resume && !force {
            let sentence = format!(
                "{path} holds what an earlier run had finished: go on with --resume, or begin anew \
                 with --force"
            );
            return Err(Error::new(Kind::Io, sentence));
        }
        Ok(())
    }

    /// Copies what is finished, each line held against the file that it was made from, which is
    /// then read on from there.
    pub(super) fn copy(
        &self,
        source: &mut Reader<impl Read>,
        column: usize,
        delimiter: u8,
        writer: &mut Writer<impl Write>,
    ) -> Result<Finished, Error> {
        let path = self.path.display();
        let mut part = ReaderBuilder::new()
            .delimiter(delimiter)
            .from_path(&self.path)
            .map_err(|e| unreadable(&e).within(&path))?;
        let header = part
            .byte_headers()
            .map_err(|e| unreadable(&e).within(&path))?;
        if header != source.byte_headers().map_err(|e| unreadable(&e))? {
            return Err(other(&path, 1));
        }
        let mut finished = Finished::default();
        let (mut done, mut from) = (ByteRecord::new(), ByteRecord::new());
        while part
            .read_byte_record(&mut done)
            .map_err(|e| unreadable(&e).within(&path))?
        {
            let more = source.read_byte_record(&mut from);
            let line = from.position().map_or(0, csv::Position::line);
            if !more.map_err(|e| unreadable(&e))? || !same_but(column, &done, &from) {
                return Err(other(&path, line));
            }
            finished.add(&done, column)?;
            writer
                .write_byte_record(&done)
                .map_err(|e| Error::new(Kind::Io, format!("cannot write the output: {e}")))?;
        }
        Ok(finished)
    }

    /// Keeps what is finished, and says how to go on.
    pub(super) fn keep(&self, output: Output, finished: &Finished, error: Error) -> Error {
        if finished.lines == 0 {
            return error;
        }
        if let Err(unkept) = output.keep(&self.path) {
            return unkept;
        }
        let (lines, path) = (grouped(finished.lines), self.path.display());
        error.followed(format!(
            "; {lines} lines are finished, in {path}: go on later with the same command and \
             --resume"
        ))
    }

    /// The result is whole.
    pub(super) fn remove(&self) -> Result<(), Error> {
        match std::fs::remove_file(&self.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file(&format!("remove {}", self.path.display()), &e))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Finished {
    /// Another line. Pseudonyms of two versions of a key do not meet: one result has one.
    pub(super) fn add(&mut self, record: &ByteRecord, column: usize) -> Result<(), Error> {
        let text = str::from_utf8(record.get(column).unwrap_or_default());
        let made = text.ok().and_then(|text| Pseudonym::parse(text).ok());
        let Some(made) = made else {
            let sentence = "there is something else where a pseudonym belongs; begin anew";
            return Err(Error::new(Kind::Invalid, sentence));
        };
        let by = (made.code.clone(), made.version);
        let first = self.by.get_or_insert_with(|| by.clone());
        if *first != by {
            let sentence = format!(
                "the pseudonyms were of version {} of the key of edge {} and are now of version {} \
                 of {}: one result has one; begin anew",
                first.1, first.0, by.1, by.0
            );
            return Err(Error::new(Kind::Conflict, sentence));
        }
        self.lines += 1;
        Ok(())
    }
}

fn same_but(column: usize, one: &ByteRecord, other: &ByteRecord) -> bool {
    let rest = |record: &ByteRecord| {
        let fields = record.iter().enumerate();
        let rest = fields.filter(|(at, _)| *at != column);
        rest.map(|(_, field)| field.to_vec()).collect::<Vec<_>>()
    };
    one.len() == other.len() && rest(one) == rest(other)
}

fn other(path: &impl std::fmt::Display, line: u64) -> Error {
    Error::new(
        Kind::Invalid,
        format!(
            "{path} was not made from this file, which differs at line {line}; begin anew with \
             --force"
        ),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const FILE: &str = "ID,SEX\na,1\nb,2\nc,1\n";

    fn pseudonym(version: u32) -> String {
        let made = Pseudonym {
            code: "whlink".parse().unwrap(),
            version,
            value: [7; 20],
        };
        made.to_text().unwrap()
    }

    /// A part with these versions and sexes.
    fn part(header: &str, lines: &[(u32, &str)]) -> String {
        let line = |(version, sex): &(u32, &str)| format!("{},{sex}\n", pseudonym(*version));
        let lines: String = lines.iter().map(line).collect();
        format!("{header}\n{lines}")
    }

    fn copied(part: &str, file: &str) -> Result<(String, u64, Vec<ByteRecord>), Error> {
        let place = tempfile::tempdir().unwrap();
        let output = place.path().join("out.csv");
        std::fs::write(place.path().join("out.csv.part"), part).unwrap();
        let mut source = ReaderBuilder::new().from_reader(file.as_bytes());
        let mut writer = Writer::from_writer(Vec::new());
        writer
            .write_byte_record(source.byte_headers().unwrap())
            .unwrap();
        let finished = Part::of(&output).copy(&mut source, 0, b',', &mut writer)?;
        let written = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let rest = source.byte_records().map(Result::unwrap).collect();
        Ok((written, finished.lines, rest))
    }

    #[test]
    fn what_is_finished_is_taken_over_and_the_file_read_on() {
        let part = part("ID,SEX", &[(1, "1"), (1, "2")]);
        let (written, lines, rest) = copied(&part, FILE).unwrap();
        assert_eq!((written, lines), (part, 2));
        assert_eq!(rest, [ByteRecord::from(vec!["c", "1"])]);
    }

    #[test]
    fn another_files_beginning_is_refused() {
        let longer = [(1, "1"), (1, "2"), (1, "1"), (1, "1")];
        for (part, line) in [
            (part("ID,AGE", &[(1, "1")]), "line 1"),
            (part("ID,SEX", &[(1, "2")]), "line 2"),
            (part("ID,SEX", &[(1, "1"), (1, "1")]), "line 3"),
            (part("ID,SEX", &longer), "not made from this file"),
        ] {
            let told = copied(&part, FILE).unwrap_err().to_string();
            assert!(told.contains(line) && told.contains("--force"), "{told}");
        }
    }

    #[test]
    fn one_result_has_one_version_and_nothing_but_pseudonyms() {
        let two = part("ID,SEX", &[(1, "1"), (2, "2")]);
        let told = copied(&two, FILE).unwrap_err();
        assert_eq!(told.kind(), Kind::Conflict);
        assert!(told.to_string().contains("version 2 of whlink"), "{told}");
        let told = copied("ID,SEX\n123-secret,1\n", FILE).unwrap_err();
        assert_eq!(told.kind(), Kind::Invalid);
        assert!(!told.to_string().contains("secret"), "{told}");
    }
}
