//! `kms hsm`.

use crate::session::Session;
use crate::table::{Table, yes};
use clap::Subcommand;
use kms_client::{Error, v1};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the HSM's state and what it was found to be able to do.
    #[command(after_help = "Examples:\n  kms hsm show")]
    Show,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        let Self::Show = self;
        let answer = session.client.get_hsm(v1::GetHsmRequest {}).await?;
        session.screen.show(&answer, |hsm| {
            Table::fields([
                ("serving", yes(hsm.serving)),
                ("message", hsm.message.clone()),
                ("manufacturer", hsm.manufacturer.clone()),
                ("model", hsm.model.clone()),
                ("token", hsm.token_label.clone()),
                ("serial number", hsm.serial_number.clone()),
                ("firmware", hsm.firmware_version.clone()),
            ])
        })?;
        if session.screen.is_json() {
            return Ok(());
        }
        let findings = answer.findings.iter().map(|finding| {
            [
                finding.capability.clone(),
                yes(finding.present),
                finding.detail.clone(),
            ]
        });
        session.screen.line("")?;
        session.screen.line(
            &Table::columns(["CAPABILITY", "PRESENT", "DETAIL"])
                .rows(findings)
                .to_string(),
        )
    }
}
