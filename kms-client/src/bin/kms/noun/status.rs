//! `kms status`.

use crate::session::Session;
use crate::table::{Table, in_how_long, time};
use clap::Args;
use console::style;
use kms_client::{Error, v1};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  kms status\n  kms --context auditor status -o json")]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        let answer = session
            .client
            .get_deployment(v1::GetDeploymentRequest {})
            .await?;
        if !answer.emergency.is_empty() && !session.screen.is_json() {
            let loud = format!(
                "EMERGENCY: {} is under way and ends {} ({}); whatever is done in it is reviewed",
                answer.emergency,
                in_how_long(answer.emergency_end_time.as_ref()),
                time(answer.emergency_end_time.as_ref()),
            );
            session.screen.line(&style(loud).red().bold().to_string())?;
        }
        session.screen.show(&answer, |here| {
            let roles = if here.caller_roles.is_empty() {
                "none".to_owned()
            } else {
                here.caller_roles.join(", ")
            };
            Table::fields([
                ("deployment", here.name.clone()),
                (
                    "environment",
                    format!("{}, {}", here.environment, here.side),
                ),
                ("trust domain", here.trust_domain.clone()),
                ("server", here.server_version.clone()),
                ("you are", here.principal.clone()),
                ("by certificate", here.caller.clone()),
                ("also called", here.aliases.join(", ")),
                ("your roles", roles),
            ])
        })
    }
}
