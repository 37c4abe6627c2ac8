//! Sealed files, moved in batches: headers are read, their data keys moved in one call, and headers
//! replaced in place. A file that was moved is not moved again, so that whatever ends a run, another
//! one finishes it.

use super::mover::{Item, Mover};
use super::part::noted;
use super::tally::{Outcome, Tally};
use crate::screen::complain;
use futures::StreamExt;
use indicatif::ProgressBar;
use kms_client::{Context, Error, Kind, Output, SealedFile};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// What became of files.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) tally: Tally,
    /// What is wrong with the only one that failed so far.
    pub(super) only: Option<Error>,
    failures: Option<Output>,
    told: usize,
}

impl Files {
    /// Failures are told as they come, and written to a file, if there is one for them.
    pub(super) fn new(failures: Option<Output>) -> Self {
        Self {
            tally: Tally::default(),
            only: None,
            failures,
            told: 0,
        }
    }

    /// Moves the files of these paths, which come from wherever they are listed.
    pub(super) async fn run(
        &mut self,
        paths: impl Iterator<Item = Result<PathBuf, Error>> + Send + 'static,
        context: &Context,
        (mover, parallel): (&Mover, usize),
        bar: &ProgressBar,
    ) -> Result<(), Error> {
        let (sender, receiver) = mpsc::channel(1);
        let listing = tokio::task::spawn_blocking(move || {
            let mut paths = paths.peekable();
            while paths.peek().is_some() {
                let some: Result<Vec<_>, _> = paths.by_ref().take(BATCH).collect();
                if sender.blocking_send(some).is_err() {
                    return;
                }
            }
        });
        let mut answers = ReceiverStream::new(receiver)
            .map(|paths| async { moved(mover, context, paths?).await })
            .buffered(parallel);
        while let Some(answer) = answers.next().await {
            for (path, outcome) in answer? {
                bar.inc(1);
                self.add(path, outcome)?;
            }
        }
        drop(answers);
        listing
            .await
            .map_err(|e| Error::new(Kind::Internal, format!("listing files broke off: {e}")))
    }

    fn add(&mut self, path: PathBuf, outcome: Outcome) -> Result<(), Error> {
        self.tally.add(&outcome);
        let Outcome::Failed { version, error } = outcome else {
            return Ok(());
        };
        if let Some(failures) = &mut self.failures {
            let place = serde_json::json!({ "file": path });
            failures
                .write_all(&noted(place, version.as_deref(), &error))
                .map_err(|e| Error::file("write the failures", &e))?;
        }
        let error = error.within(path.display());
        if self.tally.failures() == 1 {
            self.only = Some(error);
            return Ok(());
        }
        // Whether there is only one is known from here on.
        for error in self.only.take().into_iter().chain([error]) {
            if self.told < TOLD {
                complain(&error.to_string());
            }
            self.told += 1;
        }
        Ok(())
    }

    /// Nothing comes any more. Tells the only failure unless it is the only file: then it is what
    /// the command ends with.
    pub(super) fn end(mut self) -> Result<(Tally, Option<Error>), Error> {
        if let Some(failures) = self.failures.take() {
            failures.commit()?;
        }
        if self.told > TOLD {
            complain(&format!("and {} more", self.told - TOLD));
        }
        let only = self.only.take();
        if self.tally.items() == 1 {
            return Ok((self.tally, only));
        }
        if let Some(error) = only {
            complain(&error.to_string());
        }
        Ok((self.tally, None))
    }
}

/// Opened, of one batch, by place.
type Opened = (PathBuf, Result<SealedFile, Error>);

async fn moved(
    mover: &Mover,
    context: &Context,
    paths: Vec<PathBuf>,
) -> Result<Vec<(PathBuf, Outcome)>, Error> {
    let open = |path: PathBuf| {
        let file = SealedFile::open(&path);
        (path, file)
    };
    let opened: Vec<Opened> = apart(move || paths.into_iter().map(open).collect()).await?;
    let mut by_key: BTreeMap<String, Vec<(usize, Item)>> = BTreeMap::new();
    for (place, (_, file)) in opened.iter().enumerate() {
        if let Ok(file) = file {
            let item = Item {
                ciphertext: file.wrapped().to_vec(),
                context: context.of_file(),
            };
            let items = by_key.entry(file.key().to_owned()).or_default();
            items.push((place, item));
        }
    }
    let mut outcomes = BTreeMap::new();
    for (key, items) in by_key {
        let versions: Vec<_> = items
            .iter()
            .map(|(_, item)| mover.version(&key, item))
            .collect();
        let (places, items): (Vec<usize>, Vec<Item>) = items.into_iter().unzip();
        match mover.moved(&key, items).await {
            Ok(moved) => outcomes.extend(places.into_iter().zip(moved)),
            Err(error) if is_everyones(&error) => return Err(error),
            // Another key may do better.
            Err(error) => {
                let failed = versions.into_iter().map(|version| Outcome::Failed {
                    version,
                    error: error.clone(),
                });
                outcomes.extend(places.into_iter().zip(failed));
            }
        }
    }
    apart(move || replaced(opened, outcomes)).await
}

fn replaced(
    opened: Vec<Opened>,
    mut outcomes: BTreeMap<usize, Outcome>,
) -> Vec<(PathBuf, Outcome)> {
    let mut done = Vec::new();
    for (place, (path, file)) in opened.into_iter().enumerate() {
        let outcome = match (file, outcomes.remove(&place)) {
            (Ok(file), Some(outcome)) => in_place(&file, outcome),
            (Err(error), _) => failed(None, error),
            (Ok(_), None) => {
                let lost = Error::new(Kind::Internal, "nothing became of it");
                failed(None, lost)
            }
        };
        done.push((path, outcome));
    }
    done
}

fn in_place(file: &SealedFile, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Moved {
            from,
            to,
            ciphertext,
        } => match file.replace(&ciphertext) {
            Ok(()) => Outcome::Moved {
                from,
                to,
                ciphertext,
            },
            Err(error) => failed(Some(from), error),
        },
        Outcome::Current(version) if !file.is_whole() => match file.replace(file.wrapped()) {
            Ok(()) => Outcome::Current(version),
            Err(error) => failed(Some(version), error),
        },
        Outcome::Current(_) | Outcome::Failed { .. } => outcome,
    }
}

fn failed(version: Option<String>, error: Error) -> Outcome {
    Outcome::Failed { version, error }
}

/// Whether the next file would fail as well.
fn is_everyones(error: &Error) -> bool {
    match error.kind() {
        Kind::Unavailable
        | Kind::Exhausted
        | Kind::Unknown
        | Kind::Tls
        | Kind::Internal
        | Kind::Usage
        | Kind::Io => true,
        Kind::Invalid
        | Kind::Rejected
        | Kind::Refused
        | Kind::NotFound
        | Kind::Conflict
        | Kind::State
        | Kind::Pending => false,
    }
}

/// Files block.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|e| Error::new(Kind::Internal, format!("the work broke off: {e}")))
}

/// Files that are open for one call.
const BATCH: usize = 64;
/// Failures that are told on the terminal.
const TOLD: usize = 20;
