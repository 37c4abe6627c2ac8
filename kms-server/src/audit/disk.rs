//! What the writer asks of a disk. A trait because nothing else makes a disk fail on
//! demand: the promises of a log are about what holds afterwards.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::directory;

/// Where segments are written.
pub(super) trait Disk: Send {
    /// Opens a segment to write at its end, making it (mode 0600) if it is not there.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Tail>>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, dir: &Path) -> io::Result<()>;
}

/// The segment that is written.
pub(super) trait Tail: Send {
    /// Writes all of `bytes` at `offset`; after an error some of them may be there.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the segment to this length.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Makes the segment's bytes and length durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
}

/// The disk there is.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Tail>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn sync_directory(&self, dir: &Path) -> io::Result<()> {
        directory::sync(dir)
    }
}

impl Tail for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }
}
