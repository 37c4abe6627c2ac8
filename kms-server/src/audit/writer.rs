//! The one thread that writes a log: it takes whatever waits, writes it with one write and
//! one `fdatasync`, and answers all of it.
//!
//! What holds after a failure:
//! - the write fails (a full disk): the segment is cut back to the last acknowledged entry,
//!   durably, everybody is told that nothing was recorded, and the next entry tries again;
//! - the cut or the `fdatasync` fails: what the disk holds is not known any more, and asking
//!   it again would only ask the page cache. The log takes nothing more until it was opened
//!   again;
//! - an index that was acknowledged is never given out again; one that was not, may be.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::disk::{Disk, Tail};
use super::log::Shared;
use super::mark::Mark;
use super::segment::Segment;
use super::{Check, LogError};
use crate::health::Health;
use kms_core::frame;

/// A group is written when it has so many bytes, or when nobody waits: it bounds memory, and
/// how long the first of a group waits for the last.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// An entry to be, and who waits for it.
pub(super) struct Job {
    pub(super) entry: Entry,
    pub(super) answer: Answer,
}

/// Makes an entry's bytes, and what is to be done once it is durable.
type Entry = Box<dyn FnOnce(u64) -> (Vec<u8>, Then) + Send>;

/// What is to be done with an entry once it is durable, if anything. It must be quick.
#[derive(Default)]
pub(super) struct Then(pub(super) Option<Box<dyn FnOnce() + Send>>);

type Answer = oneshot::Sender<Result<u64, LogError>>;

/// Owns the end of the log: nothing else writes it.
pub(super) struct Writer {
    disk: Box<dyn Disk>,
    mark: Mark,
    check: Check,
    shared: Arc<Shared>,
    /// The last segment, if it is open and has room.
    tail: Option<(Segment, Box<dyn Tail>)>,
    poison: Option<String>,
}

impl Writer {
    pub(super) fn new(disk: Box<dyn Disk>, mark: Mark, check: Check, shared: Arc<Shared>) -> Self {
        Self {
            disk,
            mark,
            check,
            shared,
            tail: None,
            poison: None,
        }
    }

