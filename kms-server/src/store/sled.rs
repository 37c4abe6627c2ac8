//! The embedded store: one server, one directory, sled 0.34 underneath.
//!
//! sled holds what is on disk; everything that was committed is also in memory, and only
//! what is durable is there. So a reader never waits for a disk, sees whole commits, and
//! never sees what a power cut would take back; damage shows when the store is opened and
//! not months later. The price is memory: thousands of documents, not millions.
//!
//! Measured traps of sled 0.34, each of which one line here exists for: `flush` ends in
//! `sync_file_range`, which is no promise of durability; `flush_async` deadlocks; values
//! beyond about 128 KiB go to files that are never synced; damage may panic.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::{Check, Entry, Revision, Store, StoreError, Write, limits};
use crate::directory;

/// The prefix of our own entries' keys in sled; what is in none is the store's own.
const ENTRIES: &[u8] = b"e/";
/// The count of commits, 8 bytes big-endian. It is written with every commit.
const COMMITS: &[u8] = b"m/commits";
/// The form of what is stored. It is written last when a store is made, and read first.
const FORM: &[u8] = b"m/form";
/// The only form there has been: an entry is its revision (8 bytes big-endian), then its value.
const FORM_1: &[u8] = b"emc2-kms store 1";

/// sled's own page cache, in bytes: everything is read once, when the store is opened.
const CACHE: u64 = 16 * 1024 * 1024;

/// The embedded store of a deployment with one server.
pub struct SledStore {
    inner: Arc<Inner>,
}

impl SledStore {
    /// Makes an empty store in `dir`, which must not exist or be empty, and opens it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: there is no store in `dir`, or there was something in it
    /// before.
    pub fn create(dir: &Path) -> Result<Self, StoreError> {
        directory::create(dir, |unfinished| {
            let (db, file) = open_files(unfinished).map_err(io::Error::other)?;
            db.insert(COMMITS, &0_u64.to_be_bytes())?;
            db.insert(FORM, FORM_1)?;
            db.flush()?;
            file.sync_all()?;
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
        })?;
        Self::open(dir)
    }

    /// Opens the store in `dir`, for this process alone. A store that is not there is never
    /// made: it has been lost.
    ///
    /// Everything is read and checked, so that this takes time in proportion to the store.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it is not there or another process has it,
    /// [`StoreError::Corrupt`] when what is there was not written by this store.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        match dir.join("db").try_exists() {
            Ok(true) => {}
            Ok(false) => {
                return Err(StoreError::Unavailable(format!(
                    "there is no store in {}: is its disk mounted? A lost store is restored, \
                     or rebuilt from the changes log; it is not begun anew",
                    dir.display()
                )));
            }
            Err(error) => return Err(StoreError::Unavailable(format!("{dir:?}: {error}"))),
        }
        let (db, file) = open_files(dir)?;
        let view = load(&db)?;
        Ok(Self {
            inner: Arc::new(Inner {
                db,
                file,
                view: RwLock::new(view),
                writer: Arc::new(Mutex::new(())),
            }),
        })
    }
}

#[async_trait]
impl Store for SledStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        limits::key(key)?;
        let view = self.inner.view()?;
        Ok(view.entries.get(key).map(|stored| stored.entry(key)))
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        limits::scan(prefix, after, limit)?;
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let view = self.inner.view()?;
        Ok(view
            .entries
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, stored)| stored.entry(key))
            .collect())
    }

    async fn commit(&self, checks: &[Check], writes: &[Write]) -> Result<Revision, StoreError> {
        limits::commit(checks, writes)?;
        // The lock goes to the blocking thread with the work: a caller that goes away does
        // not let the next writer in while its own commit is under way.
        let writing = Arc::clone(&self.inner.writer).lock_owned().await;
        let inner = Arc::clone(&self.inner);
        let (checks, writes) = (checks.to_vec(), writes.to_vec());
        let committed = spawn_blocking(move || {
            let _writing = writing;
            inner.commit(&checks, writes)
        });
        committed.await.unwrap_or_else(|error| {
            Err(self
                .inner
                .broken(format!("the commit did not come back: {error}")))
        })
    }
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore").finish_non_exhaustive()
    }
}

struct Inner {
    db: sled::Db,
    /// sled's data file, opened a second time, because sled does not show its own.
    file: File,
    view: RwLock<View>,
    /// Held from a commit's first check to its end.
    writer: Arc<Mutex<()>>,
}

/// What is durable.
#[derive(Default)]
struct View {
    entries: BTreeMap<String, Stored>,
    commits: u64,
    /// Set for good by a commit whose end was not seen: from then on memory and disk may
    /// differ, and only opening the store again tells which of them is right.
    broken: Option<String>,
}

struct Stored {
    value: Vec<u8>,
    revision: Revision,
}

impl Stored {
    fn entry(&self, key: &str) -> Entry {
        Entry {
            key: key.to_owned(),
            value: self.value.clone(),
            revision: self.revision,
        }
    }
}

