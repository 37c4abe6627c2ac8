//! Whether a command is allowed as it is, by those who agreed to it, or not before others do.

use super::asker::{Asker, Support};
use super::follow::Follow;
use super::proposed;
use super::target::target;
use crate::action::Action;
use crate::caller::Principal;
use crate::command::{Change, Command, Use};
use crate::error::{Error, Result};
use crate::name::ProposalName;
use crate::policy::{Circumstances, Coming, Question, Regardless, Target};
use crate::proposal::Proposal;
use crate::view::View;

/// No policy can demand more approvals.
pub(super) const MOST: u8 = 5;

/// What the policy says to a command.
pub(super) enum Supported {
    /// It is allowed: by these policies, carried by this proposal, only thanks to an emergency.
    Yes {
        policies: Vec<String>,
        proposal: Option<ProposalName>,
        emergency: bool,
    },
    /// So many must agree; where it waits already, and how many did.
    Not {
        needed: u8,
        waiting: Option<(ProposalName, u8)>,
        policies: Vec<String>,
    },
}

/// Whether a command is allowed as it is, by those who agreed to it, or not before others do.
///
/// # Errors
/// `Refused` when it is not allowed, whoever agreed.
pub(super) fn support(asker: &Asker<'_>, command: &Command) -> Result<Supported> {
    let action = command.action();
    // Whoever cannot see a proposal does not learn whether there is one.
    let inner = proposed(asker.bench.view, command);
    let inner = inner.map_err(|_unseen| asker.refused(command, Target::Deployment))?;
    let target = target(asker.bench.view, inner.as_ref().unwrap_or(command));
    own(asker, command, action)?;
    let plain = Support {
        proposed: inner.as_ref().map(Command::action),
        waiting: waiting(inner.as_ref().unwrap_or(command)),
        intake: intake(asker.bench.view, inner.as_ref().unwrap_or(command)),
        ..Support::default()
    };
    let with = |approvals, emergency| {
        let support = Support {
            approvals,
            emergency,
            ..plain
        };
        let answer = asker.asks(action, target, support);
        answer.filter(|a| a.allowed).map(|a| a.policies)
    };
    let follow = Follow::of(asker, command);
    if let Some(policies) = with(0, false) {
        follow.allowed()?;
        return Ok(yes(policies, None, false));
    }
    let Some(needed) = (0..=MOST).find(|n| with(*n, true).is_some()) else {
        return Err(asker.refused(command, target));
    };
    let backing = backing(asker, command, target)?;
    let (given, name) = match &backing {
        Some((proposal, given)) => (*given, Some(proposal.terms.name.clone())),
        None => (follow.approvals(target), None),
    };
    follow.allowed()?;
    for emergency in [false, true] {
        if let Some(policies) = with(given, emergency) {
            let carried = name.filter(|_| given > 0);
            return Ok(yes(policies, carried, emergency));
        }
    }
    // An emergency makes it fewer only while it is under way.
    let propose = asker.asks(Action::Propose, target, Support::default());
    match propose.filter(|a| a.allowed) {
        Some(answer) => Ok(Supported::Not {
            needed,
            waiting: name.map(|name| (name, given)),
            policies: answer.policies,
        }),
        None => Err(asker.refused(command, target)),
    }
}

/// How long a destruction that is to be scheduled waits.
pub(super) fn waiting(command: &Command) -> Option<u64> {
    match command {
        Command::Change(Change::ScheduleDestruction { waiting, .. }) => Some(*waiting),
        Command::Change(_) | Command::Use(_) | Command::Read(_) => None,
    }
}

/// How the command brings material in: what the wrapping key says, and nobody who asks.
pub(super) fn intake<'a>(view: &'a View, command: &Command) -> Option<Coming<'a>> {
    let (by, mechanism) = match command {
        Command::Change(Change::ImportKey { token, .. })
        | Command::Use(Use::CheckImport { token, .. }) => {
            (token.wrapping.key(), Some(token.mechanism))
        }
        Command::Use(Use::GetImportParameters {
            wrapping,
            mechanism,
            ..
        }) => (wrapping, *mechanism),
        Command::Change(_) | Command::Use(_) | Command::Read(_) => return None,
    };
    let (key, _) = view.key(by)?;
    Some(Coming::under(key, mechanism.unwrap_or(key.method())))
}

fn yes(policies: Vec<String>, proposal: Option<ProposalName>, emergency: bool) -> Supported {
    Supported::Yes {
        policies,
        proposal,
        emergency,
    }
}

/// A proposal is answered by others, and taken back by whoever filed it.
fn own(asker: &Asker<'_>, command: &Command, action: Action) -> Result<()> {
    let Command::Change(change) = command else {
        return Ok(());
    };
    let Some((proposal, _)) = change
        .proposal()
        .and_then(|name| asker.bench.view.proposal(name))
    else {
        return Ok(());
    };
    let mine = proposal.terms.proposer == *asker.principal;
    if action == Action::Withdraw && !mine {
        return Err(Error::refused(
            "only who filed a proposal can take it back; a custodian can reject it",
        ));
    }
    if action == Action::Approve && mine {
        return Err(Error::refused(
            "you filed this proposal, so somebody else must approve it",
        ));
    }
    Ok(())
}

/// The proposal in which this very command of this very caller waits, and how many people's
/// agreement counts today.
fn backing<'a>(
    asker: &Asker<'a>,
    command: &Command,
    target: Target<'_>,
) -> Result<Option<(&'a Proposal, u8)>> {
    let Command::Change(change) = command else {
        return Ok(None);
    };
    let text = change.text()?;
    let (view, now) = (asker.bench.view, asker.bench.now);
    let candidates = view.proposals().filter(|proposal| {
        proposal.terms.proposer == *asker.principal
            && proposal.terms.command == text
            && proposal.waits(now)
            && proposal.still_applies(view)
    });
    let counted = candidates.map(|proposal| {
        let agreed = proposal.agreed(view, asker.deployment);
        let action = proposal.terms.action;
        let counted = agreed
            .into_iter()
            .filter(|custodian| may_approve(asker, custodian, action, target))
            .count();
        (proposal, u8::try_from(counted).unwrap_or(u8::MAX))
    });
    Ok(counted.max_by_key(|(proposal, given)| (*given, proposal.filed)))
}

/// Whether this person may approve such a thing today. From where, and how they were authenticated,
/// was asked when they did.
pub(super) fn may_approve(
    asker: &Asker<'_>,
    custodian: &Principal,
    action: Action,
    target: Target<'_>,
) -> bool {
    let question = Question {
        principal: custodian,
        binding: asker.bench.view.binding(custodian),
        action: Action::Approve,
        target,
        circumstances: Circumstances {
            environment: asker.deployment.environment,
            approvals: 0,
            emergency: false,
            now: asker.bench.now,
            source: None,
            purpose: None,
            provider: false,
            authenticated: None,
            strong: false,
            proposed: Some(action),
            waiting: None,
            intake: None,
        },
    };
    let of = Regardless::OfComing;
    let answer = asker.bench.policy.map(|p| p.regardless(of, &question));
    matches!(answer, Some(Ok(true)))
}
