//! A translation table on the disk: a directory of sealed parts, and nothing in clear but what they
//! are of.
//!
//! `table.json` says of which campaign it is. Each part is a sealed file (see `kms encrypt`) of the
//! rows of one call, as CSV, `old,new`; its name `part-{number}-{rows}-{SHA-256}.kms` says how many
//! rows and what they must be when they are opened. The values are 160 bits that nobody can guess,
//! so a digest of them tells nothing. A part appears whole or not at all, so that what is there is
//! where to go on.

use data_encoding::HEXLOWER;
use kms_client::{Bounds, Context, Envelopes, Error, Kind, Output, v1};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Of which campaign a table is, and of which run in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Label {
    pub(super) edge: String,
    pub(super) predecessor: String,
    pub(super) successor: String,
    /// The key that seals it.
    pub(super) key: String,
    /// The id of the run, for the service: however often it is interrupted, it is charged once.
    pub(super) run: String,
    /// How many rows it will have, and how many of them in one part.
    pub(super) rows: u64,
    pub(super) batch: u64,
}

/// A part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) rows: u64,
    digest: String,
}

/// A translation table.
#[derive(Debug)]
pub(super) struct TranslationTable {
    directory: PathBuf,
    pub(super) label: Label,
    pub(super) parts: Vec<Part>,
}

/// Rows of a table, in memory alone.
pub(super) type Pairs = Zeroizing<Vec<u8>>;

impl Label {
    /// Of a table that begins.
    pub(super) fn of(renewal: &v1::Renewal, rows: u64, batch: u64) -> Self {
        Label {
            edge: renewal.edge.clone(),
            predecessor: renewal.predecessor.clone(),
            successor: renewal.successor.clone(),
            key: renewal.table_key.clone(),
            run: uuid::Uuid::new_v4().to_string(),
            rows,
            batch,
        }
    }

    /// Whether it is of this campaign.
    pub(super) fn is_of(&self, renewal: &v1::Renewal) -> bool {
        (&self.edge, &self.predecessor, &self.successor, &self.key)
            == (
                &renewal.edge,
                &renewal.predecessor,
                &renewal.successor,
                &renewal.table_key,
            )
    }

    /// Whether both are of one campaign.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        (&self.edge, &self.successor, &self.key) == (&other.edge, &other.successor, &other.key)
    }

    /// What a part is bound to: it opens as no other part, and as no other campaign's.
    fn context(&self, number: usize) -> Result<Context, Error> {
        Context::none()
            .with("edge", &self.edge)?
            .with("successor", &self.successor)?
            .with("part", &number.to_string())
    }
}

