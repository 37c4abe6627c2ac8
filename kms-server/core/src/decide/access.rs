//! Everything that everyone may do, and what a change of the rules would change of it.

use super::rules::{Rulebook, in_force};
use crate::action::Action;
use crate::caller::Principal;
use crate::deployment::Environment;
use crate::error::{Error, Result};
use crate::time::Time;
use crate::view::View;
use std::collections::BTreeMap;

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

/// Everything that everyone bound may do, for the yearly review.
///
/// # Errors
/// As [`sound`] for a policy that is none.
pub fn access(view: &View, environment: Environment, now: Time) -> Result<Vec<Access>> {
    let policy = in_force(view)?.ok_or_else(|| Error::invalid("policy", "there is no policy"))?;
    let rules = Rulebook::new(view, &policy, environment, now);
    let mut found = Vec::new();
    for binding in view.bindings().filter(|b| !b.grants().is_empty()) {
        for action in Action::ALL.iter().copied() {
            let on = rules.places(binding, action)?;
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

/// Who lost or gained what between two reviews, for whoever must agree to a change of the rules.
#[must_use]
pub fn differences(before: &[Access], after: &[Access]) -> Vec<String> {
    let flat = |access: &[Access]| -> BTreeMap<(String, String, String), u8> {
        access
            .iter()
            .flat_map(|a| {
                let key = (a.principal.to_string(), a.action.to_string());
                a.on.iter()
                    .map(move |(on, needed)| ((key.0.clone(), key.1.clone(), on.clone()), *needed))
            })
            .collect()
    };
    let (before, after) = (flat(before), flat(after));
    let mut lines = Vec::new();
    for ((who, action, on), needed) in &before {
        match after.get(&(who.clone(), action.clone(), on.clone())) {
            None => lines.push(format!("{who} loses {action} on {on}")),
            Some(now) if now < needed => lines.push(format!(
                "{who}: {action} on {on} needs {now} approval(s) instead of {needed}: WEAKER"
            )),
            Some(now) if now > needed => lines.push(format!(
                "{who}: {action} on {on} needs {now} approval(s) instead of {needed}"
            )),
            Some(_) => {}
        }
    }
    for key @ (who, action, on) in after.keys() {
        if !before.contains_key(key) {
            lines.push(format!("{who} gains {action} on {on}"));
        }
    }
    lines
}
