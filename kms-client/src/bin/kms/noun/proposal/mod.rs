//! `kms proposal`.

mod shown;
mod watch;

use super::aftermath;
use super::policy::plan::meaning;
use crate::confirm::confirm;
use crate::screen::aside;
use crate::session::Session;
use crate::table::Table;
use clap::{Args, Subcommand};
use kms_client::{Client, Error, name, v1};
use shown::{list, shown, verdict};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the proposals that wait: yours, those that you may answer, and those about what you see.
    #[command(after_help = "Examples:
  kms proposal list
  kms proposal list --all
  kms proposal list --watch")]
    List {
        /// Also those that are over.
        #[arg(long)]
        all: bool,
        /// Stay, and show each change; with -o json, one line each.
        #[arg(long)]
        watch: bool,
    },
    /// Show who asks what and why, who agreed, and what would change.
    #[command(after_help = "Examples:
  kms proposal show p3k9a7xq2m
  kms proposal show p3k9a7xq2m --watch")]
    Show {
        /// For example p3k9a7xq2m.
        #[arg(value_parser = name::proposal)]
        proposal: String,
        /// Stay until it is over, and show each change; with -o json, one line each.
        #[arg(long)]
        watch: bool,
    },
    /// Agree to a proposal, with a signature by your certificate's key over what is shown first.
    #[command(after_help = "Examples:
  kms proposal approve p3k9a7xq2m --reason \"checked with Olivia on the telephone\"
  kms proposal approve p3k9a7xq2m p8d2m4hx0q --reason \"change 1042\" --yes")]
    Approve {
        #[command(flatten)]
        answer: Answer,
        /// Do not ask for a confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// Turn a proposal down, for everybody.
    #[command(after_help = "Examples:
  kms proposal reject p3k9a7xq2m --reason \"wrong version: incident 42 is about version 2\"")]
    Reject(Answer),
    /// Take your own proposal back.
    #[command(after_help = "Examples:
  kms proposal withdraw p3k9a7xq2m --reason \"not needed any more\"")]
    Withdraw(Answer),
    /// Carry out your own proposal, once enough people have agreed.
    #[command(after_help = "\
What waits is judged again, by today's policy and today's resources, and carried out once.

Examples:
  kms proposal execute p3k9a7xq2m
  kms proposal execute p3k9a7xq2m --wait")]
    Execute {
        /// For example p3k9a7xq2m.
        #[arg(value_parser = name::proposal, required = true, value_name = "PROPOSAL")]
        proposals: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// For example p3k9a7xq2m.
    #[arg(value_parser = name::proposal, required = true, value_name = "PROPOSAL")]
    proposals: Vec<String>,
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::List { all, watch: true } => watch::all(session, all).await,
            Self::List { all, watch: false } => {
                let request = v1::ListProposalsRequest { all };
                let answer = session.client.list_proposals(request).await?;
                if answer.proposals.is_empty() {
                    session.screen.remark("no proposal waits that you may see");
                }
                let table = |answer: &v1::ListProposalsResponse| list(&answer.proposals);
                session.screen.show(&answer, table)
            }
            Self::Show {
                proposal,
                watch: true,
            } => watch::one(session, &proposal).await,
            Self::Show {
                proposal,
                watch: false,
            } => {
                let proposal = session.proposal(proposal).await?;
                if session.screen.is_json() {
                    return session.screen.message(&proposal);
                }
                session.screen.line(&whole(session, &proposal).await?)
            }
            Self::Approve { answer, yes } => {
                for name in answer.proposals {
                    let proposal = session.proposal(name).await?;
                    // Shown to whoever runs it even where a program reads the answer.
                    aside(&format!("{}\n", whole(session, &proposal).await?));
                    let id = name::short(&proposal.name);
                    let question = format!("Your signature will stand under {id}.");
                    confirm(yes, &question, &id)?;
                    let approved = session.client.approve(&proposal, &answer.reason).await?;
                    told(session, &approved)?;
                }
                Ok(())
            }
            Self::Reject(answer) => answer.end(session, Client::reject_proposal).await,
            Self::Withdraw(answer) => answer.end(session, Client::withdraw_proposal).await,
            Self::Execute { proposals } => {
                for name in proposals {
                    let request = v1::ExecuteProposalRequest {
                        name: name.clone(),
                        request_id: String::new(),
                    };
                    let answer = session.carry(request, Client::execute_proposal).await?;
                    session.screen.show(&answer, |done| {
                        Table::fields([
                            ("carried out", name.clone()),
                            ("on", done.resource.clone()),
                            ("etag", done.etag.clone()),
                        ])
                    })?;
                    if session.proposal(name).await?.action == aftermath::ACTION {
                        aftermath::tell(session, &answer.resource).await?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl Answer {
    async fn end(
        self,
        session: &Session,
        answer: impl AsyncFn(&Client, v1::EndProposalRequest) -> Result<v1::Proposal, Error>,
    ) -> Result<(), Error> {
        for name in self.proposals {
            let request = v1::EndProposalRequest {
                name,
                reason: self.reason.clone(),
                request_id: String::new(),
            };
            told(session, &answer(&session.client, request).await?)?;
        }
        Ok(())
    }
}

/// What became of a proposal that was answered.
fn told(session: &Session, proposal: &v1::Proposal) -> Result<(), Error> {
    if session.screen.is_json() {
        return session.screen.message(proposal);
    }
    session.screen.line(&verdict(proposal))
}

/// All of a proposal and, where it is about the rules, what they would mean.
async fn whole(session: &Session, proposal: &v1::Proposal) -> Result<String, Error> {
    let deployment = deployment(session).await?;
    let meaning = match shown::waiting_change(proposal)? {
        Some(change) => meaning(session, &change).await?,
        None => None,
    };
    shown(proposal, &deployment, meaning.as_deref())
}

/// The name of the deployment: it is under every signature.
async fn deployment(session: &Session) -> Result<String, Error> {
    let request = v1::GetDeploymentRequest {};
    Ok(session.client.get_deployment(request).await?.name)
}
