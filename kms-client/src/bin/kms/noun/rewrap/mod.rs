//! `kms rewrap`: wrapped data keys to the current version, without showing one.

mod files;
mod mover;
mod part;
mod report;
mod row;
mod stream;
mod tally;

use super::csv_file::delimiter;
use super::file::Binding;
use crate::progress::{self, Counted};
use crate::session::Session;
use clap::{Args, ValueHint};
use files::Files;
use kms_client::{Error, Kind, Output, name};
use mover::Mover;
use part::Part;
use row::{Fields, Rows};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use stream::{Followed, Way};
use tally::Tally;

/// Asks the service to wrap data keys anew, under the current version of their key, and shows
/// nobody a data key: those of sealed files, whose headers are replaced in place, or those in one
/// field of JSON lines or of a CSV file. What is under the current version already is left alone.
/// Whatever ends a run, the same command goes on where it was. At the end it tells what still
/// refers to each old version here, and whether others use it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kms rewrap /srv/out/*.kms
  find /srv -name '*.kms' | kms rewrap --files-from -
  kms rewrap --jsonl keys.jsonl -O new.jsonl --key ingest-lyon/object --field wrappedKey
  kms rewrap --csv keys.csv --column wrapped_key -O new.csv --key ingest-lyon/object

Exit codes: 0 all are under the current version; otherwise that of the first failure, and what
failed is as it was.")]
pub(crate) struct Rewrap {
    /// The sealed files.
    #[arg(
        required_unless_present_any = ["files_from", "jsonl", "csv"],
        conflicts_with_all = ["files_from", "jsonl", "csv"],
        value_hint = ValueHint::FilePath
    )]
    files: Vec<PathBuf>,
    /// Sealed files, one path a line; `-` is the standard input.
    #[arg(long, value_name = "LIST", conflicts_with_all = ["jsonl", "csv"])]
    files_from: Option<PathBuf>,
    /// A file of JSON objects, one a line, each with a wrapped data key in base64; `-` is the
    /// standard input.
    #[arg(long, value_name = "IN", conflicts_with = "csv", requires_all = ["key", "output"])]
    jsonl: Option<PathBuf>,
    /// A CSV file with a header line and a column of wrapped data keys in base64; `-` is the
    /// standard input.
    #[arg(long, value_name = "IN", requires_all = ["key", "output", "field"])]
    csv: Option<PathBuf>,
    /// The data-at-rest key whose versions wrap, for example ingest-lyon/object; the header of a
    /// sealed file names it itself.
    #[arg(long, value_parser = name::key, conflicts_with_all = ["files", "files_from"])]
    key: Option<String>,
    /// The field, or the column, that holds the wrapped data key; `ciphertext` by default in JSON.
    #[arg(
        long,
        visible_alias = "column",
        value_name = "NAME",
        conflicts_with_all = ["files", "files_from"]
    )]
    field: Option<String>,
    /// The field that holds the encryption context, as an object; where it has none, that of
    /// --context is taken.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["files", "files_from"])]
    context_field: Option<String>,
    /// What separates fields of a CSV file; one ASCII character.
    #[arg(
        long,
        value_name = "CHARACTER",
        default_value = ",",
        value_parser = delimiter,
        requires = "csv"
    )]
    delimiter: u8,
    /// Where the rows go, with their data keys wrapped anew; it appears when all are done.
    #[arg(
        short = 'O',
        long,
        value_name = "OUT",
        conflicts_with_all = ["files", "files_from"]
    )]
    output: Option<PathBuf>,
    /// Replace the output, or the file of failures, if it exists.
    #[arg(long)]
    force: bool,
    /// Begin anew what an earlier run has begun (OUT.part).
    #[arg(long, conflicts_with_all = ["files", "files_from"])]
    anew: bool,
    /// Where failures go, one JSON object each: where and why, without content. For rows OUT with
    /// `.failures` added, by default.
    #[arg(long, value_name = "FILE")]
    failures: Option<PathBuf>,
    /// Rows in one call, at most 1,000.
    #[arg(long, value_name = "N", default_value = "500", value_parser = batch)]
    batch: usize,
    /// Calls under way at once, at most 64.
    #[arg(long, value_name = "N", default_value = "4", value_parser = parallel)]
    parallel: usize,
    #[command(flatten)]
    binding: Binding,
}

