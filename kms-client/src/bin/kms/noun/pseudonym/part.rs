//! What a run had evaluated when it ended, whatever ended it: `OUT.part`.
//!
//! A line of JSON says of which file, which columns and which run; then come frames, each the answers
//! of one chunk: their length (four bytes, big-endian), the first eight bytes of their SHA-256, and
//! for each column a `PseudonymiseResponse` with its length. A frame is on the disk before the next
//! one is taken; what a death tore off at the end is not whole and is evaluated again. There is no
//! identifier in it.

use super::column::Column;
use super::evaluation::{Answer, Versions};
use super::rejected::removed;
use crate::noun::edge::Input;
use clap::ValueEnum;
use kms_client::{Error, Kind, v1};
use kms_core::quota::grouped;
use prost::Message;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The answers so far, of a run that goes on.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    file: File,
    head: Head,
    /// Chunks and rows that are answered.
    pub(super) chunks: u64,
    pub(super) rows: u64,
    pub(super) versions: Versions,
}

/// Of which run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    /// The version of this format.
    pseudonyms: u32,
    /// SHA-256 of the file.
    file: String,
    rows: u64,
    delimiter: u8,
    batch: usize,
    columns: Vec<HeadColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct HeadColumn {
    fields: Vec<String>,
    edge: String,
    input: String,
    /// The id of the run, for the service.
    id: String,
}

/// What is to be pseudonymised, and how it is cut into calls.
#[derive(Clone, Debug)]
pub(super) struct Work<'a> {
    pub(super) digest: String,
    pub(super) rows: u64,
    pub(super) delimiter: u8,
    pub(super) batch: usize,
    pub(super) columns: &'a [Column],
}

/// Where the part of an output lies.
pub(super) fn beside(output: &Path, ending: &str) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    output.with_file_name(name)
}

