//! Runs: one declared number of identifiers, evaluated in many calls.
//!
//! The whole number is charged with the first call. Each call says where its identifiers lie among
//! all of them, and is checked off under a mark of its content, so that one that is sent again
//! (its answer was lost, somebody died) is recognised and costs nothing, and another content in its
//! place is refused: nobody evaluates more different identifiers than were charged.
//!
//! A mark is the beginning of an HMAC that the HSM makes with a key of the deployment's own: it
//! tells nobody what was evaluated, also not whoever can try every identifier that there is.

use super::grouped;
use crate::codec::{self, Reader};
use crate::command::Passage;
use crate::error::{Error, Result};
use crate::pseudonym::Identifier;
use crate::time::Time;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use uuid::Uuid;

/// How long a run of evaluations is remembered, from its first call: what was charged is evaluated
/// within it. One that is forgotten is charged again, whole. A week lets a weekend pass between a
/// failure and whoever mends it; on any day no more is evaluated than a week's charges. A run of
/// translations is remembered for as long as its campaign may last.
pub const RUN_LIFE: u64 = 7 * 24 * crate::time::HOUR;

/// Runs of one caller on one edge that are remembered at once, at most.
pub const RUNS_MAX: usize = 64;

/// Calls of one run, at most.
pub const CALLS_MAX: usize = 8_192;

/// Identifiers of one run, at most: more than there are people.
pub const EXPECTED_MAX: u64 = 10_000_000_000;

/// Calls of a run that are written down together.
pub const PART: usize = 256;

/// Where the identifiers of one call lie among those of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    id: Uuid,
    expected: u64,
    offset: u64,
    count: u16,
}

/// What tells the content of a call: the beginning of an HMAC.
pub type Mark = [u8; 16];

/// A run, and what was checked off of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    begun: Time,
    version: u32,
    expected: u64,
    /// In the order in which they came.
    calls: Vec<Checked>,
}

/// A call that was checked off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Checked {
    offset: u64,
    count: u16,
    mark: Mark,
}

impl Batch {
    /// So many identifiers at this place of a run of so many.
    ///
    /// # Errors
    /// `Invalid` when they do not lie within the run.
    pub fn new(id: Uuid, expected: u64, offset: u64, count: usize) -> Result<Self> {
        if !(1..=EXPECTED_MAX).contains(&expected) {
            return Err(Error::invalid(
                "batch.expected",
                "a run has 1 to 10,000,000,000 identifiers",
            ));
        }
        let within = u16::try_from(count).ok().filter(|count| {
            let end = offset.checked_add(u64::from(*count));
            *count > 0 && end.is_some_and(|end| end <= expected)
        });
        let count = within.ok_or_else(|| {
            let sentence = format!(
                "the identifiers of this call lie beyond the {} that its run declared: declare all \
                 of them with the first call",
                grouped(expected)
            );
            Error::invalid("batch.offset", sentence)
        })?;
        Ok(Batch {
            id,
            expected,
            offset,
            count,
        })
    }

    /// The run's own id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Identifiers in all.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// Identifiers of the run before the first of this call.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What the HSM authenticates, so that a mark is of this content, at this place, and of no
    /// other run, caller, edge or campaign.
    #[must_use]
    pub fn authenticated(&self, on: &str, who: &str, content: &Content) -> Vec<u8> {
        let mut out = Vec::new();
        codec::put(&mut out, b"emc2-kms/run-mark/v1");
        codec::put(&mut out, on.as_bytes());
        codec::put(&mut out, who.as_bytes());
        codec::put(&mut out, self.id.as_bytes());
        codec::put(&mut out, &self.offset.to_be_bytes());
        codec::put(&mut out, &content.0);
        out
    }

    fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.count))
    }
}

/// SHA-256 over the identifiers of a call, in order. It stays in memory, and only what the HSM made
/// of it is written anywhere: of a batch of one it would be as good as the identifier.
#[derive(Clone, PartialEq, Eq)]
pub struct Content([u8; 32]);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content { redacted }")
    }
}

impl Content {
    /// Of these identifiers; one that is none has its place.
    #[must_use]
    pub fn of(identifiers: &[Result<Identifier>]) -> Self {
        let mut digest = Sha256::new();
        for identifier in identifiers {
            take(&mut digest, identifier.as_ref().ok());
        }
        Content(digest.finalize().into())
    }

    /// Of these passages, both sides of each; one that is none has its place.
    #[must_use]
    pub fn of_passages(passages: &[Result<Passage>]) -> Self {
        let mut digest = Sha256::new();
        for passage in passages {
            let passage = passage.as_ref().ok();
            take(&mut digest, passage.map(|passage| &passage.before));
            take(&mut digest, passage.and_then(|p| p.after.as_ref()));
        }
        Content(digest.finalize().into())
    }

    /// What the HSM authenticates for the record of this call: it links to no other record.
    #[must_use]
    pub fn recorded(&self, call: &str) -> Vec<u8> {
        let mut out = Vec::new();
        codec::put(&mut out, b"emc2-kms/record-digest/v1");
        codec::put(&mut out, call.as_bytes());
        codec::put(&mut out, &self.0);
        out
    }
}

/// One identifier, behind its length; what is none is longer than any.
fn take(digest: &mut Sha256, identifier: Option<&Identifier>) {
    let Some(identifier) = identifier else {
        digest.update([0xff; 4]);
        return;
    };
    let canonical = identifier.canonical();
    let length = u32::try_from(canonical.len()).unwrap_or(u32::MAX);
    digest.update(length.to_be_bytes());
    digest.update(&*canonical);
}