impl Rewrap {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match (&self.jsonl, &self.csv, &self.output, &self.key) {
            (Some(input), _, Some(output), Some(key))
            | (None, Some(input), Some(output), Some(key)) => {
                let (tally, failures) = self.rows(session, input, output, key).await?;
                if let Some(failures) = &failures {
                    let told = format!("what failed is in {}", failures.display());
                    session.screen.remark(&told);
                }
                tell(session, &tally, Some(output), failures.as_deref()).await?;
                tally.end("items")
            }
            _ => {
                let (tally, only) = self.files(session).await?;
                if let Some(error) = only {
                    return Err(error);
                }
                tell(session, &tally, None, self.failures.as_deref()).await?;
                tally.end("files")
            }
        }
    }

    async fn files(&self, session: &Session) -> Result<(Tally, Option<Error>), Error> {
        let context = self.binding.context()?;
        let mover = Mover::new(session.client.clone());
        let failures = self.failures.as_deref();
        let failures = failures.map(|path| Output::file(path, self.force));
        let mut files = Files::new(failures.transpose()?);
        let with = (&mover, self.parallel);
        let bar = match &self.files_from {
            Some(list) => {
                let bar = progress::waiting();
                files.run(listed(list)?, &context, with, &bar).await?;
                bar
            }
            None => {
                let bar = progress::steps(self.files.len());
                let paths = self.files.clone().into_iter().map(Ok);
                files.run(paths, &context, with, &bar).await?;
                bar
            }
        };
        bar.finish_and_clear();
        files.end()
    }

    async fn rows(
        &self,
        session: &Session,
        input: &Path,
        output: &Path,
        key: &str,
    ) -> Result<(Tally, Option<PathBuf>), Error> {
        let fields = Fields {
            ciphertext: self.field.clone().unwrap_or_else(|| "ciphertext".into()),
            context: self.context_field.clone(),
            default: self.binding.context()?.pairs().clone(),
        };
        let form = if self.csv.is_some() { "csv" } else { "jsonl" };
        // Nothing of a context's values: it is stored nowhere.
        let asked = serde_json::json!([
            form,
            key,
            &fields.ciphertext,
            &fields.context,
            self.delimiter
        ]);
        let (source, bar) = source(input)?;
        let (followed, seen) = Followed::of(source);
        let (rows, header) = if self.csv.is_some() {
            Rows::csv(followed, self.delimiter, fields)?
        } else {
            (Rows::json(followed, fields), Vec::new())
        };
        let failures = self.failures.as_deref();
        let going = (self.force, self.anew);
        let mut part = Part::begin(output, failures, asked.to_string(), going)?;
        if part.is_begun() {
            let items = part.reached.tally.items();
            let told = format!("going on where an earlier run was: {items} items are done");
            session.screen.remark(&told);
        }
        if !part.is_begun() {
            part.write(&header)?;
        }
        let mover = Mover::new(session.client.clone());
        let way = Way {
            key: key.to_owned(),
            delimiter: self.delimiter,
            batch: self.batch,
            parallel: self.parallel,
        };
        let ended = stream::run(rows, seen, (&mover, &way), &mut part).await;
        bar.finish_and_clear();
        match ended {
            Ok(()) => part.finish(),
            Err(error) if part.is_begun() => Err(error),
            Err(error) => part.discard().and(Err(error)),
        }
    }
}

async fn tell(
    session: &Session,
    tally: &Tally,
    output: Option<&Path>,
    failures: Option<&Path>,
) -> Result<(), Error> {
    let old = report::ask(session, tally).await;
    if !session.screen.is_json() {
        return session.screen.line(&report::text(tally, &old));
    }
    let mut json = report::json(tally, &old);
    if let Some(fields) = json.as_object_mut() {
        let path = |path: Option<&Path>| {
            path.map_or(Value::Null, |path| Value::from(path.to_string_lossy()))
        };
        fields.insert("output".into(), path(output));
        fields.insert("failures".into(), path(failures));
    }
    session.screen.json(&json)
}

/// The paths of a list, as it is read.
fn listed(
    list: &Path,
) -> Result<impl Iterator<Item = Result<PathBuf, Error>> + Send + use<>, Error> {
    let lines = BufReader::new(opened(list)?).lines();
    let place = list.to_owned();
    let path = move |line: io::Result<String>| {
        let doing = format!("read {}", place.display());
        line.map(PathBuf::from).map_err(|e| Error::file(&doing, &e))
    };
    let named = |line: &io::Result<String>| line.as_ref().map_or(true, |line| !line.is_empty());
    Ok(lines.filter(named).map(path))
}

fn source(path: &Path) -> Result<(Counted<Box<dyn Read + Send>>, indicatif::ProgressBar), Error> {
    let size = std::fs::metadata(path).ok();
    let size = size
        .filter(std::fs::Metadata::is_file)
        .map(|about| about.len());
    let bar = progress::bytes(size);
    let inner = opened(path)?;
    let counted = Counted {
        inner,
        bar: bar.clone(),
    };
    Ok((counted, bar))
}

fn opened(path: &Path) -> Result<Box<dyn Read + Send>, Error> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file =
        File::open(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))?;
    if file.metadata().is_ok_and(|about| about.is_dir()) {
        let sentence = format!("{} is a directory", path.display());
        return Err(Error::new(Kind::Io, sentence));
    }
    Ok(Box::new(file))
}

fn batch(text: &str) -> Result<usize, String> {
    within(text, 1_000)
}

fn parallel(text: &str) -> Result<usize, String> {
    within(text, 64)
}

fn within(text: &str, most: usize) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("a number from 1 to {most}"))
}
