//! `kms policy`.

pub(super) mod apply;
mod cases;
mod explain;
mod history;
pub(super) mod plan;

use super::access::principal;
use crate::rules;
use crate::session::Setting;
use crate::study;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use kms_client::{Error, name, v1};
use kms_core::action::Action;
use std::net::IpAddr;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the policy in force, as it was written.
    #[command(after_help = "Examples:
  kms policy show > policy.cedar
  kms policy show --schema > schema.cedarschema")]
    Show {
        /// The schema instead: what a policy can speak of.
        #[arg(long)]
        schema: bool,
    },
    /// Show what `apply` would change: the texts, then who would gain or lose what.
    ///
    /// The server checks the files as it would if they were applied. Nothing is done.
    #[command(after_help = "Examples:
  kms policy plan -f policy.cedar
  kms policy plan -f policy.cedar --schema schema.cedarschema --bindings bindings.yaml")]
    Plan(Files),
    /// Put the policy, the bindings or both into force; each is a change of its own.
    ///
    /// Takes approvals in production. It is effective on all connections within two seconds; what
    /// would lock every officer out, or bring incompatible roles together, is refused.
    #[command(after_help = "Examples:
  kms policy apply -f policy.cedar --reason \"break glass turned on, decision 7\"
  kms policy apply -f policy.cedar --etag 214 --reason \"decision 7\" --wait=2h")]
    Apply {
        #[command(flatten)]
        files: Files,
        /// Why, for the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Go on only if this, from `plan`, is still the policy's etag.
        #[arg(long, value_name = "ETAG")]
        etag: Option<String>,
    },
    /// List every policy and binding that there was, from the changes log.
    #[command(after_help = "Examples:\n  kms policy history\n  kms policy history --diff")]
    History {
        /// Show what each one changed.
        #[arg(long)]
        diff: bool,
    },
    /// Check that the policy says what it should: cases in a file, each with what is expected.
    #[command(after_help = "\
The file is YAML. `expect` is allowed (as it is), refused (whoever agrees) or approvals N; names are
as on the command line. A development deployment asks for no approvals.

  cases:
    - {as: person/olivia, can: RotateKey, on: ingest-lyon/object, expect: allowed}
    - {as: person/olivia, can: Decrypt, on: ingest-lyon/object, expect: refused}
    - {as: person/hugo, can: PutPolicy, on: deployment, expect: approvals 2}
    - {as: service/nb, can: Decrypt, on: p-01/object, purpose: cardio, expect: allowed}
    - {as: service/nb, can: Decrypt, on: p-01/object, from: 192.0.2.7, expect: refused}
    - {as: person/olivia, can: RotateKey, on: p-01/object, at: 2027-01-01T23:00:00Z, expect: refused}

`from` is the address that they would come from (left out: none, which is in no network), `at` when
(left out: now), `purpose` what they would state.

It exits with 3 when a case does not hold.

Examples:
  kms policy test -f cases.yaml
  kms policy test -f cases.yaml --policy policy.cedar --bindings bindings.yaml")]
    Test {
        /// The cases, YAML.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// A policy that is not in force yet, Cedar.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// A schema that is not in force yet, Cedar.
        #[arg(long, value_name = "FILE")]
        schema: Option<PathBuf>,
        /// Bindings that are not in force yet, YAML.
        #[arg(long, value_name = "FILE")]
        bindings: Option<PathBuf>,
    },
    /// Say whether and why somebody may do something, with the lines of the policy.
    #[command(after_help = "Examples:
  kms policy explain --as person/olivia --can RotateKey --on ingest-lyon/object
  kms policy explain --as person/hugo --can PutPolicy --on deployment
  kms policy explain --as service/nb --can Decrypt --on p-01/object --purpose cardio-2025
  kms policy explain --as service/nb --can Decrypt --on p-01/object --from 192.0.2.7
  kms policy explain --as person/olivia --can RotateKey --on p-01/object --at 2027-01-01T23:00:00Z")]
    Explain(Explain),
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = true, args = ["file", "schema", "bindings"])]
pub(crate) struct Files {
    /// The policy, Cedar.
    #[arg(short, long, value_name = "POLICY")]
    pub(super) file: Option<PathBuf>,
    /// The schema, Cedar.
    #[arg(long, value_name = "FILE")]
    pub(super) schema: Option<PathBuf>,
    /// Bindings, YAML; whoever is not in it stays as they are.
    #[arg(long, value_name = "FILE")]
    pub(super) bindings: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// person/ID or service/ID.
    #[arg(long = "as", value_name = "WHO", value_parser = principal)]
    pub(super) who: String,
    /// An action, for example RotateKey.
    #[arg(long, value_name = "ACTION", hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(Action::ALL.iter().map(|a| a.name())))]
    pub(super) can: String,
    /// A key (ingest-lyon/object), a space (ingest-lyon), an edge or a domain by its full name, or
    /// `deployment`.
    #[arg(long, value_name = "NAME", value_parser = name::resource)]
    pub(super) on: String,
    /// The address that they would come from; without it from nowhere, which is in no network.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) from: Option<IpAddr>,
    /// When they would ask: a day (2027-01-01) or a moment (2027-01-01T23:00:00Z); now without it.
    #[arg(long, value_name = "TIME", value_parser = study::day)]
    pub(super) at: Option<Timestamp>,
}

impl Files {
    /// What the files say.
    pub(super) fn read(&self) -> Result<v1::Rules, Error> {
        rules::candidate(
            self.schema.as_deref(),
            self.file.as_deref(),
            self.bindings.as_deref(),
        )
    }
}

impl Verb {
    pub(crate) async fn run(self, setting: &Setting) -> Result<(), Error> {
        match self {
            Self::Show { schema } => {
                let session = setting.session().await?;
                let answer = session.client.get_policy(v1::GetPolicyRequest {}).await?;
                if session.screen.is_json() {
                    return session.screen.message(&answer);
                }
                session.screen.text(if schema {
                    &answer.schema
                } else {
                    &answer.policy
                })
            }
            // Files that cannot be read are told before anybody is connected to.
            Self::Plan(files) => {
                let candidate = files.read()?;
                plan::run(&setting.session().await?, candidate, &files).await
            }
            Self::Apply {
                files,
                reason,
                etag,
            } => {
                let candidate = files.read()?;
                apply::apply(&setting.session().await?, candidate, etag, reason).await
            }
            Self::History { diff } => history::run(&setting.session().await?, diff).await,
            Self::Test {
                file,
                policy,
                schema,
                bindings,
            } => {
                let cases = cases::read(&file)?;
                let candidate = match (&policy, &schema, &bindings) {
                    (None, None, None) => None,
                    (Some(_) | None, ..) => Some(rules::candidate(
                        schema.as_deref(),
                        policy.as_deref(),
                        bindings.as_deref(),
                    )?),
                };
                cases::run(&setting.session().await?, cases, candidate).await
            }
            Self::Explain(asked) => {
                // The purpose is asked about; it is not what asking is for.
                let purpose = setting.purpose.clone();
                let setting = Setting {
                    purpose: None,
                    ..setting.clone()
                };
                explain::run(&setting.session().await?, asked, purpose).await
            }
        }
    }
}
