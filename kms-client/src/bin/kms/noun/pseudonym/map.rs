//! `kms pseudonym map` and `kms pseudonym transfer`: columns of a CSV or Parquet file of any size.
//!
//! From file to file it goes twice through the file: once to evaluate, keeping every answer beside
//! the output (`OUT.part`), once to write the output, which has its name only when it is whole. So a
//! run can be gone on with whatever ended it, and comes to the same bytes. Through a pipe there is
//! nothing to go back to: it is evaluated and written in one go.

use super::column::Column;
use super::digest::digest_of;
use super::evaluation::{Evaluation, Source, Versions, read};
use super::lines::{Lines, Written};
use super::part::{Part, Work, beside};
use super::rejected::Rejected;
use super::row_groups::{RowGroups, is_parquet};
use super::{MOST, replaced};
use crate::noun::csv_file::delimiter;
use crate::noun::edge::Input;
use crate::progress::{self, Counted};
use crate::session::Session;
use clap::Args;
use kms_client::{Error, Kind, Output, Pseudonyms, name};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Map {
    /// What each edge evaluates, in the order of the columns; opaque when not given. A column of type
    /// nir is three, --column NIR,BIRTH-DATE,SEX: the first becomes pseudonyms.
    #[arg(long, value_enum, value_name = "TYPE")]
    input: Vec<Input>,
    #[command(flatten)]
    task: Task,
}

#[derive(Debug, Args)]
pub(crate) struct Transfer {
    #[command(flatten)]
    task: Task,
}

/// What both commands are given.
#[derive(Debug, Args)]
struct Task {
    /// A CSV file with a header line, in UTF-8, or a Parquet file; `-` is a CSV file on the standard
    /// input.
    file: PathBuf,
    /// A column whose identifiers become pseudonyms; it keeps its name and place. Give it again for
    /// another one, each with its own --edge.
    #[arg(long, value_name = "NAME", required = true)]
    column: Vec<String>,
    /// The edge, for example warehouse/link.
    #[arg(long, value_parser = name::edge, required = true)]
    edge: Vec<String>,
    /// Where to; `-` is the standard output. By default FILE with `.pseudonymised` before its
    /// extension.
    #[arg(short = 'O', long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Where lines that are rejected are listed, with the reason. By default OUT.rejected.csv.
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    /// Replace the output if it exists, and begin anew what is not finished.
    #[arg(long)]
    force: bool,
    /// Go on with what an earlier run had finished (OUT.part), whatever ended it.
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// What separates the fields of a CSV file; one ASCII character.
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// Identifiers in one call, at most 10,000.
    #[arg(long, value_name = "N", default_value = "10000", value_parser = batch)]
    batch: usize,
    /// How long to wait for a service that went away, before giving up.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    patience: u64,
}

impl Map {
    pub(super) async fn run(self, session: &Session) -> Result<(), Error> {
        let columns = Column::all(&self.task.column, &self.task.edge, &self.input)?;
        self.task.run(session, &columns).await
    }
}

impl Transfer {
    pub(super) async fn run(self, session: &Session) -> Result<(), Error> {
        let inputs = vec![Input::Pseudonym; self.task.column.len()];
        let columns = Column::all(&self.task.column, &self.task.edge, &inputs)?;
        self.task.run(session, &columns).await
    }
}

impl Task {
    async fn run(self, session: &Session, columns: &[Column]) -> Result<(), Error> {
        let output = self.path();
        let is_parquet = !is_standard(&self.file) && is_parquet(&self.file)?;
        if is_standard(&self.file) || is_standard(&output) {
            let usage = |sentence: &str| Err(Error::new(Kind::Usage, sentence));
            if is_parquet {
                return usage("a Parquet file is written to a file: name it with --output");
            }
            if self.resume {
                return usage("what came or went through a pipe cannot be gone on with");
            }
            return self.piped(session, columns, &output).await;
        }
        self.kept(session, columns, &output, is_parquet).await
    }

    /// In one go.
    async fn piped(
        &self,
        session: &Session,
        columns: &[Column],
        output: &Path,
    ) -> Result<(), Error> {
        let (source, bar) = self.source()?;
        let to = if is_standard(output) {
            Output::standard()
        } else {
            Output::file(output, self.force)?
        };
        let lines = Lines::open(source, self.delimiter, columns, self.batch)?;
        let mut rejected = self.rejected(output);
        let mut written = Written::begin(to, self.delimiter, lines.header(), columns)?;
        let mut all = 0;
        let mut evaluation = Evaluation {
            columns,
            // Nobody knows how many there will be.
            batches: Vec::new(),
            versions: Versions::default(),
            stream: self.stream(session),
        };
        evaluation
            .run(read(lines, 0), |lines, answers| {
                all += lines.count();
                written.add(&lines, &answers, &mut rejected)
            })
            .await?;
        rejected.commit()?;
        written.finish()?.commit()?;
        bar.finish_and_clear();
        self.tell(session, output, all, &rejected)
    }

