//! Who asks, and what the policy says to them.

use super::Bench;
use super::target::target;
use crate::action::Action;
use crate::binding::Binding;
use crate::caller::Caller;
use crate::command::{Command, Named, Read};
use crate::deployment::Deployment;
use crate::error::{Error, Result};
use crate::policy::{Question, Target};

/// Someone who asks, and what we know of them.
pub(super) struct Asker<'a> {
    pub(super) bench: Bench<'a>,
    pub(super) deployment: &'a Deployment,
    pub(super) caller: &'a Caller,
    pub(super) binding: Option<&'a Binding>,
}

impl Asker<'_> {
    /// The policies that allow this command.
    pub(super) fn permitted(&self, command: &Command) -> Result<Vec<String>> {
        let action = command.action();
        if action == Action::Initialise {
            return Err(Error::refused("only `kms-server init` makes a deployment"));
        }
        if let Command::Read(read) = command {
            match read {
                // What a list or a page of records shows is filtered, entry by entry.
                Read::List { space: None, .. } | Read::Entries { .. } | Read::Logs => {
                    let bound = self.binding.is_some_and(|b| !b.grants().is_empty());
                    return if bound {
                        Ok(vec![])
                    } else {
                        Err(self.refusal(command, false))
                    };
                }
                // Whoever sees any part of the inventory sees which identifier domains there are.
                Read::Resource(Named::Domain(_)) => {
                    let sees = self.bench.view.spaces().any(|space| {
                        let target = Target::Space(&space.name, space.kind);
                        self.asks(Action::ReadInventory, target).is_some()
                    });
                    return if sees {
                        Ok(vec![])
                    } else {
                        Err(self.refusal(command, false))
                    };
                }
                Read::Resource(_) | Read::List { .. } | Read::Deployment | Read::Hsm => {}
            }
        }
        let target = target(self.bench.view, command);
        match self.asks(action, target) {
            Some(policies) => Ok(policies),
            None => {
                let may_list = self.asks(Action::ReadInventory, target).is_some();
                Err(self.refusal(command, may_list))
            }
        }
    }

    pub(super) fn asks(&self, action: Action, target: Target<'_>) -> Option<Vec<String>> {
        let question = Question {
            principal: self.caller.principal()?,
            binding: self.binding,
            action,
            target,
            environment: self.deployment.environment,
        };
        // A question that cannot be put is answered with no: an action that does not apply to a
        // sort of resource is one.
        self.bench.policy?.allows(&question).ok().flatten()
    }

    fn refusal(&self, command: &Command, may_list: bool) -> Error {
        let action = command.action();
        let (sort, name) = command.resource();
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
        } else if may_list {
            let roles = roles.join("; ");
            Error::refused(format!(
                "none of your roles ({roles}) allows {action} on {sort} {name}"
            ))
        } else {
            Error::refused(format!(
                "your roles do not allow {action} on {sort} {name}, or there is no such {sort}"
            ))
        }
    }
}
