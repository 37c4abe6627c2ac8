//! An append-only log of entries whose bytes are final.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;

use super::disk::{Disk, RealDisk};
use super::mark::Mark;
use super::segment::{self, Segment};
use super::writer::{Job, Then, Writer};
use super::{LogError, recovery};
use crate::directory;
use crate::health::Health;

/// Whether these bytes are the log's entry at this index: the log itself does not know what
/// its entries say. It is asked before an entry is written, and of the last segment when the
/// log is opened, where it tells an entry from a torn write. It must be true of every entry
/// that was ever written.
pub type Check = fn(index: u64, entry: &[u8]) -> bool;

/// Callers that wait for the writer, beyond those it is writing for.
const QUEUE: usize = 1024;

/// The most bytes one [`Log::read`] returns, but for a first entry that is longer.
const READ_BYTES: usize = 8 * 1024 * 1024;

/// An append-only log: a directory of segments, open in this process alone.
///
/// Dropping it waits for what is queued to be written.
pub struct Log {
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer tells the readers.
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    /// The acknowledged entries; the last segment is the one that is written.
    pub(super) segments: RwLock<Vec<Segment>>,
    pub(super) syncs: AtomicU64,
    pub(super) health: watch::Sender<Health>,
}

impl Log {
    /// Makes an empty log in `dir`, which must not exist or be empty, and opens it.
    ///
    /// # Errors
    /// [`LogError::NotOpened`]: there is no log in `dir`, or there was something before.
    pub fn create(dir: &Path, check: Check) -> Result<Self, LogError> {
        directory::create(dir, Mark::create).map_err(|error: io::Error| {
            LogError::NotOpened(if error.kind() == io::ErrorKind::AlreadyExists {
                format!(
                    "a new log needs a place of its own, and {} is not empty",
                    dir.display()
                )
            } else {
                format!("no log can be made in {}: {error}", dir.display())
            })
        })?;
        Self::open(dir, check)
    }

    /// Opens the log in `dir`, for this process alone. A torn write behind the acknowledged
    /// entries is cut off. A log that is not there is never made: it has been lost.
    ///
    /// Every segment is read, so that this takes time in proportion to the log.
    ///
    /// # Errors
    /// [`LogError::NotOpened`], or [`LogError::Damaged`] when acknowledged entries are missing.
    pub fn open(dir: &Path, check: Check) -> Result<Self, LogError> {
        Self::open_on(RealDisk, dir, check)
    }

    pub(super) fn open_on(
        disk: impl Disk + 'static,
        dir: &Path,
        check: Check,
    ) -> Result<Self, LogError> {
        let mark = Mark::open(dir)?;
        let segments = recovery::recover(dir, &mark, check)?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            segments: RwLock::new(segments),
            syncs: AtomicU64::new(0),
            health: watch::Sender::new(Health::Serving),
        });
        let (queue, jobs) = mpsc::channel(QUEUE);
        let writer = Writer::new(Box::new(disk), mark, check, Arc::clone(&shared));
        let writer = std::thread::Builder::new()
            .name("audit-log".to_owned())
            .spawn(move || writer.run(jobs))
            .map_err(|error| LogError::NotOpened(format!("no thread to write it: {error}")))?;
        Ok(Self {
            shared,
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    /// How many entries are recorded. It never shrinks.
    #[must_use]
    pub fn len(&self) -> u64 {
        let segments = self.shared.segments.read();
        let segments = segments.unwrap_or_else(PoisonError::into_inner);
        segments.last().map_or(0, Segment::next)
    }

    /// Whether nothing is recorded yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many times the disk was asked to make entries durable since the log was opened:
    /// entries divided by this is how well they share.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }

    /// Whether it takes entries: `Down` once a write left it in doubt, until it was opened again.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Records an entry and returns its index, when it is durable. `entry` makes the bytes
    /// (1 to 65,535 of them) once their index is known, on the writer's thread: it must be
    /// quick.
    ///
    /// Waits while many others wait. Dropping the future does not take the entry back.
    ///
    /// # Errors
    /// [`LogError::Unknown`]: it may be recorded. Any other: it is not.
    pub async fn append(
        &self,
        entry: impl FnOnce(u64) -> Vec<u8> + Send + 'static,
    ) -> Result<u64, LogError> {
        self.append_and(|index| (entry(index), Then::default()))
            .await
    }

    /// The same, and something more for the writer to do with each entry once it is durable: in the
    /// order of the entries, and before anybody hears of it.
    ///
    /// # Errors
    /// As [`Log::append`]; on an error nothing more is done.
    pub(super) async fn append_and(
        &self,
        entry: impl FnOnce(u64) -> (Vec<u8>, Then) + Send + 'static,
    ) -> Result<u64, LogError> {
        let gone = || LogError::Unknown("the log's writer has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        let job = Job {
            entry: Box::new(entry),
            answer,
        };
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(job).await.map_err(|_closed| gone())?;
        answered.await.map_err(|_closed| gone())?
    }

    /// Recorded entries with their indices, in order, from index `from` on: at most `limit`,
    /// and fewer when they are long, but at least one unless `from` is the end of the log.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when a recorded entry cannot be read.
    pub async fn read(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let shared = Arc::clone(&self.shared);
        spawn_blocking(move || shared.read(from, limit))
            .await
            .unwrap_or_else(|error| {
                Err(LogError::Damaged(format!(
                    "a read did not come back: {error}"
                )))
            })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the log's writer ended in a panic");
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("dir", &self.shared.dir)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn read(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut next = from;
        while entries.len() < limit && bytes < READ_BYTES {
            let Some(stretch) = self.stretch(next) else {
                break;
            };
            let file = File::open(&stretch.path).map_err(|error| stretch.damaged(&error))?;
            let mut index = stretch.first;
            segment::walk(&file, stretch.offset, |entry| {
                if index >= next {
                    entries.push((index, entry.to_vec()));
                    bytes += entry.len();
                }
                index += 1;
                index < stretch.end && entries.len() < limit && bytes < READ_BYTES
            })
            .map_err(|error| stretch.damaged(&error))?;
            if index <= next {
                return Err(stretch.damaged(&format!("entry {next} cannot be read")));
            }
            next = index;
        }
        Ok(entries)
    }

    /// Where to read the entry at `index`, and how far one file goes on from there.
    fn stretch(&self, index: u64) -> Option<Stretch> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let before = segments.partition_point(|segment| segment.first() <= index);
        let segment = segments.get(before.checked_sub(1)?)?;
        let (first, offset) = segment.bundle_of(index)?;
        Some(Stretch {
            path: segment.path(&self.dir),
            first,
            offset,
            end: segment.next(),
        })
    }
}

struct Stretch {
    path: PathBuf,
    /// The index of the entry at `offset`.
    first: u64,
    offset: u64,
    /// The index behind the last recorded entry of the segment.
    end: u64,
}

impl Stretch {
    fn damaged(&self, why: &dyn std::fmt::Display) -> LogError {
        LogError::Damaged(format!("{}: {why}", self.path.display()))
    }
}
