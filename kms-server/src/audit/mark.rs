//! How many entries of a log were acknowledged: the line between a torn write, which may be
//! cut off, and a loss, which may not.
//!
//! It is written after each `fdatasync` of entries and not synced itself: it survives the
//! process, and after a power cut it may be old, but it never says more than is durable. It
//! is also what the process locks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::LogError;

const NAME: &str = "mark";

/// The count of acknowledged entries, 8 bytes big-endian in a file.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
}

impl Mark {
    /// Writes the mark of an empty log, durably but for its name.
    pub(super) fn create(dir: &Path) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(dir.join(NAME))?;
        file.write_all_at(&0_u64.to_be_bytes(), 0)?;
        file.sync_all()
    }

    /// Opens the mark of a log and locks it until it is dropped.
    pub(super) fn open(dir: &Path) -> Result<Self, LogError> {
        let not_opened = |why: String| LogError::NotOpened(format!("{}: {why}", dir.display()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(dir.join(NAME))
            .map_err(|error| {
                not_opened(if error.kind() == io::ErrorKind::NotFound {
                    "there is no log: is its disk mounted? A lost log is restored, it is not \
                     begun anew"
                        .to_owned()
                } else {
                    error.to_string()
                })
            })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(not_opened(
                "another process has it open: stop that server first".to_owned(),
            )),
            Err(TryLockError::Error(error)) => Err(not_opened(error.to_string())),
        }
    }

    pub(super) fn get(&self) -> Result<u64, LogError> {
        let mut count = [0; 8];
        let read = self.file.read_exact_at(&mut count, 0);
        let length = self.file.metadata().map(|metadata| metadata.len());
        match (read, length) {
            (Ok(()), Ok(8)) => Ok(u64::from_be_bytes(count)),
            (Ok(()), Ok(_)) | (Err(_), Ok(_)) => Err(LogError::Damaged(
                "its mark is not 8 bytes long: how much was acknowledged is not known".to_owned(),
            )),
            (Ok(()) | Err(_), Err(error)) => Err(LogError::NotOpened(error.to_string())),
        }
    }

    /// After an error the mark says what it said before, which is true but less.
    pub(super) fn set(&self, count: u64) -> io::Result<()> {
        self.file.write_all_at(&count.to_be_bytes(), 0)
    }
}
