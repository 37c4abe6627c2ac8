//! Who asks, and what the policy says to them.

use super::Bench;
use super::target::target;
use crate::action::Action;
use crate::binding::Binding;
use crate::caller::{Peer, Principal};
use crate::class::Class;
use crate::command::{Command, Named, Read};
use crate::deployment::Deployment;
use crate::error::{Error, Result};
use crate::policy::{Answer, Circumstances, Coming, Question, Target};
use crate::time::Time;

/// Someone who asks, and what we know of them.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) bench: Bench<'a>,
    pub(super) deployment: &'a Deployment,
    /// The connection; the service's own clockwork has none.
    pub(super) peer: Option<&'a Peer>,
    /// The person or service, whichever of their certificates they came with.
    pub(super) principal: &'a Principal,
    pub(super) binding: Option<&'a Binding>,
}

/// What beside the caller changes the policy's mind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Support<'a> {
    /// So many people agreed.
    pub(super) approvals: u8,
    /// Whether a declared emergency counts, if one is under way.
    pub(super) emergency: bool,
    /// The action that waits, when this is about a proposal.
    pub(super) proposed: Option<Action>,
    /// How long a destruction waits, when this schedules one.
    pub(super) waiting: Option<u64>,
    /// How material comes in, when this brings some in.
    pub(super) intake: Option<Coming<'a>>,
}

impl<'a> Asker<'a> {
    /// Who asks.
    ///
    /// # Errors
    /// `Refused` when a certificate and the sign-in that comes with it are two people's, or when
    /// one of them has ended.
    pub(super) fn new(
        bench: Bench<'a>,
        deployment: &'a Deployment,
        peer: &'a Peer,
    ) -> Result<Self> {
        let identity = peer.identity();
        if identity.trust_domain != deployment.trust_domain {
            return Err(Error::refused(
                "your certificate belongs to another trust domain",
            ));
        }
        if peer.certificate.expires() <= bench.wall {
            return Err(Error::refused(
                "your certificate has expired; connect again with a new one",
            ));
        }
        let principal = bench.view.who(&identity.principal);
        if principal.is_scheduler() {
            return Err(Error::refused(format!(
                "{principal} is the service's own name; no certificate bears it"
            )));
        }
        if let Some(sign_in) = &peer.sign_in {
            if sign_in.expires <= bench.wall {
                return Err(Error::refused("your sign-in has ended; sign in again"));
            }
            let person = bench.view.signed_in(&sign_in.issuer, &sign_in.subject);
            if person != Some(principal) {
                return Err(Error::refused(
                    "who signed in is not whose certificate this is; sign in as yourself",
                ));
            }
        }
        Ok(Asker {
            bench,
            deployment,
            peer: Some(peer),
            principal,
            binding: bench.view.binding(principal),
        })
    }

    /// The service's own clockwork.
    pub(super) fn scheduler(
        bench: Bench<'a>,
        deployment: &'a Deployment,
        principal: &'a Principal,
    ) -> Self {
        Asker {
            bench,
            deployment,
            peer: None,
            principal,
            binding: None,
        }
    }

    /// What the policy says to a read that shows only what its caller may see, part by part; `None`
    /// for any other command.
    pub(super) fn filtered(&self, command: &Command) -> Option<Result<Vec<String>>> {
        let Command::Read(read) = command else {
            return None;
        };
        let may = match read {
            // What a list or a page of records shows is filtered, entry by entry.
            Read::List { space: None, .. }
            | Read::Due { .. }
            | Read::Report { space: None }
            | Read::Entries { .. }
            | Read::Logs
            | Read::Proposals { .. }
            | Read::Proposal(_) => self.binding.is_some_and(|b| !b.grants().is_empty()),
            // Whoever sees any part of the inventory sees which identifier domains there are.
            Read::Resource(Named::Domain(_)) => self.bench.view.spaces().any(|space| {
                let target = Target::Space(&space.name, space.kind);
                self.may(Action::ReadInventory, target)
            }),
            // Whoever uses it sees what is left to themselves.
            Read::Allowance { who, .. } => {
                let target = target(self.bench.view, command);
                let mine = who.as_ref().is_none_or(|who| who == self.principal);
                self.may(Action::ReadInventory, target) || mine && self.uses(target)
            }
            Read::Resource(_)
            | Read::Usage(_)
            | Read::Renewal(_)
            | Read::List { .. }
            | Read::Report { space: Some(_) }
            | Read::Backups
            | Read::Destinations
            | Read::Deployment
            | Read::Hsm
            | Read::Emergencies
            | Read::Policy
            | Read::History
            | Read::Access(_) => return None,
        };
        Some(if may {
            Ok(vec![])
        } else {
            Err(self.refusal(command, false))
        })
    }

