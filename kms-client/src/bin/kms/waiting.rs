//! What waits for others to agree: how to go on, and waiting for it.

use crate::progress;
use crate::session::Session;
use crate::table::{in_how_long, person, thing, time, time_and_age};
use indicatif::ProgressBar;
use jiff::Timestamp;
use kms_client::{Backoff, Client, Error, Kind, name, v1};
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait for others; `None`: as long as the proposal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience(pub(crate) Option<Duration>);

/// What became of a change that was asked for.
#[derive(Debug)]
pub(crate) enum Asked<A> {
    /// It was made.
    Done(A),
    /// Others must agree first: where it waits.
    Waits(Box<v1::Proposal>),
}

impl Session {
    /// Asks for a change. Where others must agree first, waits for them if that was asked for, and
    /// sends the same change again, which carries it out.
    pub(crate) async fn carry<Q: Clone, A>(
        &self,
        request: Q,
        change: impl AsyncFn(&Client, Q) -> Result<A, Error>,
    ) -> Result<A, Error> {
        let begun = Instant::now();
        let mut given = None;
        loop {
            let proposal = match self.ask(request.clone(), &change).await? {
                Asked::Done(answer) => return Ok(answer),
                Asked::Waits(proposal) => proposal,
            };
            let Some(Patience(longest)) = self.patience else {
                return Err(self.pending(&[*proposal]));
            };
            let until = longest.map(|longest| begun + longest);
            given = Some(self.enough(*proposal, until, given).await?);
        }
    }

    /// Asks for a change, and does not wait for anybody.
    pub(crate) async fn ask<Q: Clone, A>(
        &self,
        request: Q,
        change: impl AsyncFn(&Client, Q) -> Result<A, Error>,
    ) -> Result<Asked<A>, Error> {
        let error = match change(&self.client, request).await {
            Ok(answer) => return Ok(Asked::Done(answer)),
            Err(error) => error,
        };
        let Some(name) = error.proposal().filter(|_| error.kind() == Kind::Pending) else {
            return Err(error);
        };
        Ok(Asked::Waits(Box::new(self.proposal(name).await?)))
    }

    /// One proposal, with what it would change.
    pub(crate) async fn proposal(&self, name: impl Into<String>) -> Result<v1::Proposal, Error> {
        let name = name.into();
        self.client
            .get_proposal(v1::GetProposalRequest { name })
            .await
    }

    /// The failure of what waits: it says where, for how many, and what to do next. A program gets
    /// the proposals themselves as its answer.
    pub(crate) fn pending(&self, proposals: &[v1::Proposal]) -> Error {
        if self.screen.is_json() {
            let shown = proposals
                .iter()
                .try_for_each(|proposal| self.screen.message(proposal));
            if let Err(error) = shown {
                return error;
            }
        }
        let mut lines: Vec<String> = proposals.iter().map(waits).collect();
        lines.extend(self.next(proposals));
        Error::new(Kind::Pending, lines.join("\n"))
    }

    /// The next commands, of the custodians and of whoever asked.
    fn next(&self, proposals: &[v1::Proposal]) -> [String; 2] {
        let ids: Vec<String> = proposals.iter().map(|p| name::short(&p.name)).collect();
        let ids = ids.join(" ");
        // The material of an import is in nobody's record.
        let carried = if proposals.iter().any(|p| p.action == "ImportKey") {
            "the same command again".to_owned()
        } else {
            format!("{} proposal execute {ids}", self.again)
        };
        [
            format!("  a custodian:  kms proposal approve {ids} --reason TEXT"),
            format!("  then you:     {carried}"),
        ]
    }

    /// Waits until a proposal has as many approvals as it needs, and others than `before`, with
    /// which the service did not carry it out. Gives how many it has.
    async fn enough(
        &self,
        mut proposal: v1::Proposal,
        until: Option<Instant>,
        before: Option<usize>,
    ) -> Result<usize, Error> {
        let name = proposal.name.clone();
        // However long the service is away: nothing is lost by waiting.
        let patient = self.client.clone().with_backoff(Backoff {
            attempts: u32::MAX,
            ..Backoff::default()
        });
        let mut changes = patient.watch_proposals(&name).await?;
        self.screen.remark(&format!(
            "waiting for {name}: {}; a custodian: kms proposal approve {} --reason TEXT",
            missing(&proposal),
            name::short(&name)
        ));
        let bar = progress::waiting();
        loop {
            if let Some(ended) = ended(&proposal) {
                bar.finish_and_clear();
                return Err(ended);
            }
            let given = proposal.approvals.len();
            if lacks(&proposal) == 0 && before != Some(given) {
                bar.finish_and_clear();
                return Ok(given);
            }
            tell(&bar, &proposal);
            let late = until.is_some_and(|until| until <= Instant::now());
            if late {
                bar.finish_and_clear();
                return Err(self.pending(&[proposal]));
            }
            let pause = until.map_or(LOOK, |until| {
                LOOK.min(until.saturating_duration_since(Instant::now()))
            });
            tokio::select! {
                changed = changes.next() => proposal = changed?,
                // What expires does not change: it is looked at once its time has come.
                () = tokio::time::sleep(pause) => if expired(&proposal) {
                    proposal = self.proposal(&name).await?;
                },
            }
        }
    }
}

