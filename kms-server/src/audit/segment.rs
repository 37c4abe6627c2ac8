//! One file of a log, and where the entries lie in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use kms_core::frame::{self, Frame};

/// The entries of a full segment.
pub(super) const ENTRIES: u64 = 65_536;

/// The entries of a full C2SP entry bundle: one lookup leads to the beginning of a bundle.
pub(super) const BUNDLE: u64 = 256;

/// Read at once; more than the longest frame.
const CHUNK: usize = 128 * 1024;

/// What is known of a segment without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    first: u64,
    entries: u64,
    bytes: u64,
    /// Where each begun bundle begins in the file.
    bundles: Vec<u64>,
}

impl Segment {
    /// The segment whose first entry will have the index `first`.
    pub(super) fn empty(first: u64) -> Self {
        Self {
            first,
            entries: 0,
            bytes: 0,
            bundles: Vec::new(),
        }
    }

    /// The index of its first entry.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The index behind its last entry.
    pub(super) fn next(&self) -> u64 {
        self.first + self.entries
    }

    /// The length of its entries, framed.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries >= ENTRIES
    }

    /// Takes note of an entry behind the last.
    pub(super) fn push(&mut self, entry: &[u8]) {
        if self.entries.is_multiple_of(BUNDLE) {
            self.bundles.push(self.bytes);
        }
        self.entries += 1;
        self.bytes += length(frame::HEADER) + length(entry.len());
    }

    /// The first index and the offset of the bundle that holds the entry at `index`.
    pub(super) fn bundle_of(&self, index: u64) -> Option<(u64, u64)> {
        let within = index.checked_sub(self.first)?;
        if within >= self.entries {
            return None;
        }
        let bundle = within / BUNDLE;
        let offset = self.bundles.get(usize::try_from(bundle).ok()?)?;
        Some((self.first + bundle * BUNDLE, *offset))
    }

    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{:020}.log", self.first))
    }
}

/// The first index that a segment's file name tells; `None` if it is no such name.
pub(super) fn first_of_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let first = digits.parse().ok()?;
    (format!("{first:020}") == digits).then_some(first)
}

/// Shows the entries of `file` from `offset` on, in order, to `visit`, until it says `false`,
/// or the file ends, or what follows is no whole entry.
pub(super) fn walk(
    file: &File,
    offset: u64,
    mut visit: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    let mut held = Vec::new();
    let mut offset = offset;
    loop {
        let read = read_more(file, offset, &mut held)?;
        offset += length(read);
        let mut bytes = held.as_slice();
        loop {
            match frame::first(bytes) {
                Frame::Whole { entry, rest } => {
                    if !visit(entry) {
                        return Ok(());
                    }
                    bytes = rest;
                }
                Frame::Short => break,
                Frame::Empty => return Ok(()),
            }
        }
        if read == 0 {
            return Ok(());
        }
        let visited = held.len() - bytes.len();
        held.drain(..visited);
    }
}

/// Appends up to a chunk of `file`, from `offset` on, to `held`; 0 only at its end.
fn read_more(file: &File, offset: u64, held: &mut Vec<u8>) -> io::Result<usize> {
    let before = held.len();
    held.resize(before + CHUNK, 0);
    let (_, free) = held.split_at_mut(before);
    let read = loop {
        match file.read_at(free, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    held.truncate(before + read);
    Ok(read)
}

/// A length in memory as one in a file. No machine has memory beyond 64 bits.
pub(super) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
