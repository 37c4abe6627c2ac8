//! Which policies speak of which action: the others need not be asked.

use crate::action::Action;
use crate::error::{Error, Result};
use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PolicySet};
use std::collections::BTreeMap;

/// The policies that speak of an action.
pub(super) struct Speaking {
    /// All of them.
    pub(super) all: PolicySet,
    /// Only those that permit.
    pub(super) permits: PolicySet,
}

/// By the name of each action.
///
/// # Errors
/// `Invalid` when a policy speaks of a group of actions: questions are put without the schema, which
/// alone knows groups, so that such a policy would never speak.
pub(super) fn speaking(set: &PolicySet) -> Result<BTreeMap<&'static str, Speaking>> {
    set.policies().try_for_each(no_groups)?;
    let each = Action::ALL.iter().map(|action| {
        let speaks = |policy: &&Policy| scope(policy).is_none_or(|of| of.iter().any(is(*action)));
        let mut speaking = Speaking {
            all: PolicySet::new(),
            permits: PolicySet::new(),
        };
        for policy in set.policies().filter(speaks) {
            add(&mut speaking.all, policy)?;
            if policy.effect() == Effect::Permit {
                add(&mut speaking.permits, policy)?;
            }
        }
        Ok((action.name(), speaking))
    });
    each.collect()
}

fn add(set: &mut PolicySet, policy: &Policy) -> Result<()> {
    let added = set.add(policy.clone());
    added.map_err(|e| Error::internal(format!("policy: {e}")))
}

/// The actions that a policy is limited to; `None`: it speaks of all.
fn scope(policy: &Policy) -> Option<Vec<EntityUid>> {
    match policy.action_constraint() {
        ActionConstraint::Any => None,
        ActionConstraint::In(actions) => Some(actions),
        ActionConstraint::Eq(action) => Some(vec![action]),
    }
}

fn is(action: Action) -> impl Fn(&EntityUid) -> bool {
    move |uid| uid.id().unescaped() == action.name()
}

fn no_groups(policy: &Policy) -> Result<()> {
    let literals = policy.entity_literals();
    let group = literals.iter().find(|uid| {
        uid.type_name().basename() == "Action" && !Action::ALL.iter().any(|a| is(*a)(uid))
    });
    group.map_or(Ok(()), |group| {
        let (id, group) = (policy.id(), group.id().unescaped());
        let sentence =
            format!("the policy {id} names {group}, which is no action: name each action");
        Err(Error::invalid("policy", sentence))
    })
}
