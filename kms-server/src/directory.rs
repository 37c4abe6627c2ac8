//! A directory of ours that appears complete or not at all.
//!
//! The store and the logs each live in a directory that is made once, by `init`, and never
//! again: what is not there when the server starts has been lost, and must not be mistaken
//! for a new beginning. So nothing but [`create`] makes one, and a crash half-way leaves
//! only a `.new` sibling, which nothing ever opens and the next attempt replaces.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Makes `dir` (mode 0700) with what `fill` puts into it, durably.
///
/// `fill` works in a sibling directory and must have closed its files when it returns;
/// making the files' own bytes durable is its business, the directory entries are ours.
/// The parent directory must exist.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when there is something in `dir` already: nothing was
/// changed. Any other error: `dir` was not made, and the call can be repeated.
pub fn create<E: From<io::Error>>(
    dir: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    match fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(E::from(io::ErrorKind::AlreadyExists.into()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let unfinished = unfinished(dir);
    match fs::remove_dir_all(&unfinished) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    DirBuilder::new().mode(0o700).create(&unfinished)?;
    fill(&unfinished)?;
    sync(&unfinished)?;
    fs::rename(&unfinished, dir)?;
    sync(parent(dir))?;
    Ok(())
}

/// Makes the entries of `dir` (files created in it, renamed, removed) durable: the `fsync`
/// of the directory that POSIX asks for beside that of the file.
///
/// # Errors
/// That of the system; whether the entries are durable is then not known.
pub fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn unfinished(dir: &Path) -> PathBuf {
    let mut name = OsString::from(dir);
    name.push(".new");
    PathBuf::from(name)
}

fn parent(dir: &Path) -> &Path {
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}
