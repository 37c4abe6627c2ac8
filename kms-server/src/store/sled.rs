//! The embedded store: one server, one directory, sled 0.34 underneath.
//!
//! sled holds what is on disk; everything that was committed is also in memory, and only
//! what is durable is there. So a reader never waits for a disk, sees whole commits, and
//! never sees what a power cut would take back; damage shows when the store is opened and
//! not months later. The price is memory: thousands of documents, not millions.
//!
//! Measured traps of sled 0.34, each of which something here exists for: `flush` ends in
//! `sync_file_range`, which is no promise of durability; `flush_async` deadlocks; a page (up
//! to 17 values) beyond 128 KiB goes to a file of its own that is never synced, so that a
//! value is kept in pieces of 2 KiB; a failed write may leave `flush` waiting for ever, so
//! that a commit has a deadline, a thread that nobody has to wait for, and begins only when
//! the disk has room to spare; damage may panic.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::files::Files;
use super::{Check, Entry, Revision, Store, StoreError, Write, limits, pieces};
use crate::health::Health;

/// How long the writer may finish nothing before what it writes counts as lost: far beyond a
/// slow disk.
const DEADLINE: Duration = Duration::from_secs(20);

/// Callers that wait for the writer.
const QUEUE: usize = 256;

/// The embedded store of a deployment with one server.
///
/// Dropping it waits for the commits that are queued.
pub struct SledStore {
    inner: Arc<Inner>,
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl SledStore {
    /// Makes an empty store in `dir`, which must not exist or be empty, and opens it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: there is no store in `dir`, or there was something in it
    /// before.
    pub fn create(dir: &Path) -> Result<Self, StoreError> {
        Files::create(dir, &[])?;
        Self::open(dir)
    }

    /// Makes a store in `dir`, which must not exist or be empty, of what one held that was lost, and
    /// opens it. It appears complete or not at all, and goes on from the latest revision in it.
    ///
    /// # Errors
    /// As [`SledStore::create`], and what is no entry is refused.
    pub fn rebuild(dir: &Path, entries: &[Entry]) -> Result<Self, StoreError> {
        limits::entries(entries)?;
        Files::create(dir, entries)?;
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
        let files = Files::open(dir)?;
        let mut view = View::default();
        view.commits = files.read(|key, revision, value| {
            view.entries.insert(key, Stored { value, revision });
        })?;
        let inner = Arc::new(Inner {
            files,
            view: RwLock::new(view),
            done: AtomicU64::new(0),
            health: watch::Sender::new(Health::Serving),
        });
        let (queue, jobs) = mpsc::channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn({
                let inner = Arc::clone(&inner);
                move || inner.run(jobs)
            })
            .map_err(|error| StoreError::Unavailable(format!("no thread to write it: {error}")))?;
        Ok(Self {
            inner,
            queue: Some(queue),
            writer: Some(writer),
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
        let (answer, answered) = oneshot::channel();
        let job = Job {
            checks: checks.to_vec(),
            writes: writes.to_vec(),
            answer,
        };
        drop(self.inner.view()?);
        let gone = || StoreError::Unavailable("the store's writer has ended".to_owned());
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue
            .send_timeout(job, DEADLINE)
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        self.answer(answered).await
    }

    fn has_room(&self) -> Result<(), StoreError> {
        self.inner.files.has_room()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.inner.health.subscribe()
    }
}

impl SledStore {
    /// Waits for as long as the writer gets anything done.
    async fn answer(&self, mut answered: Answered) -> Result<Revision, StoreError> {
        let mut done = self.inner.done.load(Ordering::Relaxed);
        loop {
            match timeout(DEADLINE, &mut answered).await {
                Ok(Ok(result)) => return result,
                Ok(Err(_)) => return Err(self.inner.broken("the writer panicked".to_owned())),
                Err(_) => {
                    let now = self.inner.done.load(Ordering::Relaxed);
                    if now == done {
                        return Err(self.inner.broken("the disk does not answer".to_owned()));
                    }
                    done = now;
                }
            }
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.queue = None;
        // In doubt, the writer may never come back: it is left to the end of the process.
        let in_doubt = self.inner.view().is_err();
        if let Some(writer) = self.writer.take()
            && !in_doubt
            && writer.join().is_err()
        {
            tracing::error!("the store's writer ended in a panic");
        }
    }
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore")
            .field("dir", &self.inner.files.dir())
            .finish_non_exhaustive()
    }
}

/// A commit to be, and who waits for it.
struct Job {
    checks: Vec<Check>,
    writes: Vec<Write>,
    answer: oneshot::Sender<Result<Revision, StoreError>>,
}

type Answered = oneshot::Receiver<Result<Revision, StoreError>>;

struct Inner {
    files: Files,
    view: RwLock<View>,
    /// Commits that came to an end, good or bad.
    done: AtomicU64,
    health: watch::Sender<Health>,
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

    /// The one writer, until nobody can ask any more.
    fn run(&self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.blocking_recv() {
            let result = self.commit(&job.checks, job.writes);
            self.done.fetch_add(1, Ordering::Relaxed);
            if job.answer.send(result).is_err() {
                tracing::debug!("the caller of a commit went away before its answer");
            }
        }
    }

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
        self.files.has_room()?;
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
        let mut batch = sled::Batch::default();
        {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            for write in writes {
                let old = view
                    .entries
                    .get(write.key())
                    .map(|old| old.value.as_slice());
                match write {
                    Write::Put(key, value) => pieces::put(&mut batch, key, revision, value, old),
                    Write::Delete(key) => pieces::delete(&mut batch, key, old),
                }
            }
        }
        self.files.write(revision.0, batch)
    }

    /// Whatever the writer is at, nobody hears of it any more.
    fn broken(&self, why: String) -> StoreError {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        if view.broken.is_none() {
            tracing::error!(why, "the store is in doubt until the server is restarted");
            let down = format!("the store is in doubt until the server is restarted: {why}");
            self.health.send_replace(Health::Down(down));
        }
        view.broken.get_or_insert_with(|| why.clone());
        StoreError::Unknown(why)
    }
}