impl TranslationTable {
    /// A table of this campaign for so many rows: a new one, or what is there of it.
    pub(super) fn begin(
        directory: &Path,
        renewal: &v1::Renewal,
        (rows, batch): (u64, u64),
    ) -> Result<Self, Error> {
        if directory.join(LABEL).exists() {
            let table = Self::open(directory)?;
            if table.label.is_of(renewal) {
                return Ok(table);
            }
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "{} is a table of another campaign, from {} to {}",
                    directory.display(),
                    table.label.predecessor,
                    table.label.successor
                ),
            ));
        }
        let wrote = |e: std::io::Error| Error::file(&doing(directory), &e);
        fs::create_dir_all(directory).map_err(wrote)?;
        if fs::read_dir(directory).map_err(wrote)?.next().is_some() {
            let sentence = format!("{} is there and no translation table", directory.display());
            return Err(Error::new(Kind::Io, sentence));
        }
        let label = Label::of(renewal, rows, batch);
        let text = serde_json::to_string_pretty(&label)
            .map_err(|e| Error::new(Kind::Internal, format!("cannot write the table: {e}")))?;
        let mut output = Output::file(&directory.join(LABEL), false)?;
        writeln!(output, "{text}").map_err(wrote)?;
        output.commit()?;
        Ok(Self {
            directory: directory.to_owned(),
            label,
            parts: vec![],
        })
    }

    /// A table that is there.
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        let read = |e: std::io::Error| Error::file(&format!("read {}", directory.display()), &e);
        let text = fs::read_to_string(directory.join(LABEL)).map_err(read)?;
        let label = serde_json::from_str(&text).map_err(|e| {
            let sentence = format!("{} is no translation table: {e}", directory.display());
            Error::new(Kind::Invalid, sentence)
        })?;
        let mut parts = Vec::new();
        for entry in fs::read_dir(directory).map_err(read)? {
            let path = entry.map_err(read)?.path();
            parts.extend(numbered(&path)?);
        }
        parts.sort_by_key(|(number, _)| *number);
        let gap = parts.iter().enumerate().find(|(at, (n, _))| at != n);
        if let Some((missing, _)) = gap {
            let sentence = format!(
                "part {missing} of {} is missing or twice there",
                directory.display()
            );
            return Err(Error::new(Kind::Invalid, sentence));
        }
        Ok(Self {
            directory: directory.to_owned(),
            label,
            parts: parts.into_iter().map(|(_, part)| part).collect(),
        })
    }

    pub(super) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// Seals one more part, durably.
    pub(super) async fn add(
        &mut self,
        envelopes: &Envelopes,
        pairs: Pairs,
        rows: u64,
    ) -> Result<(), Error> {
        let number = self.parts.len();
        let digest = digest(&pairs);
        let path = self
            .directory
            .join(format!("part-{number:06}-{rows}-{digest}.kms"));
        let output = Output::file(&path, false)?;
        let context = self.label.context(number)?;
        let (_, output) = envelopes
            .seal(&self.label.key, &context, Cursor::new(pairs), output)
            .await?;
        output.commit()?;
        self.parts.push(Part { path, rows, digest });
        Ok(())
    }

    /// Opens a part, in memory, and makes sure that it is what was sealed.
    pub(super) async fn opened(
        &self,
        envelopes: &Envelopes,
        number: usize,
    ) -> Result<Pairs, Error> {
        let part = self.parts.get(number);
        let part = part.ok_or_else(|| Error::new(Kind::Internal, "there is no such part"))?;
        let shown = part.path.display();
        let file =
            fs::File::open(&part.path).map_err(|e| Error::file(&format!("read {shown}"), &e))?;
        let context = self.label.context(number)?;
        let key = Some(self.label.key.as_str());
        let opened = envelopes.open(key, &context, file, Vec::new()).await;
        let pairs = Zeroizing::new(opened.map_err(|e| e.within(&shown))?.1);
        if part.is(&pairs) {
            Ok(pairs)
        } else {
            let sentence = format!("{shown} does not hold what its name says");
            Err(Error::new(Kind::Invalid, sentence))
        }
    }
}

impl Part {
    /// Whether these are its rows.
    pub(super) fn is(&self, pairs: &Pairs) -> bool {
        digest(pairs) == self.digest
    }
}

/// How parts are sealed: each with a data key of its own.
pub(super) fn envelopes(client: &kms_client::Client) -> Envelopes {
    Envelopes::new(client.clone(), Bounds::default())
}

/// What is in a table's name of a part; nothing for any other file.
fn numbered(path: &Path) -> Result<Option<(usize, Part)>, Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(inner) = name
        .and_then(|name| name.strip_prefix("part-"))
        .and_then(|name| name.strip_suffix(".kms"))
    else {
        return Ok(None);
    };
    let mut fields = inner.split('-');
    let number = fields.next().and_then(|n| n.parse().ok());
    let rows = fields.next().and_then(|n| n.parse().ok());
    let digest = fields.next().filter(|digest| digest.len() == 64);
    match (number, rows, digest, fields.next()) {
        (Some(number), Some(rows), Some(digest), None) => {
            let part = Part {
                path: path.to_owned(),
                rows,
                digest: digest.to_owned(),
            };
            Ok(Some((number, part)))
        }
        _ => Err(Error::new(
            Kind::Invalid,
            format!("{} is no part of a translation table", path.display()),
        )),
    }
}

fn digest(pairs: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(pairs))
}

fn doing(directory: &Path) -> String {
    format!("write the table {}", directory.display())
}

const LABEL: &str = "table.json";
