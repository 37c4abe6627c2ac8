//! `kms export`.

use super::{Move, Once, version};
use crate::difference::visible;
use crate::intake::Mechanism;
use crate::pem;
use crate::session::Session;
use crate::table::{Table, person, time, time_and_age};
use clap::{Args, Subcommand};
use kms_client::{Client, Error, Output, name, v1};
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The HSMs that exportable keys may leave for.
    #[command(subcommand)]
    Destination(Destination),
    /// Wrap a version for a destination, inside the HSM; two custodians approve it.
    ///
    /// Only a key that was declared exportable when it was made can leave, by direct RSA-OAEP, under
    /// a public key that the HSM's security officer has marked as trusted (kms-server trust). The
    /// version says for ever that it left. RSA and EC keys do not fit into OAEP: they never leave.
    #[command(after_help = "Examples:
  kms export key warehouse/edge-link/1 --to other-hsm -O edge-link.wrapped \\
      --reason \"the warehouse moves\" --wait")]
    Key(Key),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Destination {
    /// Declare another HSM, by a public key whose private half it holds; two custodians approve it.
    ///
    /// Compare the SHA-256 with whoever runs that HSM, over another way than the file came by.
    #[command(after_help = "Examples:
  kms export destination create other-hsm --title \"HSM at the new provider\" \\
      --public-key other-hsm.pem --wait")]
    Create(Create),
    /// List the destinations, with what people compare.
    #[command(after_help = "Examples:\n  kms export destination list")]
    List,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// For example other-hsm.
    #[arg(value_parser = name::destination)]
    destination: String,
    /// Which HSM it is, for people.
    #[arg(long, value_name = "TEXT")]
    title: String,
    /// Its public key, PEM: RSA with 3072 to 4096 bits.
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    #[command(flatten)]
    once: Once,
}

#[derive(Debug, Args)]
pub(crate) struct Key {
    /// For example warehouse/edge-link/1.
    #[arg(value_parser = name::version)]
    version: String,
    /// Where it goes.
    #[arg(long, value_name = "DESTINATION", value_parser = name::destination)]
    to: String,
    /// How it is wrapped.
    #[arg(long, value_enum, default_value = "rsa-oaep-sha256")]
    mechanism: Mechanism,
    /// The file for the wrapped key.
    #[arg(short = 'O', long = "output", value_name = "FILE")]
    output: PathBuf,
    /// Replace a file that exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    moving: Move,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::Destination(Destination::Create(asked)) => asked.run(session).await,
            Self::Destination(Destination::List) => {
                let answer = session
                    .client
                    .list_destinations(v1::ListDestinationsRequest {})
                    .await?;
                if answer.destinations.is_empty() {
                    session.screen.remark("no destination was declared");
                }
                session.screen.show(&answer, list)
            }
            Self::Key(asked) => asked.run(session).await,
        }
    }
}

impl Create {
    async fn run(self, session: &Session) -> Result<(), Error> {
        let request = v1::CreateDestinationRequest {
            destination: Some(v1::Destination {
                name: self.destination,
                title: self.title,
                public_key: pem::read(&self.public_key)?,
                ..v1::Destination::default()
            }),
            request_id: self.once.request_id,
        };
        let made = session.carry(request, Client::create_destination).await?;
        session.screen.show(&made, fields)
    }
}

impl Key {
    async fn run(self, session: &Session) -> Result<(), Error> {
        // Before anything leaves: what cannot be written down would be lost.
        let mut output = Output::file(&self.output, self.force)?;
        let request = v1::ExportKeyRequest {
            name: self.version,
            destination: self.to,
            mechanism: v1::WrappingMechanism::from(self.mechanism).into(),
            reason: self.moving.reason,
            etag: self.moving.etag,
            request_id: self.moving.once.request_id,
        };
        let answer = session.carry(request, Client::export_key).await?;
        output
            .write_all(&answer.wrapped_key)
            .map_err(|e| Error::file(&format!("write {}", self.output.display()), &e))?;
        output.commit()?;
        match &answer.version {
            Some(exported) => session.screen.show(exported, version::fields),
            None => Ok(()),
        }
    }
}

fn list(answer: &v1::ListDestinationsResponse) -> Table {
    let header = ["DESTINATION", "TITLE", "SHA-256", "DECLARED", "BY"];
    Table::columns(header).rows(answer.destinations.iter().map(|destination| {
        [
            name::short(&destination.name),
            visible(&destination.title),
            destination.public_key_sha256.clone(),
            time(destination.create_time.as_ref()),
            person(&destination.creator).to_owned(),
        ]
    }))
}

fn fields(destination: &v1::Destination) -> Table {
    Table::fields([
        ("name", destination.name.clone()),
        ("title", visible(&destination.title)),
        ("sha-256", destination.public_key_sha256.clone()),
        ("declared", time_and_age(destination.create_time.as_ref())),
        ("by", destination.creator.clone()),
    ])
}
