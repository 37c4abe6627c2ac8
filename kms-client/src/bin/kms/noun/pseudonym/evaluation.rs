//! Rows through the service, in order: several calls are under way, and memory is bounded by these.

use super::column::Column;
use kms_client::{Error, Kind, Pseudonyms, v1};
use std::collections::VecDeque;
use tokio::sync::mpsc::{self, error::TryRecvError};
use v1::pseudonymise_response::{Result as Item, result::Result as Told};

/// What one column of some rows holds; why not, where it is no identifier.
pub(super) type Asked = Vec<Result<v1::Identifier, Error>>;

/// What one column of some rows becomes: for each row a pseudonym, or why there is none.
pub(super) type Answer = v1::PseudonymiseResponse;

/// Some rows of a file.
#[derive(Debug)]
pub(super) struct Chunk<T> {
    /// Whatever must be at hand when they are answered.
    pub(super) rows: T,
    /// How many rows of the file come before these.
    pub(super) first: u64,
    /// For each column, as many as there are rows.
    pub(super) asked: Vec<Asked>,
}

/// Where rows come from. It blocks.
pub(super) trait Source: Send + 'static {
    type Rows: Send + 'static;

    /// The next rows; the same ones each time a file is read.
    fn next(&mut self) -> Read<Self::Rows>;
}

/// What a reader sends: chunks, then nothing, so that a file that ends is told apart from a reader
/// that died; or what is wrong with the file.
pub(super) type Read<T> = Result<Option<Chunk<T>>, Error>;

/// Reads on a thread of its own, but for the first `skip` chunks, until the end or until nobody
/// listens.
pub(super) fn read<S: Source>(mut source: S, skip: u64) -> mpsc::Receiver<Read<S::Rows>> {
    let (sender, receiver) = mpsc::channel(1);
    // It ends when the receiver is dropped; what goes wrong with it, it sends.
    drop(tokio::task::spawn_blocking(move || {
        for number in 0_u64.. {
            let next = source.next();
            if number < skip && matches!(next, Ok(Some(_))) {
                continue;
            }
            let last = !matches!(next, Ok(Some(_)));
            if sender.blocking_send(next).is_err() || last {
                return;
            }
        }
    }));
    receiver
}

/// Evaluates columns.
#[derive(Debug)]
pub(super) struct Evaluation<'a> {
    pub(super) columns: &'a [Column],
    /// For each column the run that it is, if the identifiers could be counted.
    pub(super) batches: Vec<v1::Batch>,
    pub(super) versions: Versions,
    pub(super) stream: Pseudonyms,
}

impl Evaluation<'_> {
    /// Evaluates all that comes; `done` is told of each chunk, in order.
    pub(super) async fn run<T>(
        &mut self,
        mut chunks: mpsc::Receiver<Read<T>>,
        mut done: impl FnMut(T, Vec<Answer>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut waiting: VecDeque<Waiting<T>> = VecDeque::new();
        let mut unsent: VecDeque<v1::PseudonymiseRequest> = VecDeque::new();
        let mut ended = false;
        loop {
            while !ended && unsent.is_empty() && self.stream.has_room() {
                let next = match chunks.try_recv() {
                    Err(TryRecvError::Empty) if waiting.is_empty() => chunks.recv().await,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => None,
                    Ok(next) => Some(next),
                };
                match next {
                    Some(Ok(Some(chunk))) => unsent.extend(self.wait_for(chunk, &mut waiting)),
                    Some(Ok(None)) => ended = true,
                    Some(Err(error)) => return Err(error),
                    None => return Err(Error::new(Kind::Invalid, UNREADABLE)),
                }
                // Rows of which nothing could be sent are answered.
                while let Some((rows, answers)) = first_whole(&mut waiting) {
                    done(rows, answers)?;
                }
            }
            while self.stream.has_room()
                && let Some(request) = unsent.pop_front()
            {
                self.stream.ask(request)?;
            }
            match self.stream.answer().await? {
                Some(answer) => self.place(answer, &mut waiting)?,
                None if ended && waiting.is_empty() => return Ok(()),
                None => {}
            }
            while let Some((rows, answers)) = first_whole(&mut waiting) {
                done(rows, answers)?;
            }
        }
    }

    /// What is to be sent of a chunk.
    fn wait_for<T>(
        &self,
        chunk: Chunk<T>,
        waiting: &mut VecDeque<Waiting<T>>,
    ) -> Vec<v1::PseudonymiseRequest> {
        let mut requests = Vec::new();
        let mut columns = Vec::new();
        for (number, asked) in chunk.asked.into_iter().enumerate() {
            let mut identifiers = Vec::with_capacity(asked.len());
            let mut rejected = Vec::with_capacity(asked.len());
            for identifier in asked {
                rejected.push(identifier.map(|i| identifiers.push(i)).err());
            }
            let column = self.columns.get(number);
            let sent = !identifiers.is_empty();
            if let Some(column) = column.filter(|_| sent) {
                let batch = self.batches.get(number).map(|batch| v1::Batch {
                    offset: chunk.first,
                    ..batch.clone()
                });
                requests.push(v1::PseudonymiseRequest {
                    name: column.edge.clone(),
                    identifiers,
                    batch,
                });
            }
            columns.push(if sent {
                Due::Sent(rejected)
            } else {
                Due::Known(merged(rejected, Vec::new()))
            });
        }
        waiting.push_back(Waiting {
            rows: chunk.rows,
            columns,
        });
        requests
    }

    /// Puts an answer where the first one is due.
    fn place<T>(
        &mut self,
        answer: Answer,
        waiting: &mut VecDeque<Waiting<T>>,
    ) -> Result<(), Error> {
        let columns = waiting
            .iter_mut()
            .flat_map(|w| w.columns.iter_mut().enumerate());
        for (number, due) in columns {
            let Due::Sent(rejected) = due else { continue };
            self.versions.admit(number, &answer.version)?;
            let sent = rejected.iter().filter(|r| r.is_none()).count();
            if answer.results.len() != sent {
                let count = answer.results.len();
                let sentence = format!("the service gave {count} results for {sent} identifiers");
                return Err(Error::new(Kind::Internal, sentence));
            }
            let mut whole = merged(std::mem::take(rejected), answer.results);
            whole.version = answer.version;
            refused(&whole)?;
            *due = Due::Known(whole);
            return Ok(());
        }
        Err(Error::new(
            Kind::Internal,
            "the service answered what was not asked",
        ))
    }
}

