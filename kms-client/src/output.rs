//! A file that appears whole or not at all.

use crate::{Error, Kind};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::NamedTempFile;

/// Where a result goes: a file that gets its name only once it is complete and on the disk, or the
/// standard output, which cannot take anything back.
#[derive(Debug)]
pub struct Output {
    place: Place,
}

#[derive(Debug)]
enum Place {
    File {
        temporary: NamedTempFile,
        path: PathBuf,
        replace: bool,
    },
    Standard(io::Stdout),
}

impl Output {
    /// Begins a file beside `path`, readable by its owner alone. Until [`Output::commit`] it has
    /// another, hidden name; if it is dropped before, it is removed.
    ///
    /// # Errors
    /// [`Kind::Io`] when `path` exists and is not to be replaced, or when its directory cannot be
    /// written.
    pub fn file(path: &Path, replace: bool) -> Result<Self, Error> {
        if !replace && path.symlink_metadata().is_ok() {
            return Err(Error::new(Kind::Io, exists(path)));
        }
        let temporary = tempfile::Builder::new()
            .prefix(".kms-")
            .suffix(".part")
            .tempfile_in(directory(path))
            .map_err(|e| Error::file(&format!("write {}", path.display()), &e))?;
        unfinished(|paths| paths.insert(temporary.path().to_owned()));
        Ok(Self {
            place: Place::File {
                temporary,
                path: path.to_owned(),
                replace,
            },
        })
    }

    /// The standard output. What was written stays written if the work fails later: a reader must
    /// look at the exit code.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            place: Place::Standard(io::stdout()),
        }
    }

    /// Forces the content to the disk and gives the file its name, in one step.
    ///
    /// # Errors
    /// [`Kind::Io`]; then there is no file under that name, or the one that was there before.
    pub fn commit(self) -> Result<(), Error> {
        match &self.place {
            Place::File { path, replace, .. } => {
                let (path, replace) = (path.clone(), *replace);
                self.persist(&path, replace)
            }
            Place::Standard(_) => self.persist(Path::new("-"), false),
        }
    }

    /// The same under another name, which says that it is not whole; what was there before is
    /// replaced. It must be beside the output's own.
    ///
    /// # Errors
    /// As [`Output::commit`].
    pub fn keep(self, path: &Path) -> Result<(), Error> {
        self.persist(path, true)
    }

    fn persist(mut self, path: &Path, replace: bool) -> Result<(), Error> {
        self.flush()
            .map_err(|e| Error::file("finish the output", &e))?;
        let Place::File { temporary, .. } = self.place else {
            return Ok(());
        };
        let doing = format!("write {}", path.display());
        let failed = |e: io::Error| Error::file(&doing, &e);
        temporary.as_file().sync_all().map_err(failed)?;
        let hidden = temporary.path().to_owned();
        let kept = if replace {
            temporary.persist(path)
        } else {
            temporary.persist_noclobber(path)
        };
        unfinished(|paths| paths.remove(&hidden));
        kept.map_err(|e| {
            if e.error.kind() == io::ErrorKind::AlreadyExists {
                Error::new(Kind::Io, exists(path))
            } else {
                failed(e.error)
            }
        })?;
        File::open(directory(path))
            .and_then(|held| held.sync_all())
            .map_err(failed)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::File { temporary, .. } => temporary.write(bytes),
            Place::Standard(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::File { temporary, .. } => temporary.flush(),
            Place::Standard(stdout) => stdout.flush(),
        }
    }
}

/// Removes every file of this process that was begun and not committed. For a program that is about
/// to exit on a signal: a process that exits drops nothing.
pub fn discard_unfinished() {
    unfinished(|paths| {
        for path in std::mem::take(paths) {
            // Nobody is left to tell; the file is hidden and its name says that it is partial.
            drop(std::fs::remove_file(path));
        }
    });
}

/// Paths that a signal must remove. Process-wide, as signals are.
fn unfinished<T>(act: impl FnOnce(&mut BTreeSet<PathBuf>) -> T) -> T {
    static PATHS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    act(&mut PATHS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}

fn exists(path: &Path) -> String {
    format!(
        "{} exists already; name another output, or allow replacing it (kms: --force)",
        path.display()
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let mut output = Output::file(&path, false).unwrap();
        output.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(output);
        assert!(names(place.path()).is_empty());

        let mut output = Output::file(&path, false).unwrap();
        output.write_all(b"whole").unwrap();
        output.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(place.path()), ["out"]);
    }

    #[test]
    fn what_exists_is_replaced_only_when_allowed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let late = Output::file(&path, false).unwrap();
        std::fs::write(&path, "there first").unwrap();
        assert_eq!(Output::file(&path, false).unwrap_err().kind(), Kind::Io);
        assert_eq!(late.commit().unwrap_err().kind(), Kind::Io);
        assert_eq!(std::fs::read(&path).unwrap(), b"there first");

        let mut output = Output::file(&path, true).unwrap();
        output.write_all(b"new").unwrap();
        output.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(place.path()), ["out"]);
    }
}
