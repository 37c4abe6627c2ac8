//! The directories of a deployment: bringing a copy of its logs in, setting its store aside.

use crate::{audit, directory};
use kms_core::command::LogName;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Brings the logs of a copy into the data directory, where it has none. A log that is there already
/// must be that one, or go on from it.
pub(super) fn bring(data: &Path, from: Option<&Path>) -> Result<(), String> {
    let Some(from) = from else {
        return Ok(());
    };
    let failed = |place: &Path, e: &io::Error| format!("{}: {e}", place.display());
    fs::create_dir_all(data).map_err(|e| failed(data, &e))?;
    for log in [LogName::Changes, LogName::Uses] {
        let (theirs, ours) = (from.join(log.name()), data.join(log.name()));
        if !theirs.join(MARK).exists() {
            return Err(format!(
                "there is no log in {}: --from-audit takes a directory that holds `changes` and \
                 `uses`",
                theirs.display()
            ));
        }
        if !ours.exists() {
            directory::create(&ours, |unfinished| copy(&theirs, unfinished))
                .map_err(|e: io::Error| failed(&theirs, &e))?;
        } else if !goes_on(&ours, &theirs).map_err(|e| failed(&theirs, &e))? {
            return Err(format!(
                "there is a log in {} already, and it is not the one in {}: leave the directory \
                 away to rebuild from the one that is there, or move that one to another place",
                ours.display(),
                theirs.display()
            ));
        }
    }
    Ok(())
}

/// Gives a store another name beside its own; it is never deleted.
pub(super) fn set_aside(store: &Path) -> Result<PathBuf, String> {
    let failed = |e: io::Error| format!("{}: {e}", store.display());
    let mut number = 1;
    let aside = loop {
        let mut name = store.as_os_str().to_owned();
        name.push(format!(".aside-{number}"));
        let place = PathBuf::from(name);
        if !place.exists() {
            break place;
        }
        number += 1;
    };
    fs::rename(store, &aside).map_err(failed)?;
    let parent = store.parent().unwrap_or_else(|| Path::new("."));
    directory::sync(parent).map_err(failed)?;
    Ok(aside)
}

/// What makes a directory a log.
const MARK: &str = "mark";

/// Everything in it, durably.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (theirs, copied) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            DirBuilder::new().mode(0o700).create(&copied)?;
            copy(&theirs, &copied)?;
            directory::sync(&copied)?;
        } else {
            fs::copy(&theirs, &copied)?;
            File::open(copied)?.sync_all()?;
        }
    }
    Ok(())
}

/// Whether each segment of theirs begins ours of the same name: the rest follows from the entries.
fn goes_on(ours: &Path, theirs: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(theirs)? {
        let name = entry?.file_name();
        let segment = name.to_str().is_some_and(audit::is_segment);
        if segment && !begins(&theirs.join(&name), &ours.join(&name))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn begins(short: &Path, long: &Path) -> io::Result<bool> {
    let length = fs::metadata(short)?.len();
    let long = match File::open(long) {
        Ok(long) => long,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    let (mut short, mut long) = (
        io::BufReader::new(File::open(short)?),
        io::BufReader::new(long.take(length)),
    );
    let (mut one, mut other) = ([0; 8192], Vec::new());
    loop {
        let read = short.read(&mut one)?;
        let mine = one.get(..read).unwrap_or_default();
        other.resize(read, 0);
        match long.read_exact(&mut other) {
            Ok(()) if mine != other => return Ok(false),
            Ok(()) if read == 0 => return Ok(true),
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(e),
        }
    }
}
