//! Rows on their way through the service, old pseudonyms to new, over one stream and in order. What
//! is held is bounded by the messages under way.

use super::source::Rows;
use super::table::{Label, Pairs};
use crate::session::Session;
use kms_client::{Error, Kind, Translations, v1};
use std::collections::VecDeque;
use std::time::Duration;
use zeroize::Zeroizing;

/// Rows of one run.
#[derive(Debug)]
pub(super) struct Passing {
    stream: Translations,
    edge: String,
    run: v1::Batch,
    /// The lines of the file that each message without an answer asks for.
    asked: VecDeque<Vec<u64>>,
}

/// What some rows came to.
pub(super) struct Passed {
    pub(super) pairs: Pairs,
    pub(super) rows: u64,
}

impl Passing {
    /// The run that this table is of.
    pub(super) fn of(session: &Session, label: &Label, patience: u64) -> Self {
        Self {
            stream: session.client.stream(Duration::from_secs(patience)),
            edge: label.edge.clone(),
            run: v1::Batch {
                id: label.run.clone(),
                expected: label.rows,
                offset: 0,
            },
            asked: VecDeque::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.stream.has_room()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    /// Asks for rows; there must be room.
    pub(super) fn ask(&mut self, rows: Rows) -> Result<(), Error> {
        self.stream.ask(v1::TranslateRequest {
            name: self.edge.clone(),
            passages: rows.passages,
            batch: Some(v1::Batch {
                offset: rows.first,
                ..self.run.clone()
            }),
        })?;
        self.asked.push_back(rows.lines);
        Ok(())
    }

    /// The first rows that have no answer yet; nothing when all have.
    pub(super) async fn next(&mut self) -> Result<Option<Passed>, Error> {
        let Some(answer) = self.stream.answer().await? else {
            return Ok(None);
        };
        let lines = self.asked.pop_front().unwrap_or_default();
        Ok(Some(Passed {
            pairs: pairs(answer, &lines)?,
            rows: u64::try_from(lines.len()).unwrap_or(u64::MAX),
        }))
    }
}

/// As a table has them.
fn pairs(answer: v1::TranslateResponse, lines: &[u64]) -> Result<Pairs, Error> {
    use v1::translate_response::result::Result as Answer;
    if answer.results.len() != lines.len() {
        let sentence = "the service gave another number of results than it was asked for";
        return Err(Error::new(Kind::Internal, sentence));
    }
    let mut pairs = Zeroizing::new(Vec::with_capacity(lines.len() * ROW));
    for (result, line) in answer.results.into_iter().zip(lines) {
        match result.result {
            Some(Answer::Pair(pair)) => {
                for part in [pair.old.as_bytes(), b",", pair.new.as_bytes(), b"\n"] {
                    pairs.extend_from_slice(part);
                }
            }
            Some(Answer::Error(error)) => {
                let told = Error::from(error).within(format!("line {line}"));
                return Err(told.followed("; mend the file, and begin another table".to_owned()));
            }
            None => return Err(Error::new(Kind::Internal, "the service gave no result")),
        }
    }
    Ok(pairs)
}

/// Room for a row, so that what is secret is not moved about in memory.
const ROW: usize = 160;
