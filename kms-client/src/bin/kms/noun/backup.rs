//! `kms backup`.

use super::Once;
use crate::difference::visible;
use crate::session::Session;
use crate::study::day;
use crate::table::{Table, in_how_long, person, time, time_and_age};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use kms_client::{Client, Error, name, v1};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say that the token was backed up with the HSM's own tools; a custodian approves it.
    ///
    /// What is destroyed here may live on in it: an attestation of destruction names it, and is
    /// final only once it has expired.
    #[command(after_help = "Examples:
  kms backup declare \"vault 2, cassette 7\" --taken 2026-11-25T02:00:00Z --expires 2027-02-25 --wait")]
    Declare(Declare),
    /// List the declared backups, the latest first.
    #[command(after_help = "Examples:\n  kms backup list")]
    List,
}

#[derive(Debug, Args)]
pub(crate) struct Declare {
    /// Where it is.
    title: String,
    /// When it was taken: a moment (2026-11-25T02:00:00Z), or a day, from its beginning in UTC.
    #[arg(long, value_name = "TIME", value_parser = day)]
    taken: Timestamp,
    /// From then on nothing of it is kept.
    #[arg(long, value_name = "TIME", value_parser = day)]
    expires: Timestamp,
    #[command(flatten)]
    once: Once,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::Declare(asked) => {
                let stamp = |time: Timestamp| {
                    Some(prost_types::Timestamp {
                        seconds: time.as_second(),
                        nanos: 0,
                    })
                };
                let request = v1::DeclareBackupRequest {
                    backup: Some(v1::Backup {
                        title: asked.title,
                        take_time: stamp(asked.taken),
                        expire_time: stamp(asked.expires),
                        ..v1::Backup::default()
                    }),
                    request_id: asked.once.request_id,
                };
                let backup = session.carry(request, Client::declare_backup).await?;
                session.screen.show(&backup, fields)
            }
            Self::List => {
                let answer = session
                    .client
                    .list_backups(v1::ListBackupsRequest {})
                    .await?;
                if answer.backups.is_empty() {
                    session.screen.remark("no backup of the token was declared");
                }
                session.screen.show(&answer, list)
            }
        }
    }
}

fn list(answer: &v1::ListBackupsResponse) -> Table {
    let header = ["BACKUP", "TITLE", "TAKEN", "EXPIRES", "", "DECLARED BY"];
    Table::columns(header).rows(answer.backups.iter().map(|backup| {
        [
            name::short(&backup.name),
            visible(&backup.title),
            time(backup.take_time.as_ref()),
            time(backup.expire_time.as_ref()),
            in_how_long(backup.expire_time.as_ref()),
            person(&backup.declarer).to_owned(),
        ]
    }))
}

fn fields(backup: &v1::Backup) -> Table {
    Table::fields([
        ("name", backup.name.clone()),
        ("title", visible(&backup.title)),
        ("taken", time_and_age(backup.take_time.as_ref())),
        ("expires", time(backup.expire_time.as_ref())),
        ("declared", time_and_age(backup.declare_time.as_ref())),
        ("by", backup.declarer.clone()),
    ])
}