    /// What the policy says to this action with so much support.
    pub(super) fn asks(
        &self,
        action: Action,
        target: Target<'_>,
        support: Support<'_>,
    ) -> Option<Answer> {
        let question = self.question(action, target, support);
        // A question that cannot be put is answered with no: an action that does not apply to a
        // sort of resource is one.
        self.bench.policy?.answer(&question).ok()
    }

    /// Whether the policy allows it as it is: nobody agreed, and no emergency counts.
    pub(super) fn may(&self, action: Action, target: Target<'_>) -> bool {
        self.asks(action, target, Support::default())
            .is_some_and(|answer| answer.allowed)
    }

    /// Whether the policy allows any use of it.
    fn uses(&self, target: Target<'_>) -> bool {
        let mut uses = Class::OFFERED.into_iter().flat_map(Class::uses);
        uses.any(|action| self.may(*action, target))
    }

    fn question<'q>(
        &'q self,
        action: Action,
        target: Target<'q>,
        support: Support<'q>,
    ) -> Question<'q> {
        Question {
            principal: self.principal,
            binding: self.binding,
            action,
            target,
            circumstances: self.circumstances(support),
        }
    }

    fn circumstances<'q>(&'q self, support: Support<'q>) -> Circumstances<'q> {
        let sign_in = self.peer.and_then(|peer| peer.sign_in.as_ref());
        let running = || {
            self.bench
                .view
                .emergencies()
                .any(|e| e.runs(self.bench.now))
        };
        Circumstances {
            environment: self.deployment.environment,
            approvals: support.approvals,
            emergency: support.emergency && running(),
            now: self.bench.now,
            source: self.peer.and_then(|peer| peer.source).map(|s| s.ip()),
            purpose: self.peer.and_then(|peer| peer.purpose.as_ref()),
            provider: self.bench.provider,
            authenticated: sign_in.map(|s| self.seen(s.auth_time)),
            strong: sign_in.is_some_and(|s| s.strong),
            proposed: support.proposed,
            waiting: support.waiting,
            intake: support.intake,
        }
    }

    /// A time by the machine's clock as one of judgement: as long ago.
    fn seen(&self, time: Time) -> Time {
        let ahead = self.bench.now.since(self.bench.wall);
        time.plus_millis(ahead)
    }

    /// What the caller is told when nothing allows it. Whoever has the right, and is in the wrong
    /// circumstances, hears which policy forbids it and what to do.
    pub(super) fn refused(&self, command: &Command, target: Target<'_>) -> Error {
        let support = Support {
            approvals: u8::MAX,
            emergency: true,
            proposed: None,
            waiting: super::support::waiting(command),
            intake: super::support::intake(self.bench.view, command),
        };
        let question = self.question(command.action(), target, support);
        let forbidden = self
            .bench
            .policy
            .and_then(|policy| policy.forbidden(&question));
        match forbidden {
            Some(advice) => Error::refused(advice),
            None => self.refusal(command, self.may(Action::ReadInventory, target)),
        }
    }

    fn refusal(&self, command: &Command, may_list: bool) -> Error {
        let action = command.action();
        let (sort, name) = command.resource();
        let thing = if sort == name {
            format!("the {name}")
        } else {
            format!("{sort} {name}")
        };
        let roles: Vec<String> = self
            .binding
            .into_iter()
            .flat_map(Binding::grants)
            .map(ToString::to_string)
            .collect();
        if roles.is_empty() {
            Error::refused(
                "you have no role in this deployment; ask an hsm-officer to bind you to one",
            )
        } else if sort == "deployment" {
            Error::refused(format!(
                "none of your roles ({}) allows {action} here",
                roles.join("; ")
            ))
        } else if may_list {
            let roles = roles.join("; ");
            Error::refused(format!(
                "none of your roles ({roles}) allows {action} on {thing}"
            ))
        } else {
            Error::refused(format!(
                "your roles do not allow {action} on {thing}, or there is no such {sort}"
            ))
        }
    }
}
