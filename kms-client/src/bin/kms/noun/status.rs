//! `kms status`.

use crate::session::Session;
use crate::table::Table;
use clap::Args;
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
                ("you are", here.caller.clone()),
                ("your roles", roles),
            ])
        })
    }
}