/// Pseudonyms of two versions of a key do not meet: one result has one.
#[derive(Debug, Default)]
pub(super) struct Versions(Vec<String>);

impl Versions {
    /// Another answer of this column.
    pub(super) fn admit(&mut self, column: usize, version: &str) -> Result<(), Error> {
        // Where nothing was sent there is no version.
        if version.is_empty() {
            return Ok(());
        }
        if self.0.len() <= column {
            self.0.resize(column + 1, String::new());
        }
        match self.0.get_mut(column) {
            Some(first) if first.is_empty() => {
                version.clone_into(first);
                Ok(())
            }
            Some(first) if first != version => Err(Error::new(
                Kind::Conflict,
                format!(
                    "the pseudonyms were made by {first} and are now made by {version}: one result \
                     has one; begin anew with --force"
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// A chunk that has no answer yet.
struct Waiting<T> {
    rows: T,
    columns: Vec<Due>,
}

enum Due {
    /// For each row, why it was not sent.
    Sent(Vec<Option<Error>>),
    Known(Answer),
}

/// The first chunk, if it is answered.
fn first_whole<T>(waiting: &mut VecDeque<Waiting<T>>) -> Option<(T, Vec<Answer>)> {
    let first = waiting.front()?;
    if first.columns.iter().any(|due| matches!(due, Due::Sent(_))) {
        return None;
    }
    let first = waiting.pop_front()?;
    let answers = first.columns.into_iter().map(|due| match due {
        Due::Known(answer) => answer,
        Due::Sent(_) => Answer::default(),
    });
    Some((first.rows, answers.collect()))
}

/// The results of all rows: those that were rejected here keep their place.
fn merged(rejected: Vec<Option<Error>>, answered: Vec<Item>) -> Answer {
    let mut answered = answered.into_iter();
    let results = rejected.into_iter().map(|rejected| match rejected {
        Some(error) => Item {
            result: Some(Told::Error(v1::ItemError {
                code: tonic::Code::InvalidArgument.into(),
                message: error.to_string(),
                reason: kms_core::Kind::Invalid.word().to_owned(),
            })),
        },
        None => answered.next().unwrap_or_default(),
    });
    Answer {
        results: results.collect(),
        version: String::new(),
    }
}

/// What is wrong with one row is told of that row; whatever else stands between the rows and their
/// pseudonyms ends the run.
fn refused(answer: &Answer) -> Result<(), Error> {
    for item in &answer.results {
        match &item.result {
            Some(Told::Pseudonym(_)) => {}
            Some(Told::Error(error)) => {
                let error = Error::from(error.clone());
                if error.kind() != Kind::Invalid {
                    return Err(error);
                }
            }
            None => return Err(Error::new(Kind::Internal, "the service gave no result")),
        }
    }
    Ok(())
}

const UNREADABLE: &str = "the file broke its reader: it is damaged, or not what it says it is";
