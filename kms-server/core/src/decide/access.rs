//! Everything that everyone may do.

use super::places::{AnyKeys, Places};
use super::rules::{Rulebook, in_force};
use crate::action::Action;
use crate::caller::Principal;
use crate::deployment::Environment;
use crate::error::{Error, Result};
use crate::time::Time;
use crate::view::View;

/// What one principal may do: an action, on what, and how many must agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Who.
    pub principal: Principal,
    /// What.
    pub action: Action,
    /// On what, and how many others must agree.
    pub on: Vec<(String, u8)>,
}

/// Everything that everyone bound may do, now and from wherever they come, for the yearly review.
///
/// # Errors
/// As [`sound`](super::sound) for a policy that is none.
pub fn access(view: &View, environment: Environment, now: Time) -> Result<Vec<Access>> {
    let policy = in_force(view)?.ok_or_else(|| Error::invalid("policy", "there is no policy"))?;
    let sitting = policy.sitting();
    let rules = Rulebook::new(view, &sitting, environment, now);
    let any = AnyKeys::of(view)?;
    let places = Places::new(view, &any, policy.names());
    let mut found = Vec::new();
    for binding in view.bindings().filter(|b| !b.grants().is_empty()) {
        for action in Action::ALL.iter().copied() {
            let on = places.answered(binding, |on| rules.needed(binding, action, on));
            if !on.is_empty() {
                found.push(Access {
                    principal: binding.principal().clone(),
                    action,
                    on,
                });
            }
        }
    }
    Ok(found)
}
