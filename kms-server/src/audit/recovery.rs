//! What a log's directory holds, when it is opened.
//!
//! One thing is repaired: behind the acknowledged entries, at the very end, a power cut or a
//! killed process may have left part of a write, and it is cut off. Entries there that are
//! whole stay: nobody was told of them, but they happened. Everything else that is not as it
//! was written is a loss, and refused.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::mark::Mark;
use super::segment::{self, Segment};
use super::{Check, LogError};
use crate::directory;

/// Copied at once.
const CHUNK: usize = 1024 * 1024;

/// The segments of the log in `dir`, in order; what they hold is durable.
pub(super) fn recover(dir: &Path, mark: &Mark, check: Check) -> Result<Vec<Segment>, LogError> {
    let acknowledged = mark.get()?;
    let mut firsts = names(dir)?;
    let mut segments = Vec::new();
    if let Some(last) = firsts.pop() {
        for first in firsts {
            follows(&segments, first)?;
            segments.push(sealed(dir, first)?);
        }
        follows(&segments, last)?;
        segments.push(newest(dir, last, acknowledged, check)?);
    }
    let entries = segments.last().map_or(0, Segment::next);
    if entries < acknowledged {
        return Err(lost(entries, acknowledged));
    }
    directory::sync(dir)
        .and_then(|()| mark.set(entries))
        .map_err(|error| LogError::NotOpened(format!("{}: {error}", dir.display())))?;
    Ok(segments)
}

/// The first indices of all segments, sorted. What is not named like one is not ours.
fn names(dir: &Path) -> Result<Vec<u64>, LogError> {
    let not_opened = |error| LogError::NotOpened(format!("{}: {error}", dir.display()));
    let mut firsts = Vec::new();
    for file in fs::read_dir(dir).map_err(not_opened)? {
        let name = file.map_err(not_opened)?.file_name();
        firsts.extend(name.to_str().and_then(segment::first_of_name));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

fn follows(segments: &[Segment], first: u64) -> Result<(), LogError> {
    let expected = segments.last().map_or(0, Segment::next);
    if first == expected {
        Ok(())
    } else {
        Err(LogError::Damaged(format!(
            "the segment that begins with entry {expected} is missing: there is one that \
             begins with entry {first}"
        )))
    }
}

/// A segment that others follow: it was complete before they were begun.
fn sealed(dir: &Path, first: u64) -> Result<Segment, LogError> {
    let mut segment = Segment::empty(first);
    let path = segment.path(dir);
    let failed = |error: io::Error| LogError::NotOpened(format!("{}: {error}", path.display()));
    let file = File::open(&path).map_err(failed)?;
    segment::walk(&file, 0, |entry| {
        segment.push(entry);
        !segment.is_full()
    })
    .map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if !segment.is_full() || segment.bytes() != length {
        return Err(LogError::Damaged(format!(
            "{} holds {} whole entries in {} of {length} bytes, but another segment follows",
            path.display(),
            segment.next() - first,
            segment.bytes(),
        )));
    }
    Ok(segment)
}

/// The segment that was written last.
fn newest(dir: &Path, first: u64, acknowledged: u64, check: Check) -> Result<Segment, LogError> {
    let mut segment = Segment::empty(first);
    let path = segment.path(dir);
    let failed = |error: io::Error| LogError::NotOpened(format!("{}: {error}", path.display()));
    let file = OpenOptions::new().read(true).write(true).open(&path);
    let file = file.map_err(failed)?;
    let mut acknowledged_bytes = 0;
    segment::walk(&file, 0, |entry| {
        let whole = check(segment.next(), entry);
        if whole {
            segment.push(entry);
            if segment.next() <= acknowledged {
                acknowledged_bytes = segment.bytes();
            }
        }
        whole && !segment.is_full()
    })
    .map_err(failed)?;
    if segment.next() < acknowledged {
        return Err(lost(segment.next(), acknowledged));
    }

    let length = file.metadata().map_err(failed)?.len();
    let torn = length.saturating_sub(segment.bytes());
    if torn > 0 && segment.is_full() {
        return Err(LogError::Damaged(format!(
            "{} goes on for {torn} bytes behind its last entry",
            path.display()
        )));
    }
    if torn > 0 {
        tracing::warn!(segment = %path.display(), bytes = torn, entries = segment.next(),
            "the log ends in a torn write, which is cut off");
        file.set_len(segment.bytes()).map_err(failed)?;
    }
    write_again(&file, acknowledged_bytes, segment.bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(segment)
}

/// Writes what the file holds from `from` to `to` over itself. If an `fdatasync` failed
/// before the restart, these bytes may be in memory only and count as clean: syncing them
/// would succeed and do nothing.
fn write_again(file: &File, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let left = usize::try_from(to - at).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(CHUNK)];
        file.read_exact_at(&mut bytes, at)?;
        file.write_all_at(&bytes, at)?;
        at += segment::length(bytes.len());
    }
    Ok(())
}

fn lost(entries: u64, acknowledged: u64) -> LogError {
    LogError::Damaged(format!(
        "{acknowledged} entries were acknowledged and {entries} can be read: records are \
         lost. Restore the log from its copy; do not delete what is left"
    ))
}