impl Part {
    /// Begins anew; what an earlier run left is given up only with `force`.
    pub(super) fn begin(output: &Path, force: bool, work: &Work<'_>) -> Result<Self, Error> {
        let path = beside(output, ".part");
        if force {
            removed(&path)?;
        }
        let shown = path.display();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| {
                if e.kind() != io::ErrorKind::AlreadyExists {
                    return Error::file(&format!("write {shown}"), &e);
                }
                let sentence = format!(
                    "{shown} holds what an earlier run had finished: go on with --resume, or begin \
                     anew with --force"
                );
                Error::new(Kind::Io, sentence)
            })?;
        lock(&file, &path)?;
        let head = Head::new(work);
        let broken = |e: serde_json::Error| Error::new(Kind::Internal, e.to_string());
        let mut line = serde_json::to_vec(&head).map_err(broken)?;
        line.push(b'\n');
        file.write_all(&line)
            .and_then(|()| file.sync_all())
            .map_err(|e| Error::file(&format!("write {shown}"), &e))?;
        Ok(Part {
            path,
            file,
            head,
            chunks: 0,
            rows: 0,
            versions: Versions::default(),
        })
    }

    /// Goes on with what an earlier run had finished of the same work.
    pub(super) fn resume(output: &Path, work: &Work<'_>) -> Result<Self, Error> {
        let path = beside(output, ".part");
        let shown = path.display().to_string();
        let failed = |e: io::Error| {
            if e.kind() != io::ErrorKind::NotFound {
                return Error::file(&format!("read {shown}"), &e);
            }
            let sentence = format!("there is no {shown} to go on from; leave --resume out");
            Error::new(Kind::Io, sentence)
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        lock(&file, &path)?;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        reader
            .by_ref()
            .take(HEAD_MAX)
            .read_until(b'\n', &mut line)
            .map_err(failed)?;
        let head: Head = serde_json::from_slice(&line).map_err(|_unread| {
            let sentence = format!("{shown} was not made by this command; begin anew with --force");
            Error::new(Kind::Invalid, sentence)
        })?;
        head.same(work, &shown)?;
        let mut part = Part {
            path,
            file: file.try_clone().map_err(failed)?,
            head,
            chunks: 0,
            rows: 0,
            versions: Versions::default(),
        };
        let mut end = length(line.len());
        while let Some((answers, bytes)) = frame(&mut reader, work.columns.len()).map_err(failed)? {
            part.count(&answers)?;
            end += bytes;
        }
        // What was torn off is written again.
        file.set_len(end).map_err(failed)?;
        part.file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(part)
    }

    /// Identifiers in one call, as when the run began.
    pub(super) fn batch(&self) -> usize {
        self.head.batch
    }

    /// How many rows there are in all.
    pub(super) fn expected(&self) -> u64 {
        self.head.rows
    }

    /// For each column, the run that it is.
    pub(super) fn batches(&self) -> Vec<v1::Batch> {
        let batch = |column: &HeadColumn| v1::Batch {
            id: column.id.clone(),
            expected: self.head.rows,
            offset: 0,
        };
        self.head.columns.iter().map(batch).collect()
    }

    /// Keeps the answers of the next chunk.
    pub(super) fn add(&mut self, answers: &[Answer]) -> Result<(), Error> {
        let mut payload = vec![0; HEADER];
        for answer in answers {
            let broken = |e: prost::EncodeError| Error::new(Kind::Internal, e.to_string());
            answer
                .encode_length_delimited(&mut payload)
                .map_err(broken)?;
        }
        let (header, body) = payload.split_at_mut(HEADER);
        let (size, check) = header.split_at_mut(4);
        let long = u32::try_from(body.len())
            .map_err(|e| Error::new(Kind::Internal, format!("a chunk is too long: {e}")))?;
        size.copy_from_slice(&long.to_be_bytes());
        check.copy_from_slice(&digest(body));
        let written = self
            .file
            .write_all(&payload)
            .and_then(|()| self.file.sync_data());
        written.map_err(|e| Error::file(&format!("write {}", self.path.display()), &e))?;
        self.count(answers)
    }

    /// The answers from the first on.
    pub(super) fn answers(&self) -> Result<Answers, Error> {
        let failed = |e: io::Error| Error::file(&format!("read {}", self.path.display()), &e);
        // A file of its own: where it reads is not where we write.
        let mut reader = BufReader::new(File::open(&self.path).map_err(failed)?);
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).map_err(failed)?;
        Ok(Answers {
            path: self.path.clone(),
            columns: self.head.columns.len(),
            at: length(line.len()),
            reader,
        })
    }

    /// What to do after a failure; what is of no use to anybody is removed.
    pub(super) fn left(&self, error: Error) -> Error {
        if self.chunks == 0 {
            return removed(&self.path).err().unwrap_or(error);
        }
        let (rows, path) = (grouped(self.rows), self.path.display());
        error.followed(format!(
            "; {rows} lines are finished, in {path}: go on later with the same command and --resume"
        ))
    }

    /// The result is there.
    pub(super) fn remove(self) -> Result<(), Error> {
        removed(&self.path)
    }

    fn count(&mut self, answers: &[Answer]) -> Result<(), Error> {
        for (column, answer) in answers.iter().enumerate() {
            self.versions.admit(column, &answer.version)?;
        }
        self.chunks += 1;
        self.rows += length(answers.first().map_or(0, |answer| answer.results.len()));
        Ok(())
    }
}

/// Reads answers back.
#[derive(Debug)]
pub(super) struct Answers {
    path: PathBuf,
    reader: BufReader<File>,
    columns: usize,
    /// Where the next ones begin.
    pub(super) at: u64,
}

impl Answers {
    /// The next chunk's, which must be there.
    pub(super) fn next(&mut self) -> Result<Vec<Answer>, Error> {
        let failed = |e: io::Error| Error::file(&format!("read {}", self.path.display()), &e);
        let next = frame(&mut self.reader, self.columns).map_err(failed)?;
        let Some((answers, bytes)) = next else {
            let path = self.path.display();
            let sentence = format!("{path} was changed by somebody else; begin anew with --force");
            return Err(Error::new(Kind::Invalid, sentence));
        };
        self.at += bytes;
        Ok(answers)
    }