    /// Runs until nobody can ask any more.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut waiting = VecDeque::new();
        while let Some(job) = queue.blocking_recv() {
            waiting.push_back(job);
            while let Ok(job) = queue.try_recv() {
                waiting.push_back(job);
                if waiting.len() >= queue.max_capacity() {
                    break;
                }
            }
            while !waiting.is_empty() {
                self.commit(&mut waiting);
            }
        }
    }

    /// Answers at least one of those that wait: as many as one write can take.
    fn commit(&mut self, waiting: &mut VecDeque<Job>) {
        let (mut segment, tail) = match self.tail() {
            Ok(tail) => tail,
            Err(error) => {
                let refused = waiting.drain(..).map(|job| job.answer);
                return refused.for_each(|answer| reply(answer, Err(error.clone())));
            }
        };
        let begin = segment.bytes();
        let mut bytes = Vec::new();
        let mut recorded = Vec::new();
        while !segment.is_full()
            && bytes.len() < GROUP_BYTES
            && let Some(job) = waiting.pop_front()
        {
            let index = segment.next();
            match self.encode(index, job.entry, &mut bytes) {
                Ok((entry, then)) => {
                    segment.push(&entry);
                    recorded.push((index, then, job.answer));
                }
                Err(error) => reply(job.answer, Err(error)),
            }
        }
        if recorded.is_empty() {
            self.tail = Some((segment, tail));
            return;
        }
        match self.write(tail.as_ref(), begin, &bytes) {
            Ok(()) => {
                self.publish(&segment);
                self.tail = Some((segment, tail));
                for (index, then, answer) in recorded {
                    then.run();
                    reply(answer, Ok(index));
                }
            }
            Err(error) => {
                for (_, _, answer) in recorded {
                    reply(answer, Err(error.clone()));
                }
            }
        }
    }

    /// Takes the segment to write. It is put back only when all went well: otherwise it is
    /// taken anew, as far as it was acknowledged.
    fn tail(&mut self) -> Result<(Segment, Box<dyn Tail>), LogError> {
        if let Some(why) = &self.poison {
            return Err(LogError::Poisoned(why.clone()));
        }
        match self.tail.take() {
            Some((segment, tail)) if !segment.is_full() => return Ok((segment, tail)),
            Some(_) | None => {}
        }
        let last = {
            let segments = self.shared.segments.read();
            let segments = segments.unwrap_or_else(PoisonError::into_inner);
            segments.last().cloned()
        };
        match last {
            Some(segment) if !segment.is_full() => self.open(segment),
            Some(full) => self.open(Segment::empty(full.next())),
            None => self.open(Segment::empty(0)),
        }
    }

    fn open(&mut self, segment: Segment) -> Result<(Segment, Box<dyn Tail>), LogError> {
        let path = segment.path(&self.shared.dir);
        let tail = self
            .disk
            .open(&path)
            .map_err(|error| LogError::Unavailable(format!("{}: {error}", path.display())))?;
        if segment.bytes() == 0
            && let Err(error) = self.disk.sync_directory(&self.shared.dir)
        {
            // Nothing was written yet: those that wait know where they stand.
            return Err(LogError::Poisoned(self.poison("a new segment", &error)));
        }
        Ok((segment, tail))
    }

    /// Appends the framed entry to `bytes` and returns it; if it is refused, `bytes` is as
    /// before. An entry that the log would refuse when it is opened must not get in.
    fn encode(
        &self,
        index: u64,
        entry: Entry,
        bytes: &mut Vec<u8>,
    ) -> Result<(Vec<u8>, Then), LogError> {
        let refused = |why: &str| Err(LogError::Invalid(why.to_owned()));
        // A panic is that one caller's; the log belongs to all of them.
        let Ok((entry, then)) = catch_unwind(AssertUnwindSafe(|| entry(index))) else {
            return refused("making it failed");
        };
        if !(self.check)(index, &entry) {
            return refused("it is not what this log holds");
        }
        if !frame::push(bytes, &entry) {
            return refused("it has no bytes, or more than 65,535");
        }
        Ok((entry, then))
    }

    /// Makes `bytes` durable behind the acknowledged entries.
    fn write(&mut self, tail: &dyn Tail, at: u64, bytes: &[u8]) -> Result<(), LogError> {
        if let Err(error) = tail.write_all_at(bytes, at) {
            return Err(match tail.set_len(at).and_then(|()| tail.sync_data()) {
                Ok(()) => LogError::Unavailable(error.to_string()),
                Err(cut) => LogError::Unknown(self.poison("cutting a failed write", &cut)),
            });
        }
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        tail.sync_data()
            .map_err(|error| LogError::Unknown(self.poison("fdatasync", &error)))
    }

    /// Shows the readers what is durable, and sets the mark.
    fn publish(&self, segment: &Segment) {
        {
            let segments = self.shared.segments.write();
            let mut segments = segments.unwrap_or_else(PoisonError::into_inner);
            match segments.last_mut() {
                Some(last) if last.first() == segment.first() => last.clone_from(segment),
                Some(_) | None => segments.push(segment.clone()),
            }
        }
        if let Err(error) = self.mark.set(segment.next()) {
            // The old mark is true as well; the next group sets it again.
            tracing::warn!(%error, "the log's mark could not be set");
        }
    }

    fn poison(&mut self, what: &str, error: &io::Error) -> String {
        let why = format!("{what} failed: {error}");
        let log = self.shared.dir.display();
        tracing::error!(%log, why, "the log takes nothing more until the server is restarted");
        let down = format!("the log {log} takes nothing more until the server is restarted: {why}");
        self.shared.health.send_replace(Health::Down(down));
        self.poison.get_or_insert(why).clone()
    }
}

impl Then {
    fn run(self) {
        if let Some(then) = self.0
            && catch_unwind(AssertUnwindSafe(then)).is_err()
        {
            tracing::error!("what follows a durable entry ended in a panic");
        }
    }
}

fn reply(answer: Answer, result: Result<u64, LogError>) {
    // Who no longer waits does not need to know.
    if answer.send(result).is_err() {
        tracing::debug!("the caller of an append went away before its answer");
    }
}