/// How often what is said of the time is said anew.
const LOOK: Duration = Duration::from_secs(15);

/// Where it waits, until when, and for how many.
fn waits(proposal: &v1::Proposal) -> String {
    let missing = match lacks(proposal) {
        0 => "those who agreed do not count any more, or are too few by today's policy".to_owned(),
        _ => missing(proposal),
    };
    format!(
        "{} on {} waits as {} until {}: {missing}",
        proposal.action,
        thing(&proposal.resource),
        proposal.name,
        time_and_age(proposal.expire_time.as_ref()),
    )
}

fn tell(bar: &ProgressBar, proposal: &v1::Proposal) {
    bar.set_message(format!(
        "{}: {}, {}",
        proposal.name,
        given(proposal),
        in_how_long(proposal.expire_time.as_ref())
    ));
}

/// How many approvals it still needs.
pub(crate) fn lacks(proposal: &v1::Proposal) -> usize {
    let needed = usize::try_from(proposal.approvals_needed).unwrap_or_default();
    needed.saturating_sub(proposal.approvals.len())
}

/// How many approvals it still needs, in words.
pub(crate) fn missing(proposal: &v1::Proposal) -> String {
    match lacks(proposal) {
        0 => "enough people have agreed".to_owned(),
        1 => "1 more approval is needed".to_owned(),
        more => format!("{more} more approvals are needed"),
    }
}

/// So many approvals, in words.
pub(crate) fn approvals(count: u32) -> String {
    match count {
        1 => "1 approval".to_owned(),
        count => format!("{count} approvals"),
    }
}

/// Who agreed so far: `1 of 2 approvals (person/carl)`.
pub(crate) fn given(proposal: &v1::Proposal) -> String {
    let people: Vec<&str> = proposal
        .approvals
        .iter()
        .map(|approval| approval.custodian.as_str())
        .collect();
    let count = format!(
        "{} of {} approvals",
        people.len(),
        proposal.approvals_needed
    );
    if people.is_empty() {
        count
    } else {
        format!("{count} ({})", people.join(", "))
    }
}

/// Whether its time has come, by our own clock.
pub(crate) fn expired(proposal: &v1::Proposal) -> bool {
    let expires = proposal.expire_time.as_ref();
    expires.is_some_and(|at| at.seconds <= Timestamp::now().as_second())
}

/// What a proposal that is over means for whoever waits for it.
fn ended(proposal: &v1::Proposal) -> Option<Error> {
    let kind = match proposal.state() {
        v1::ProposalState::Unspecified | v1::ProposalState::Waiting => return None,
        v1::ProposalState::Rejected => Kind::Refused,
        v1::ProposalState::Overtaken => Kind::Conflict,
        v1::ProposalState::Executed | v1::ProposalState::Withdrawn | v1::ProposalState::Expired => {
            Kind::State
        }
    };
    Some(Error::new(
        kind,
        format!("{} {}", proposal.name, outcome(proposal)),
    ))
}

/// What became of it, as it reads on from its name.
pub(crate) fn outcome(proposal: &v1::Proposal) -> String {
    let ended = |what: &str| {
        let (who, when) = (
            person(&proposal.end_actor),
            time(proposal.end_time.as_ref()),
        );
        format!("was {what} by {who} on {when}")
    };
    let with_reason = |what: &str| format!("{}: {}", ended(what), proposal.end_reason);
    match proposal.state() {
        v1::ProposalState::Unspecified => "is in a state that this kms does not know".to_owned(),
        v1::ProposalState::Waiting => format!("waits: {}", missing(proposal)),
        v1::ProposalState::Executed => ended("carried out"),
        v1::ProposalState::Rejected => with_reason("rejected"),
        v1::ProposalState::Withdrawn => with_reason("withdrawn"),
        v1::ProposalState::Expired => {
            "has expired: not enough people agreed in time; ask for it again".to_owned()
        }
        v1::ProposalState::Overtaken => {
            "was overtaken: what it would change was changed since; ask for it again".to_owned()
        }
    }
}