impl Inner {
    fn view(&self) -> Result<RwLockReadGuard<'_, View>, StoreError> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        match &view.broken {
            None => Ok(view),
            Some(why) => Err(StoreError::Unavailable(format!(
                "a commit failed and left the store in doubt ({why}): restart the server"
            ))),
        }
    }

    /// Only the holder of `writer` calls this.
    fn commit(&self, checks: &[Check], writes: Vec<Write>) -> Result<Revision, StoreError> {
        let revision = {
            let view = self.view()?;
            for check in checks {
                let now = view.entries.get(check.key()).map(|stored| stored.revision);
                let holds = match check {
                    Check::Absent(_) => now.is_none(),
                    Check::At(_, revision) => now == Some(*revision),
                };
                if !holds {
                    return Err(StoreError::Conflict {
                        key: check.key().to_owned(),
                    });
                }
            }
            view.commits
                .checked_add(1)
                .map(Revision)
                .ok_or_else(|| StoreError::Corrupt("the count of commits is at its end".into()))?
        };
        self.write(revision, &writes)
            .map_err(|why| self.broken(why.to_string()))?;

        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        view.commits = revision.0;
        for write in writes {
            match write {
                Write::Put(key, value) => {
                    view.entries.insert(key, Stored { value, revision });
                }
                Write::Delete(key) => {
                    view.entries.remove(&key);
                }
            }
        }
        Ok(revision)
    }

    /// Durable when it returns; after an error, on disk or not.
    fn write(&self, revision: Revision, writes: &[Write]) -> Result<(), sled::Error> {
        let commits = revision.0.to_be_bytes();
        let mut batch = sled::Batch::default();
        batch.insert(COMMITS, &commits);
        for write in writes {
            let key = [ENTRIES, write.key().as_bytes()].concat();
            match write {
                Write::Put(_, value) => batch.insert(key, [&commits, value.as_slice()].concat()),
                Write::Delete(_) => batch.remove(key),
            }
        }
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        // What makes it durable: see the head of this file.
        self.file.sync_data()?;
        Ok(())
    }

    fn broken(&self, why: String) -> StoreError {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        view.broken.get_or_insert_with(|| why.clone());
        StoreError::Unknown(why)
    }
}

/// Opens sled's files in a directory that is there; sled locks its own for this process.
fn open_files(dir: &Path) -> Result<(sled::Db, File), StoreError> {
    let data = dir.join("db");
    if is_locked(&data) {
        return Err(StoreError::Unavailable(format!(
            "another process has the store in {} open: stop that server first",
            dir.display()
        )));
    }
    let config = sled::Config::new().path(dir).cache_capacity(CACHE);
    // Some damage makes sled panic instead of answering; what it holds is thrown away.
    let db = catch_unwind(AssertUnwindSafe(|| config.open()))
        .unwrap_or_else(|_| Err(sled::Error::ReportableBug("it cannot be read".into())))
        .map_err(|error| damage_or_failure(dir, error))?;
    let file = File::open(&data)
        .map_err(|error| StoreError::Unavailable(format!("{}: {error}", data.display())))?;
    Ok((db, file))
}

/// Whether another process holds sled's lock. Asked beforehand, because sled tells it only
/// in words; that the answer may be stale by the time sled asks costs a worse sentence.
fn is_locked(data: &Path) -> bool {
    match File::open(data).map(|file| file.try_lock()) {
        Ok(Err(std::fs::TryLockError::WouldBlock)) => true,
        Ok(Ok(()) | Err(std::fs::TryLockError::Error(_))) | Err(_) => false,
    }
}

fn load(db: &sled::Db) -> Result<View, StoreError> {
    let read = |key| db.get(key).map_err(|error| corrupt(error.to_string()));
    if read(FORM)?.as_deref() != Some(FORM_1) {
        return Err(corrupt(
            "it does not say that it is a store of this server".to_owned(),
        ));
    }
    let commits = read(COMMITS)?
        .and_then(|bytes| <[u8; 8]>::try_from(bytes.as_ref()).ok())
        .map(u64::from_be_bytes)
        .ok_or_else(|| corrupt("its count of commits is missing".to_owned()))?;
    let mut view = View {
        commits,
        ..View::default()
    };
    for item in db.scan_prefix(ENTRIES) {
        let (key, value) = item.map_err(|error| corrupt(error.to_string()))?;
        let (key, stored) = decode(&key, &value)
            .ok_or_else(|| corrupt(format!("entry number {}", view.entries.len())))?;
        if stored.revision.0 > commits {
            return Err(corrupt(format!("`{key}` is newer than the store")));
        }
        view.entries.insert(key, stored);
    }
    Ok(view)
}

fn decode(key: &[u8], value: &[u8]) -> Option<(String, Stored)> {
    let key = std::str::from_utf8(key.strip_prefix(ENTRIES)?).ok()?;
    limits::key(key).ok()?;
    let (revision, value) = value.split_first_chunk::<8>()?;
    let stored = Stored {
        value: value.to_vec(),
        revision: Revision(u64::from_be_bytes(*revision)),
    };
    Some((key.to_owned(), stored))
}

fn corrupt(why: String) -> StoreError {
    StoreError::Corrupt(why)
}

fn damage_or_failure(dir: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) => StoreError::Unavailable(format!("{}: {error}", dir.display())),
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. } => corrupt(format!("{}: {error}", dir.display())),
    }
}
