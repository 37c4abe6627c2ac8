//! The judgement: may this caller do this, now?

mod access;
mod asker;
mod explain;
mod follow;
mod own;
mod places;
mod reach;
mod rules;
mod support;
mod target;

pub use access::{Access, access};
pub use explain::{Explained, explain};
pub use own::{attestation_key, digest_key, import_parameters_key, import_token_key};
pub use rules::{in_force, linkable, sound, with};

use crate::action::Action;
use crate::caller::{Caller, Peer, Principal};
use crate::command::{Change, Command};
use crate::error::{Error, Result};
use crate::id::KeyUid;
use crate::name::{DIGEST_KEY, IMPORT_PARAMETERS_KEY, ProposalName, SpaceName};
use crate::permit::Permit;
use crate::plane::Plane;
use crate::policy::{Judge, Target};
use crate::time::Time;
use crate::view::View;
use asker::Asker;
use reach::versions;
use support::{Supported, support};
use target::{kind_of, target};

/// What `decide` judges by.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    /// The policy; `None` only before `init` has made one.
    pub policy: Option<&'a dyn Judge>,
    /// All resources, as of now.
    pub view: &'a View,
    /// Now. It never goes back, so that what has expired stays so.
    pub now: Time,
    /// Now, by the machine's clock: by it certificates and sign-ins are judged, which others have
    /// dated, so that a clock that once stood too far locks nobody out for ever.
    pub wall: Time,
    /// Whether people sign in at an OpenID provider.
    pub provider: bool,
    /// The HSM's name of a key yet to be made: 16 random bytes.
    pub fresh: KeyUid,
}

/// What `decide` says, when it does not refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Permit(Permit),
    /// Not before others agree.
    Approvals(Demand),
}

/// A demand for approvals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// How many distinct people must agree, beside the one who asks.
    pub needed: u8,
    /// Where the command waits already, and how many have agreed.
    pub waiting: Option<(ProposalName, u8)>,
    /// Permission to put the command before the custodians.
    pub propose: Permit,
}

impl Verdict {
    /// The permit, for what cannot wait for anybody: uses and reads.
    ///
    /// # Errors
    /// `Refused` when others would have to agree.
    pub fn permit(self) -> Result<Permit> {
        match self {
            Verdict::Permit(permit) => Ok(permit),
            Verdict::Approvals(demand) => Err(Error::refused(format!(
                "the policy wants {} approval(s) for this, and only what makes or moves something \
                 can wait for them",
                demand.needed
            ))),
        }
    }
}

/// Whether this caller may do this, now. A permit is proof; a demand says who must agree first;
/// everything else is an error that says what the caller should do.
///
/// # Errors
/// `Refused` when the policy does not allow it, whoever agreed; `NotFound` when there is no such
/// thing and the caller may know; `State` when the key is in no state for it; `Invalid` when the
/// key is not of a class for it.
pub fn decide(bench: Bench<'_>, caller: &Caller, command: &Command) -> Result<Verdict> {
    let peer: &Peer = match caller {
        Caller::Peer(peer) => peer,
        Caller::Founder => return found(bench, command).map(Verdict::Permit),
        Caller::Recovery => return Err(Error::internal("recovery asks for nothing")),
        Caller::Scheduler => {
            let itself = Principal::scheduler()?;
            let asker = Asker::scheduler(bench, bench.view.founded()?, &itself);
            return judged(&asker, command);
        }
    };
    let action = command.action();
    if action.is_at_the_machine() {
        return Err(Error::refused(format!(
            "{action} is asked at the machine itself, while nothing is served (kms-server)"
        )));
    }
    if !Plane::of(action)
        .iter()
        .any(|plane| peer.planes.contains(plane))
    {
        let planes: Vec<&str> = Plane::of(action).iter().map(|plane| plane.name()).collect();
        return Err(Error::refused(format!(
            "{action} is not served here; ask a listener of the {} plane",
            planes.join(" or ")
        )));
    }
    let asker = Asker::new(bench, bench.view.founded()?, peer)?;
    if let Some(filtered) = asker.filtered(command) {
        return Ok(Verdict::Permit(Permit::asked(
            action,
            vec![],
            bench.view.revision(),
            filtered?,
        )));
    }
    judged(&asker, command)
}