    /// Goes back to where answers began.
    pub(super) fn back(&mut self, at: u64) -> Result<(), Error> {
        let failed = |e: io::Error| Error::file(&format!("read {}", self.path.display()), &e);
        self.reader.seek(SeekFrom::Start(at)).map_err(failed)?;
        self.at = at;
        Ok(())
    }
}

impl Head {
    fn new(work: &Work<'_>) -> Self {
        let column = |column: &Column| HeadColumn {
            fields: column.fields.clone(),
            edge: column.edge.clone(),
            input: word(column.input),
            id: uuid::Uuid::new_v4().to_string(),
        };
        Head {
            pseudonyms: FORMAT,
            file: work.digest.clone(),
            rows: work.rows,
            delimiter: work.delimiter,
            batch: work.batch,
            columns: work.columns.iter().map(column).collect(),
        }
    }

    /// Whether it is of the same work, however that is cut into calls.
    fn same(&self, work: &Work<'_>, path: &str) -> Result<(), Error> {
        let refused = |what: &str| {
            let sentence = format!("{path} was not made {what}; begin anew with --force");
            Err(Error::new(Kind::Invalid, sentence))
        };
        if self.pseudonyms != FORMAT {
            return refused("by this version of the command");
        }
        if (&self.file, self.rows) != (&work.digest, work.rows) {
            return refused("from this file");
        }
        let columns = self.columns.iter().zip(work.columns).all(|(had, has)| {
            (&had.fields, &had.edge, &had.input) == (&has.fields, &has.edge, &word(has.input))
        });
        if !columns || self.columns.len() != work.columns.len() || self.delimiter != work.delimiter
        {
            return refused("with these columns, edges and types");
        }
        Ok(())
    }
}

/// The next frame and how long it is; nothing where there is none that is whole.
fn frame(reader: &mut impl Read, columns: usize) -> io::Result<Option<(Vec<Answer>, u64)>> {
    let mut header = [0; HEADER];
    if !filled(reader, &mut header)? {
        return Ok(None);
    }
    let (size, check) = header.split_at(4);
    let size = size
        .iter()
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut body = Vec::new();
    // As much as there is, and not as much as is said.
    reader.take(size).read_to_end(&mut body)?;
    if length(body.len()) != size || check != digest(&body) {
        return Ok(None);
    }
    let mut rest = body.as_slice();
    let mut answers = Vec::with_capacity(columns);
    for _ in 0..columns {
        match Answer::decode_length_delimited(&mut rest) {
            Ok(answer) => answers.push(answer),
            Err(_other) => return Ok(None),
        }
    }
    Ok(Some((answers, length(HEADER) + size)))
}

fn filled(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

fn lock(file: &File, path: &Path) -> Result<(), Error> {
    let path = path.display();
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let sentence = format!("another run is writing {path}; let it end");
            Err(Error::new(Kind::Io, sentence))
        }
        Err(TryLockError::Error(e)) => Err(Error::file(&format!("lock {path}"), &e)),
    }
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn digest_of(path: &Path) -> Result<String, Error> {
    let failed = |e: io::Error| Error::file(&format!("read {}", path.display()), &e);
    let mut file = File::open(path).map_err(failed)?;
    let mut digest = BufWriter::with_capacity(1 << 16, Hash(Sha256::new()));
    io::copy(&mut file, &mut digest).map_err(failed)?;
    let hash = digest.into_inner().map_err(|e| failed(e.into_error()))?;
    Ok(data_encoding::HEXLOWER.encode(&hash.0.finalize()))
}

struct Hash(Sha256);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn digest(body: &[u8]) -> [u8; 8] {
    let whole = Sha256::digest(body);
    let mut first = [0; 8];
    first
        .iter_mut()
        .zip(whole)
        .for_each(|(to, from)| *to = from);
    first
}

fn word(input: Input) -> String {
    let value = input.to_possible_value();
    value
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

const FORMAT: u32 = 1;
const HEADER: usize = 12;
/// Longer than any list of columns.
const HEAD_MAX: u64 = 1 << 20;