impl Run {
    /// A run that begins, on a version of the edge's key. Nothing of it is checked off.
    #[must_use]
    pub fn begin(batch: &Batch, version: u32, now: Time) -> Self {
        Run {
            begun: now,
            version,
            expected: batch.expected,
            calls: vec![],
        }
    }

    /// Whether it is forgotten, where runs live this long. One that begins in the future (the clock
    /// was set back, and the service started again) is not.
    #[must_use]
    pub fn is_over(&self, life: u64, now: Time) -> bool {
        self.begun.plus_millis(life) <= now
    }

    /// Whether every identifier was checked off.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let checked: u64 = self.calls.iter().map(|call| u64::from(call.count)).sum();
        self.expected == checked
    }

    /// The run with this call checked off; `None` when it was already, with the same content.
    ///
    /// # Errors
    /// `Invalid` when the run is another one or what was checked off there is something else;
    /// `State` when the edge was renewed since it began.
    pub fn check_off(&self, batch: &Batch, version: u32, mark: Mark) -> Result<Option<Run>> {
        if batch.expected != self.expected {
            let sentence = format!(
                "this run declared {} identifiers when it began: give the same number with each \
                 call, or begin another run",
                grouped(self.expected)
            );
            return Err(Error::invalid("batch.expected", sentence));
        }
        if version != self.version {
            return Err(Error::state(
                "the edge has another key version than when this run began, and a run gives \
                 pseudonyms of one: begin another run",
            ));
        }
        let this = Checked {
            offset: batch.offset,
            count: batch.count,
            mark,
        };
        let overlaps = |call: &&Checked| {
            call.offset < batch.end() && batch.offset < call.offset + u64::from(call.count)
        };
        match self.calls.iter().find(overlaps) {
            Some(call) if *call == this => return Ok(None),
            Some(_) => {
                return Err(Error::invalid(
                    "batch.offset",
                    "other identifiers were evaluated at this place of the run: send a call again \
                     exactly as it was, or begin another run",
                ));
            }
            None => {}
        }
        if self.calls.len() >= CALLS_MAX {
            return Err(Error::invalid(
                "batch.id",
                "a run has at most 8,192 calls: make larger calls, or several runs",
            ));
        }
        let mut after = self.clone();
        after.calls.push(this);
        Ok(Some(after))
    }

    /// The part that was written last, and which one it is: `ER 01`, when the run began, the key
    /// version, how many are expected, then each call: offset, count, mark; big-endian.
    #[must_use]
    pub fn last_part(&self) -> (usize, Vec<u8>) {
        let number = self.calls.len().saturating_sub(1) / PART;
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.begun.0.to_be_bytes());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.expected.to_be_bytes());
        for call in self.calls.iter().skip(number.saturating_mul(PART)) {
            out.extend_from_slice(&call.offset.to_be_bytes());
            out.extend_from_slice(&call.count.to_be_bytes());
            out.extend_from_slice(&call.mark);
        }
        (number, out)
    }

    /// The run of these parts, in order.
    ///
    /// # Errors
    /// `Internal` when they are not the parts of one run.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Self> {
        let mut whole: Option<Run> = None;
        for part in parts {
            let part = read(part).ok_or_else(|| Error::internal("a run is not written so"))?;
            match &mut whole {
                None => whole = Some(part),
                Some(whole) => {
                    let same = (whole.begun, whole.version, whole.expected)
                        == (part.begun, part.version, part.expected);
                    if !same || !whole.calls.len().is_multiple_of(PART) {
                        return Err(Error::internal("these parts are not of one run"));
                    }
                    whole.calls.extend(part.calls);
                }
            }
        }
        whole.ok_or_else(|| Error::internal("a run without parts"))
    }
}

/// Which of a caller's runs on an edge are forgotten for another one to begin: those that are over;
/// where there are too many, those that were complete the longest ago.
///
/// # Errors
/// `Exhausted` when there are too many under way.
pub fn room(runs: &BTreeMap<Uuid, Run>, life: u64, now: Time) -> Result<Vec<Uuid>> {
    let (mut gone, kept): (Vec<_>, Vec<_>) =
        runs.iter().partition(|(_, run)| run.is_over(life, now));
    let surplus = (kept.len() + 1).saturating_sub(RUNS_MAX);
    let mut complete: Vec<_> = kept.iter().filter(|(_, run)| run.is_complete()).collect();
    complete.sort_by_key(|(_, run)| run.begun);
    if complete.len() < surplus {
        return Err(Error::exhausted(
            "64 of your runs on this edge are under way: finish one of them, or wait until the \
             first is forgotten",
        ));
    }
    gone.extend(complete.into_iter().take(surplus).copied());
    Ok(gone.into_iter().map(|(id, _)| *id).collect())
}

const MAGIC: [u8; 3] = *b"ER\x01";

fn read(bytes: &[u8]) -> Option<Run> {
    let mut reader = Reader::new(bytes);
    if reader.array::<3>()? != MAGIC {
        return None;
    }
    let begun = Time(u64::from_be_bytes(reader.array()?));
    let version = u32::from_be_bytes(reader.array()?);
    let expected = u64::from_be_bytes(reader.array()?);
    let mut rest = reader.rest();
    let mut calls = Vec::new();
    while !rest.is_empty() {
        let mut reader = Reader::new(rest);
        calls.push(Checked {
            offset: u64::from_be_bytes(reader.array()?),
            count: u16::from_be_bytes(reader.array()?),
            mark: reader.array()?,
        });
        rest = reader.rest();
    }
    (!calls.is_empty() && calls.len() <= PART).then_some(Run {
        begun,
        version,
        expected,
        calls,
    })
}

#[cfg(test)]
mod tests;