fn judged(asker: &Asker<'_>, command: &Command) -> Result<Verdict> {
    let (bench, action) = (asker.bench, command.action());
    let revision = bench.view.revision();
    let supported = support(asker, command)?;
    let ids = versions(bench, command)?;
    Ok(match supported {
        Supported::Yes {
            policies,
            proposal,
            emergency,
        } => Verdict::Permit(
            Permit::asked(action, ids, revision, policies).carrying(proposal, emergency),
        ),
        Supported::Not {
            needed,
            waiting,
            policies,
        } => Verdict::Approvals(Demand {
            needed,
            waiting,
            propose: Permit::asked(Action::Propose, vec![], revision, policies),
        }),
    })
}

/// What whoever holds the machine and the PIN may do. `init`: everything, as long as there is no
/// deployment; afterwards, what a start does to one that an earlier release made: the keys of the
/// deployment's own that it lacks. `rebuild`: hold, and destroy what is destroyed already.
fn found(bench: Bench<'_>, command: &Command) -> Result<Permit> {
    let action = command.action();
    if action == Action::Rebuild && bench.view.deployment().is_some() {
        let ids = versions(bench, command)?;
        let policies = vec!["founder".into()];
        return Ok(Permit::asked(action, ids, bench.view.revision(), policies));
    }
    let founding = action == Action::Initialise;
    let lacks = match command {
        Command::Change(Change::FoundKey { name, .. }) => {
            [DIGEST_KEY, IMPORT_PARAMETERS_KEY].contains(&name.to_string().as_str())
                && bench.view.key(name).is_none()
        }
        Command::Change(_) | Command::Use(_) | Command::Read(_) => false,
    };
    if !founding || (bench.view.deployment().is_some() && !lacks) {
        return Err(Error::refused(
            "this deployment is made already; `init` can only make a new one",
        ));
    }
    let ids = versions(bench, command)?;
    Ok(Permit::asked(
        Action::Initialise,
        ids,
        bench.view.revision(),
        vec!["founder".into()],
    ))
}

/// Whether this caller may see this part of the inventory, or these records.
#[must_use]
pub fn sees(bench: Bench<'_>, caller: &Caller, action: Action, space: Option<&SpaceName>) -> bool {
    let target = match space {
        None => Target::Deployment,
        Some(space) => Target::Space(space, kind_of(bench.view, space)),
    };
    may(bench, caller, action, target)
}

/// Whether this caller may see a proposal: whoever filed it, may answer it, or sees what it is
/// about.
#[must_use]
pub fn sees_proposal(
    bench: Bench<'_>,
    caller: &Caller,
    proposal: &crate::proposal::Proposal,
) -> bool {
    let mine = caller
        .peer()
        .is_some_and(|peer| *bench.view.who(&peer.identity().principal) == proposal.terms.proposer);
    let about = || -> Option<bool> {
        let command = Command::Change(proposal.terms.change().ok()?);
        let target = target(bench.view, &command);
        let sees = |action| may(bench, caller, action, target);
        Some(sees(Action::Approve) || sees(Action::ReadInventory))
    };
    mine || about().unwrap_or(false)
}

fn may(bench: Bench<'_>, caller: &Caller, action: Action, target: Target<'_>) -> bool {
    let (Some(peer), Some(deployment)) = (caller.peer(), bench.view.deployment()) else {
        return false;
    };
    Asker::new(bench, deployment, peer).is_ok_and(|asker| asker.may(action, target))
}

/// The command that waits in the proposal that this change moves, if it moves one.
fn proposed(view: &View, command: &Command) -> Result<Option<Command>> {
    let Command::Change(change) = command else {
        return Ok(None);
    };
    let Some(name) = change.proposal() else {
        return Ok(None);
    };
    let (proposal, _) = view.proposal(name).ok_or_else(|| Error::not_found(name))?;
    let inner: Change = proposal.terms.change()?;
    Ok(Some(Command::Change(inner)))
}
