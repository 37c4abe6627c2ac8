//! What is finished of an output, and how far: so that whatever ends a run, the same command goes on
//! where it was. `OUT.part` holds rows that are done, `OUT.part.state` how far they are on the disk.

use super::tally::{Outcome, Tally};
use kms_client::{Error, Kind};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How far an output is on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    /// What was asked; another command does not go on with it.
    asked: String,
    /// So many bytes of the input are done,
    pub(super) read: u64,
    /// and this is their SHA-256, hexadecimal: another input is not gone on with.
    pub(super) digest: String,
    /// So many bytes of the output hold them.
    written: u64,
    /// So many bytes of the failures.
    failed: u64,
    /// What became of them.
    pub(super) tally: Tally,
}

/// An output in the making. One process works on it.
#[derive(Debug)]
pub(super) struct Part {
    paths: Paths,
    rows: Tail,
    failures: Tail,
    pub(super) reached: Reached,
}

#[derive(Debug, Clone)]
struct Paths {
    output: PathBuf,
    failures: PathBuf,
    replace: bool,
}

impl Part {
    /// Goes on with what is there of it, or begins; always begins with `anew`. An output that is
    /// there already is replaced only with `replace`.
    pub(super) fn begin(
        output: &Path,
        failures: Option<&Path>,
        asked: String,
        (replace, anew): (bool, bool),
    ) -> Result<Self, Error> {
        let failures = failures.map_or_else(|| with(output, ".failures"), Path::to_owned);
        let paths = Paths {
            output: output.to_owned(),
            failures,
            replace,
        };
        if !replace && output.symlink_metadata().is_ok() {
            return Err(exists(output));
        }
        if anew {
            removed(&paths.state())?;
        }
        let found = std::fs::read(paths.state()).ok();
        let reached = match found {
            None => Reached {
                asked,
                ..Reached::default()
            },
            Some(bytes) => {
                let reached: Option<Reached> = serde_json::from_slice(&bytes).ok();
                let same = reached.filter(|reached| reached.asked == asked);
                same.ok_or_else(|| paths.another("with other options"))?
            }
        };
        Ok(Self {
            rows: Tail::open(&with(output, ".part"), reached.written)?,
            failures: Tail::open(&with(&paths.failures, ".part"), reached.failed)?,
            paths,
            reached,
        })
    }

    /// Whether something of it is done, in this run or an earlier one.
    pub(super) fn is_begun(&self) -> bool {
        self.reached.read > 0
    }

    /// What an input says that is not the one that it was begun with.
    pub(super) fn another(&self) -> Error {
        self.paths.another("from another file")
    }

    /// More of the output.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.rows.write(bytes)
    }

    /// What became of an item; a failure is noted.
    pub(super) fn add(&mut self, line: u64, outcome: &Outcome) -> Result<(), Error> {
        self.reached.tally.add(outcome);
        let Outcome::Failed { version, error } = outcome else {
            return Ok(());
        };
        let place = serde_json::json!({ "line": line });
        self.failures
            .write(&noted(place, version.as_deref(), error))
    }

    /// Makes sure that all of this is on the disk, and says so there.
    pub(super) fn reach(&mut self, read: u64, digest: String) -> Result<(), Error> {
        self.reached.read = read;
        self.reached.digest = digest;
        self.reached.written = self.rows.sync()?;
        self.reached.failed = self.failures.sync()?;
        let bytes = serde_json::to_vec(&self.reached)
            .map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
        let (state, new) = (self.paths.state(), with(&self.paths.state(), ".new"));
        let failed = |e| Error::file(&format!("write {}", state.display()), &e);
        let mut file = File::create(&new).map_err(failed)?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&new, &state))
            .map_err(failed)
    }

    /// Nothing was done: nothing of it stays.
    pub(super) fn discard(self) -> Result<(), Error> {
        removed(&self.rows.path)?;
        removed(&self.failures.path)
    }

    /// The output is whole: it gets its name. Gives where the failures are, if there are any.
    pub(super) fn finish(mut self) -> Result<(Tally, Option<PathBuf>), Error> {
        self.rows.sync()?;
        let failed = self.failures.sync()? > 0;
        let Paths {
            output,
            failures,
            replace,
        } = &self.paths;
        let part = with(failures, ".part");
        if failed {
            named(&part, failures, true)?;
        } else {
            removed(&part)?;
            // Those of an earlier output under this name.
            if *replace {
                removed(failures)?;
            }
        }
        named(&with(output, ".part"), output, *replace)?;
        removed(&self.paths.state())?;
        Ok((self.reached.tally, failed.then(|| failures.clone())))
    }
}

impl Paths {
    fn state(&self) -> PathBuf {
        with(&self.output, ".part.state")
    }

    fn another(&self, how: &str) -> Error {
        let part = with(&self.output, ".part");
        let sentence = format!(
            "{} was begun {how}: go on with the same command on the same file, or begin anew with \
             --anew",
            part.display()
        );
        Error::new(Kind::Invalid, sentence)
    }
}

/// A failure, for the file of failures: where, why, and never what.
pub(super) fn noted(mut place: serde_json::Value, version: Option<&str>, error: &Error) -> Vec<u8> {
    if let Some(fields) = place.as_object_mut() {
        if let Some(version) = version {
            fields.insert("version".into(), version.into());
        }
        fields.insert("reason".into(), error.to_string().into());
    }
    format!("{place}\n").into_bytes()
}

/// A file that is written at its end.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    file: BufWriter<File>,
    length: u64,
}

impl Tail {
    /// Cut to what is known to be good.
    fn open(path: &Path, length: u64) -> Result<Self, Error> {
        let failed = |e| Error::file(&format!("write {}", path.display()), &e);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        if file.try_lock().is_err() {
            let sentence = format!("{} is being written by another kms", path.display());
            return Err(Error::new(Kind::Io, sentence));
        }
        if file.metadata().map_err(failed)?.len() < length {
            let sentence = format!(
                "{} is shorter than it was: begin anew with --anew",
                path.display()
            );
            return Err(Error::new(Kind::Io, sentence));
        }
        file.set_len(length)
            .and_then(|()| file.seek(SeekFrom::Start(length)))
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(BUFFER, file),
            length,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|e| self.failed(&e))?;
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    fn sync(&mut self) -> Result<u64, Error> {
        let synced = self
            .file
            .flush()
            .and_then(|()| self.file.get_ref().sync_data());
        synced.map_err(|e| self.failed(&e))?;
        Ok(self.length)
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        Error::file(&format!("write {}", self.path.display()), error)
    }
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn named(from: &Path, to: &Path, replace: bool) -> Result<(), Error> {
    let failed = |e: std::io::Error| Error::file(&format!("write {}", to.display()), &e);
    if replace {
        std::fs::rename(from, to).map_err(failed)?;
    } else {
        // Unlike a new name, a second one replaces nothing.
        std::fs::hard_link(from, to).map_err(|e| {
            if e.kind() == std::io::ErrorKind::AlreadyExists {
                exists(to)
            } else {
                failed(e)
            }
        })?;
        removed(from)?;
    }
    let directory = to.parent().filter(|d| *d != Path::new(""));
    File::open(directory.unwrap_or(Path::new(".")))
        .and_then(|directory| directory.sync_all())
        .map_err(failed)
}

fn removed(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file(&format!("remove {}", path.display()), &e))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn exists(path: &Path) -> Error {
    let path = path.display();
    let sentence = format!("{path} exists already; name another output, or allow it: --force");
    Error::new(Kind::Io, sentence)
}

const BUFFER: usize = 128 * 1024;
