//! `kms import check` and `kms import submit`.

use super::{read, wrapped, write};
use crate::noun::{Move, version};
use crate::pem::pem;
use crate::session::Session;
use clap::Args;
use kms_client::{Client, Error, Kind, name, v1};
use std::path::{Path, PathBuf};

/// What was handed over.
#[derive(Debug, Args)]
pub(crate) struct Handed {
    /// The key that receives the material.
    #[arg(value_parser = name::key)]
    key: String,
    /// The import token that came with the parameters.
    #[arg(long, value_name = "FILE")]
    token: PathBuf,
    /// The wrapped material; a file that ends with .byok is read as Azure's tools write it.
    #[arg(long, value_name = "FILE")]
    wrapped: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    handed: Handed,
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    #[command(flatten)]
    handed: Handed,
    /// Where the signed receipt goes: FILE, and beside it .sig and .pem.
    #[arg(short = 'O', long = "output", value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    moving: Move,
}

impl Check {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        let import_token = read(&self.handed.token)?;
        let request = v1::CheckImportRequest {
            name: self.handed.key.clone(),
            wrapped_key: wrapped(&self.handed.wrapped, &import_token)?,
            import_token,
        };
        let answer = session.client.check_import(request).await?;
        if session.screen.is_json() {
            return session.screen.message(&answer);
        }
        session.screen.line(&format!(
            "it would come in as the next version of {}; nothing was brought in",
            self.handed.key
        ))
    }
}

impl Submit {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        // Told before anything comes in: a receipt that cannot be written is no reason to fail then.
        if let Some(path) = self
            .receipt
            .as_deref()
            .filter(|path| !self.force && path.exists())
        {
            let sentence = format!("{} exists; give another name, or --force", path.display());
            return Err(Error::new(Kind::Io, sentence));
        }
        let import_token = read(&self.handed.token)?;
        let request = v1::ImportKeyRequest {
            name: self.handed.key,
            wrapped_key: wrapped(&self.handed.wrapped, &import_token)?,
            import_token,
            reason: self.moving.reason,
            request_id: self.moving.once.request_id,
            etag: self.moving.etag,
        };
        let answer = session.carry(request, Client::import_key).await?;
        if let Some(path) = &self.receipt {
            keep(path, &answer, self.force)?;
        }
        session.screen.show(&answer, |answer| {
            version::fields(&answer.version.clone().unwrap_or_default())
        })
    }
}

fn keep(path: &Path, answer: &v1::ImportedKey, force: bool) -> Result<(), Error> {
    if answer.receipt.is_empty() {
        let sentence = "the key came in, and its receipt could not be signed: send the same request \
                        again, with its --request-id";
        return Err(Error::new(Kind::Unavailable, sentence));
    }
    write(path, &answer.receipt, force)?;
    write(
        &path.with_extension("sig"),
        &answer.receipt_signature,
        force,
    )?;
    let key = pem(&answer.signing_key);
    write(&path.with_extension("pem"), key.as_bytes(), force)
}
