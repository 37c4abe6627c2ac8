//! `kms pseudonym chain`: one person along the edges, for their rights, when others have agreed.
//!
//! They agree to a commitment, which says nothing of who it is; the random bytes that open it are
//! kept in a ticket file, and the identifier comes on the standard input each time.

use super::typed::{fields_of, typed};
use crate::noun::Once;
use crate::noun::edge::Input;
use crate::session::Session;
use crate::table::Table;
use clap::Args;
use kms_client::{Client, Error, Kind, name, read_private, v1};
use kms_core::chain::{Commitment, SALT};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(Debug, Args)]
pub(crate) struct Chain {
    /// The edge that the person's identifier is evaluated along first, for example warehouse/link.
    #[arg(long, value_parser = name::edge)]
    edge: String,
    /// What that edge evaluates.
    #[arg(long, value_enum, default_value = "opaque")]
    input: Input,
    /// The ticket: made by the first run, needed by the next; only you may read it.
    #[arg(long, value_name = "FILE")]
    ticket: PathBuf,
    /// Which right is exercised, for those who must agree; never who it is.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    once: Once,
}

impl Chain {
    pub(super) async fn run(self, session: &Session) -> Result<(), Error> {
        let mut text = Zeroizing::new(String::new());
        std::io::stdin()
            .lock()
            .take(1024)
            .read_to_string(&mut text)
            .map_err(|e| Error::file("read the identifier", &e))?;
        let text = text.trim_end_matches(['\r', '\n']);
        let (person, sent) = typed(self.input, &fields_of(self.input, text))?;
        let kept = self.ticket.exists();
        let salt = if kept {
            kept_salt(&self.ticket)?
        } else {
            new_salt(&self.ticket)?
        };
        let commitment = Commitment::to(&person, &salt);
        let follow = async || {
            let request = v1::FollowChainRequest {
                name: self.edge.clone(),
                identifier: Some(sent.clone()),
                salt: salt.to_vec(),
            };
            session.client.follow_chain(request).await
        };
        // Who comes back with a ticket may have been allowed meanwhile.
        let already = if kept { Some(follow().await) } else { None };
        let steps = match already {
            Some(Err(e)) if e.kind() != Kind::State => return Err(e),
            Some(Ok(steps)) => steps,
            Some(Err(_)) | None => {
                let request = v1::StartChainRequest {
                    name: self.edge.clone(),
                    commitment: commitment.as_str().to_owned(),
                    reason: self.reason.clone(),
                    request_id: self.once.request_id.clone(),
                };
                let started = session.carry(request, Client::start_chain).await;
                started.map_err(|e| self.over(e))?;
                follow().await?
            }
        };
        session.screen.show(&steps, table)
    }

    /// A ticket is for one hour: the name that follows from it is taken for ever.
    fn over(&self, error: Error) -> Error {
        if error.kind() != Kind::Conflict {
            return error;
        }
        error.followed(format!(
            "; the hour of {ticket} is over: remove it, and ask again",
            ticket = self.ticket.display()
        ))
    }
}

fn table(steps: &v1::FollowChainResponse) -> Table {
    use v1::follow_chain_response::step::Result as R;
    Table::columns(["SPACE", "EDGE", "FROM", "PSEUDONYM"]).rows(steps.steps.iter().map(|step| {
        let space = step
            .edge
            .split_once("/edges/")
            .map_or("", |(space, _)| space);
        let made = match &step.result {
            Some(R::Pseudonym(text)) => text.clone(),
            Some(R::Error(error)) => format!("none: {}", error.message),
            None => String::new(),
        };
        [
            name::short(space),
            name::short(&step.edge),
            name::short(&step.parent),
            made,
        ]
    }))
}

fn new_salt(ticket: &Path) -> Result<Zeroizing<[u8; SALT]>, Error> {
    let failed = |e: std::io::Error| Error::file(&format!("write {}", ticket.display()), &e);
    let mut salt = Zeroizing::new([0; SALT]);
    getrandom::fill(salt.as_mut_slice())
        .map_err(|e| Error::new(Kind::Internal, format!("there are no random bytes: {e}")))?;
    let options = &mut std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(ticket)
        .map_err(failed)?;
    file.write_all(salt.as_slice()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(salt)
}

fn kept_salt(ticket: &Path) -> Result<Zeroizing<[u8; SALT]>, Error> {
    let kept = read_private("the ticket", ticket)?;
    let salt = kept.as_slice().try_into().map_err(|_other_length| {
        let sentence = format!("{} is no ticket of this command", ticket.display());
        Error::new(Kind::Invalid, sentence)
    })?;
    Ok(Zeroizing::new(salt))
}