    /// From file to file.
    async fn kept(
        &self,
        session: &Session,
        columns: &[Column],
        output: &Path,
        is_parquet: bool,
    ) -> Result<(), Error> {
        let (digest, rows) = apart({
            let (file, delimiter, columns) = (self.file.clone(), self.delimiter, columns.to_vec());
            move || {
                let rows = if is_parquet {
                    RowGroups::open(&file, &columns, 1)?.rows()
                } else {
                    Lines::open(opened(&file)?, delimiter, &columns, 1)?.count()?
                };
                Ok((digest_of(&file)?, rows))
            }
        })
        .await?;
        let work = Work {
            digest,
            rows,
            delimiter: self.delimiter,
            batch: self.batch,
            columns,
        };
        let mut part = if self.resume {
            Part::resume(output, &work)?
        } else {
            // Known now rather than after an hour.
            if !self.force && output.symlink_metadata().is_ok() {
                drop(Output::file(output, false)?);
            }
            Part::begin(output, self.force, &work)?
        };
        let ended = self.rest(session, columns, &mut part, is_parquet).await;
        if let Err(e) = ended {
            return Err(part.left(e));
        }
        let written = self.write(columns, output, &part, &work, is_parquet).await;
        let rejected = match written {
            Ok(rejected) => rejected,
            Err(e) => return Err(part.left(e)),
        };
        part.remove()?;
        self.tell(session, output, rows, &rejected)
    }

    /// Evaluates what has no answer yet.
    async fn rest(
        &self,
        session: &Session,
        columns: &[Column],
        part: &mut Part,
        is_parquet: bool,
    ) -> Result<(), Error> {
        let size = part.batch();
        if is_parquet {
            let source = RowGroups::open(&self.file, columns, size)?;
            self.evaluate(session, columns, part, source).await
        } else {
            let source = Lines::open(opened(&self.file)?, self.delimiter, columns, size)?;
            self.evaluate(session, columns, part, source).await
        }
    }

    async fn evaluate(
        &self,
        session: &Session,
        columns: &[Column],
        part: &mut Part,
        source: impl Source,
    ) -> Result<(), Error> {
        let bar = progress::lines(part.expected(), part.rows);
        let mut evaluation = Evaluation {
            columns,
            batches: part.batches(),
            versions: std::mem::take(&mut part.versions),
            stream: self.stream(session),
        };
        let chunks = read(source, part.chunks);
        evaluation
            .run(chunks, |_rows, answers| {
                part.add(&answers)?;
                bar.set_position(part.rows);
                Ok(())
            })
            .await?;
        bar.finish_and_clear();
        Ok(())
    }

    /// Writes the output from the answers.
    async fn write(
        &self,
        columns: &[Column],
        output: &Path,
        part: &Part,
        work: &Work<'_>,
        is_parquet: bool,
    ) -> Result<Rejected, Error> {
        // An earlier run may have died between naming the output and removing its part.
        let to = Output::file(output, self.force || self.resume)?;
        let (file, delimiter, columns) = (self.file.clone(), self.delimiter, columns.to_vec());
        let (size, digest) = (part.batch(), work.digest.clone());
        let mut answers = part.answers()?;
        let mut rejected = self.rejected(output);
        apart(move || {
            let to = if is_parquet {
                replaced::write(&file, &columns, answers, to, &mut rejected)?
            } else {
                let mut lines = Lines::open(opened(&file)?, delimiter, &columns, size)?;
                let mut written = Written::begin(to, delimiter, lines.header(), &columns)?;
                while let Some(held) = lines.held()? {
                    written.add(&held, &answers.next()?, &mut rejected)?;
                }
                written.finish()?
            };
            if digest_of(&file)? != digest {
                let sentence = "the file was changed while it was read; begin anew with --force";
                return Err(Error::new(Kind::Invalid, sentence));
            }
            rejected.commit()?;
            to.commit()?;
            Ok(rejected)
        })
        .await
    }

    fn stream(&self, session: &Session) -> Pseudonyms {
        session.client.stream(Duration::from_secs(self.patience))
    }

    fn rejected(&self, output: &Path) -> Rejected {
        let beside = (!is_standard(output)).then(|| beside(output, ".rejected.csv"));
        Rejected::new(self.rejected.clone().or(beside), self.force || self.resume)
    }

    fn path(&self) -> PathBuf {
        match &self.output {
            Some(path) => path.clone(),
            None if is_standard(&self.file) => self.file.clone(),
            None => {
                let mut name = self.file.file_stem().unwrap_or_default().to_owned();
                name.push(".pseudonymised");
                if let Some(extension) = self.file.extension() {
                    name.push(".");
                    name.push(extension);
                }
                self.file.with_file_name(name)
            }
        }
    }

    fn source(&self) -> Result<(Counted<Box<dyn Read + Send>>, indicatif::ProgressBar), Error> {
        let (inner, bar): (Box<dyn Read + Send>, _) = if is_standard(&self.file) {
            (Box::new(io::stdin()), progress::bytes(None))
        } else {
            let file = opened(&self.file)?;
            let size = file.metadata().map(|metadata| metadata.len());
            (Box::new(file), progress::bytes(size.ok()))
        };
        Ok((
            Counted {
                inner,
                bar: bar.clone(),
            },
            bar,
        ))
    }

    fn tell(
        &self,
        session: &Session,
        output: &Path,
        all: u64,
        rejected: &Rejected,
    ) -> Result<(), Error> {
        let lines = all.saturating_sub(rejected.lines);
        if is_standard(output) {
            session
                .screen
                .remark(&format!("{lines} lines pseudonymised"));
        } else if session.screen.is_json() {
            session
                .screen
                .json(&json!({ "file": output, "lines": lines, "rejected": rejected.lines }))?;
        } else {
            let path = output.display();
            session
                .screen
                .line(&format!("{path}: {lines} lines pseudonymised"))?;
        }
        rejected.told(all)
    }
}

/// Reads and writes files, which blocks. What a damaged file does to its reader ends here.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_died| {
            Err(Error::new(
                Kind::Invalid,
                "the file broke its reader: it is damaged",
            ))
        })
}

fn opened(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))
}

fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn batch(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|size| (1..=MOST).contains(size))
        .ok_or_else(|| format!("a number from 1 to {MOST}"))
}
