//! sled's files: making them, opening them, and writing to them so that it lasts.

use std::fs::{File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread::park_timeout;
use std::time::Duration;

use super::{Entry, MAX_OPERATIONS, Revision, StoreError, pieces};
use crate::directory;

/// The count of commits, 8 bytes big-endian. It is written with every commit.
const COMMITS: &[u8] = b"m/commits";
/// The form of what is stored. It is written last when a store is made, and read first.
const FORM: &[u8] = b"m/form";
/// The only form there has been: entries in [`pieces`].
const FORM_1: &[u8] = b"emc2-kms store 1";

/// sled's own page cache, in bytes: everything is read once, when the store is opened.
const CACHE: u64 = 16 * 1024 * 1024;

/// What must be free on the disk before a commit begins, in bytes: room for the largest
/// commit (6.4 MB) and for what sled writes beside it.
const ROOM: u64 = 16 * 1024 * 1024;

/// The files of one store, open in this process alone.
pub(super) struct Files {
    dir: PathBuf,
    db: sled::Db,
    /// sled's data file, opened a second time, because sled does not show its own.
    data: File,
    /// The directory, locked for this process. The last field, so that sled is closed first.
    _lock: File,
}

impl Files {
    /// Makes the files of a store in `dir`, which must not exist or be empty: with these entries, as
    /// the last of them was committed.
    pub(super) fn create(dir: &Path, entries: &[Entry]) -> Result<(), StoreError> {
        directory::create(dir, |unfinished| {
            let (db, data) = open_sled(unfinished).map_err(io::Error::other)?;
            for some in entries.chunks(MAX_OPERATIONS) {
                let mut batch = sled::Batch::default();
                for Entry {
                    key,
                    value,
                    revision,
                } in some
                {
                    pieces::put(&mut batch, key, *revision, value, None);
                }
                db.apply_batch(batch)?;
            }
            let commits = entries.iter().map(|e| e.revision.0).max().unwrap_or(0);
            db.insert(COMMITS, &commits.to_be_bytes())?;
            db.insert(FORM, FORM_1)?;
            db.flush()?;
            data.sync_all()?;
            // sled never syncs its settings, nor the names of its files.
            File::open(unfinished.join("conf"))?.sync_all()?;
            directory::sync(&unfinished.join("blobs"))?;
            Ok(())
        })
        .map_err(|error: io::Error| {
            StoreError::Unavailable(if error.kind() == io::ErrorKind::AlreadyExists {
                format!(
                    "a new store needs a place of its own, and {} is not empty",
                    dir.display()
                )
            } else {
                format!("no store can be made in {}: {error}", dir.display())
            })
        })
    }

    /// Opens the files in `dir`; none is made.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        match dir.join("db").try_exists() {
            Ok(true) => {}
            Ok(false) => {
                return Err(StoreError::Unavailable(format!(
                    "there is no store in {}: is its disk mounted? A lost store is restored, \
                     or rebuilt from the changes log; it is not begun anew",
                    dir.display()
                )));
            }
            Err(error) => return Err(unavailable(dir, &error)),
        }
        let lock = lock(dir)?;
        let (db, data) = open_sled(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            db,
            data,
            _lock: lock,
        })
    }

    /// Shows every entry to `visit`, and returns the count of commits.
    pub(super) fn read(
        &self,
        visit: impl FnMut(String, Revision, Vec<u8>),
    ) -> Result<u64, StoreError> {
        without_panic(|| read(&self.db, visit))
    }

    /// Refuses when the disk is full. sled does not survive that, so that it never gets to
    /// see it: nothing was written, nothing is in doubt, and the next commit looks again.
    pub(super) fn has_room(&self) -> Result<(), StoreError> {
        let room = rustix::fs::fstatvfs(&self.data)
            .map_err(|error| unavailable(&self.dir, &error.into()))?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        if free < ROOM {
            return Err(StoreError::Unavailable(format!(
                "the disk of {} is full: {free} bytes are free, {ROOM} are needed",
                self.dir.display()
            )));
        }
        Ok(())
    }

    /// Writes commit number `commits`: durable when this returns; after an error, on disk or
    /// not.
    pub(super) fn write(&self, commits: u64, mut batch: sled::Batch) -> Result<(), sled::Error> {
        batch.insert(COMMITS, &commits.to_be_bytes());
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        // What makes it durable: sled's own `flush` does not.
        self.data.sync_data()?;
        Ok(())
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Locks a directory for this process, until what it returns is dropped.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let lock = File::open(dir).map_err(|error| unavailable(dir, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
            "another process has the store in {} open: stop that server first",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unavailable(dir, &error)),
    }
}

fn open_sled(dir: &Path) -> Result<(sled::Db, File), StoreError> {
    let data = dir.join("db");
    // Threads of a store that was closed in this process may hold sled's own lock a little
    // longer; sled itself does not wait for them.
    for _ in 0..500 {
        match File::open(&data).map(|file| file.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => park_timeout(Duration::from_millis(10)),
            Ok(Ok(()) | Err(TryLockError::Error(_))) | Err(_) => break,
        }
    }
    let config = sled::Config::new().path(dir).cache_capacity(CACHE);
    let db = without_panic(|| config.open().map_err(|error| damage_or_failure(dir, error)))?;
    let data = File::open(&data).map_err(|error| unavailable(&data, &error))?;
    Ok((db, data))
}

fn read(
    db: &sled::Db,
    mut visit: impl FnMut(String, Revision, Vec<u8>),
) -> Result<u64, StoreError> {
    let read = |key| db.get(key).map_err(|error| corrupt(&error.to_string()));
    if read(FORM)?.as_deref() != Some(FORM_1) {
        return Err(corrupt("it does not say that it is a store of this server"));
    }
    let commits = read(COMMITS)?
        .and_then(|bytes| <[u8; 8]>::try_from(bytes.as_ref()).ok())
        .map(u64::from_be_bytes)
        .ok_or_else(|| corrupt("its count of commits is missing"))?;
    pieces::scan(db, |key, revision, value| {
        if revision.0 > commits {
            return Err(corrupt(&format!("`{key}` is newer than the store")));
        }
        visit(key, revision, value);
        Ok(())
    })?;
    Ok(commits)
}

/// Some damage makes sled panic instead of answering.
fn without_panic<T>(read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(corrupt("it cannot be read")))
}

fn corrupt(why: &str) -> StoreError {
    StoreError::Corrupt(why.to_owned())
}

fn unavailable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

fn damage_or_failure(dir: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) => unavailable(dir, &error),
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. } => corrupt(&format!("{}: {error}", dir.display())),
    }
}
