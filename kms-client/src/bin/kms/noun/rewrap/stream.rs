//! Rows of a file, moved in batches: one thread reads, several calls are under way, rows are written
//! in their order. Memory is bounded by the batches under way, whatever the size of the file.

use super::mover::Mover;
use super::part::Part;
use super::row::{Row, Rows};
use super::tally::Outcome;
use data_encoding::HEXLOWER;
use futures::StreamExt;
use kms_client::{Error, Kind};
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// How it is done.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// The key whose versions wrap.
    pub(super) key: String,
    /// Of a CSV file.
    pub(super) delimiter: u8,
    /// Rows in one call.
    pub(super) batch: usize,
    /// Calls under way.
    pub(super) parallel: usize,
}

/// Rows, and the SHA-256 of the input up to their end.
struct Batch {
    rows: Vec<Row>,
    end: u64,
    digest: String,
}

/// Moves the rows that an earlier run had not reached.
pub(super) async fn run<R: Read + Send + 'static>(
    rows: Rows<Followed<R>>,
    seen: Seen,
    (mover, way): (&Mover, &Way),
    part: &mut Part,
) -> Result<(), Error> {
    let (sender, receiver) = mpsc::channel(1);
    let reached = (part.reached.read, part.reached.digest.clone());
    let (another, batch) = (part.another(), way.batch);
    let reading = tokio::task::spawn_blocking(move || {
        let told = Reading { rows, seen, batch }.send(&reached, another, &sender);
        if let Err(error) = told {
            // Whoever listened has failed already.
            drop(sender.blocking_send(Err(error)));
        }
    });
    let mut answers = ReceiverStream::new(receiver)
        .map(|batch| moved(mover, way, batch))
        .buffered(way.parallel);
    let mut since = 0;
    let mut last = None;
    while let Some(answer) = answers.next().await {
        let (batch, outcomes) = match answer {
            Ok(done) => done,
            Err(e) => return Err(stopped(part, last, e)),
        };
        for (row, outcome) in batch.rows.iter().zip(&outcomes) {
            let new = match outcome {
                Some(Outcome::Moved { ciphertext, .. }) => Some(ciphertext.as_slice()),
                Some(Outcome::Current(_) | Outcome::Failed { .. }) | None => None,
            };
            part.write(&row.written(new, way.delimiter)?)?;
            if let Some(outcome) = outcome {
                part.add(row.line, outcome)?;
            }
        }
        last = Some((batch.end, batch.digest));
        since += 1;
        if since == BATCHES
            && let Some((end, digest)) = last.take()
        {
            part.reach(end, digest)?;
            since = 0;
        }
    }
    drop(answers);
    reading
        .await
        .map_err(|e| Error::new(Kind::Internal, format!("reading broke off: {e}")))
}

/// What is done stays done: the same command goes on from here.
fn stopped(part: &mut Part, last: Option<(u64, String)>, error: Error) -> Error {
    if let Some((end, digest)) = last
        && let Err(unkept) = part.reach(end, digest)
    {
        return unkept;
    }
    match part.reached.tally.items() {
        // Nothing to go on with, or something to mend before.
        0 => error,
        _ if error.kind() == Kind::Invalid => error,
        items => error.followed(format!(
            "; {items} items are done: run the same command again to go on"
        )),
    }
}

async fn moved(
    mover: &Mover,
    way: &Way,
    batch: Result<Batch, Error>,
) -> Result<(Batch, Vec<Option<Outcome>>), Error> {
    let mut batch = batch?;
    let mut items = Vec::new();
    let mut kept: Vec<Option<Result<(), Error>>> = Vec::new();
    for row in &mut batch.rows {
        let item = std::mem::replace(&mut row.item, Ok(None));
        kept.push(match item {
            Ok(Some(item)) => {
                items.push(item);
                Some(Ok(()))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        });
    }
    let mut told = mover.moved(&way.key, items).await?.into_iter();
    let mut outcomes = Vec::new();
    for asked in kept {
        outcomes.push(match asked {
            Some(Ok(())) => told.next(),
            Some(Err(error)) => Some(Outcome::Failed {
                version: None,
                error,
            }),
            None => None,
        });
    }
    Ok((batch, outcomes))
}

struct Reading<R> {
    rows: Rows<Followed<R>>,
    seen: Seen,
    batch: usize,
}

impl<R: Read> Reading<R> {
    /// Sends what was not reached, in batches, until the end or until nobody listens.
    fn send(
        mut self,
        (reached, digest): &(u64, String),
        another: Error,
        sender: &mpsc::Sender<Result<Batch, Error>>,
    ) -> Result<(), Error> {
        let mut at = 0;
        while at < *reached {
            let Some(row) = self.rows.next()? else {
                return Err(another);
            };
            at = row.end;
            self.seen.forget(at);
        }
        if at != *reached || *reached > 0 && self.seen.digest(at) != *digest {
            return Err(another);
        }
        let (mut rows, mut size) = (Vec::new(), 0);
        while let Some(row) = self.rows.next()? {
            size += row.size();
            rows.push(row);
            if (rows.len() >= self.batch || size >= BATCH_BYTES)
                && !self.pass(std::mem::take(&mut rows), sender)
            {
                return Ok(());
            }
            if rows.is_empty() {
                size = 0;
            }
        }
        if !rows.is_empty() {
            self.pass(rows, sender);
        }
        Ok(())
    }

    /// Whether somebody listens.
    fn pass(&self, rows: Vec<Row>, sender: &mpsc::Sender<Result<Batch, Error>>) -> bool {
        let end = rows.last().map_or(0, |row| row.end);
        let digest = self.seen.digest(end);
        sender
            .blocking_send(Ok(Batch { rows, end, digest }))
            .is_ok()
    }
}

/// An input, of which the SHA-256 up to any place behind the last one can be told.
#[derive(Debug)]
pub(super) struct Followed<R> {
    inner: R,
    seen: Seen,
}

/// What was read of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Bytes>>);

#[derive(Debug, Default)]
struct Bytes {
    hash: Sha256,
    /// Of what is in the hash.
    length: u64,
    /// What is not.
    pending: Vec<u8>,
}

impl<R: Read> Followed<R> {
    pub(super) fn of(inner: R) -> (Self, Seen) {
        let seen = Seen::default();
        let followed = Self {
            inner,
            seen: seen.clone(),
        };
        (followed, seen)
    }
}

impl<R: Read> Read for Followed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let mut bytes = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = buffer.get(..length).unwrap_or_default();
        bytes.pending.extend_from_slice(read);
        Ok(length)
    }
}

impl Seen {
    /// Of the input up to there; what is before is forgotten.
    fn digest(&self, end: u64) -> String {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.take(end);
        HEXLOWER.encode(&bytes.hash.clone().finalize())
    }

    /// Keeps memory bounded while nothing is told.
    fn forget(&self, end: u64) {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.pending.len() > PENDING {
            bytes.take(end);
        }
    }
}

impl Bytes {
    fn take(&mut self, end: u64) {
        let more = usize::try_from(end.saturating_sub(self.length)).unwrap_or(usize::MAX);
        let rest = self.pending.split_off(more.min(self.pending.len()));
        self.hash.update(&self.pending);
        self.length += u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        self.pending = rest;
    }
}

/// A batch ends early at this much: the service takes 4 MiB in one call.
const BATCH_BYTES: usize = 1024 * 1024;
/// After so many batches what is finished is forced to the disk.
const BATCHES: u32 = 16;
const PENDING: usize = 1024 * 1024;
