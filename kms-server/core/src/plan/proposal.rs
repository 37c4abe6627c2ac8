//! Plans that file, answer, end and carry out proposals, and what a proposal would change.

use super::{Ground, Plan, Write, new, over, written};
use crate::certificate::Scheme;
use crate::command::Change;
use crate::error::{Error, Result};
use crate::name::ProposalName;
use crate::proposal::{Approval, LIFETIME, Proposal, ProposalState, Seen, Terms};
use crate::revision::Revision;
use crate::time::Time;
use crate::value::Value;
use crate::view::View;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Puts a command before the custodians: `planned` is what it would do.
///
/// # Errors
/// `Invalid` when the command is too long to wait.
pub fn file(ground: Ground<'_>, change: &Change, planned: &Plan, needed: u8) -> Result<Plan> {
    let seen = planned.writes.iter().map(|write| Seen {
        name: write.value.name(),
        revision: write.replaces,
    });
    let (sort, name) = change.resource();
    let proposal = Proposal {
        terms: Terms {
            name: ProposalName::fresh(&ground.fresh)?,
            proposer: ground.who()?,
            action: change.action(),
            command: change.text()?,
            expires: ground.now.plus_millis(LIFETIME),
            seen: seen.collect(),
        },
        resource: (sort.to_owned(), name),
        needed,
        filed: ground.now,
        approvals: vec![],
        state: ProposalState::Waiting,
        ended: None,
    };
    super::absent(ground.view, &proposal.terms.name.to_string())?;
    Ok(written(vec![new(Value::Proposal(proposal))]))
}

pub(super) fn approve(
    ground: Ground<'_>,
    name: &ProposalName,
    (scheme, signature): (Scheme, &[u8]),
    reason: &str,
) -> Result<Plan> {
    let (proposal, revision) = waiting(ground, name)?;
    let custodian = ground.who()?;
    if custodian == proposal.terms.proposer {
        return Err(Error::refused(
            "you filed this proposal, so somebody else must approve it",
        ));
    }
    if proposal.approvals.iter().any(|a| a.custodian == custodian) {
        return Err(Error::conflict(format!(
            "you have approved {name} already; another person must"
        )));
    }
    if !proposal.still_applies(ground.view) {
        return Err(Error::state(format!(
            "what {name} would change was changed since it was filed; it must be proposed again"
        )));
    }
    let peer = ground.caller.peer();
    let peer = peer.ok_or_else(|| Error::internal("nobody approves"))?;
    let approval = Approval {
        custodian,
        certificate: peer.certificate.clone(),
        scheme,
        signature: BASE64.encode(signature),
        time: ground.now,
        reason: reason.to_owned(),
    };
    let deployment = ground.view.founded()?;
    approval.verify(ground.view, deployment, &proposal.terms)?;
    let mut approved = proposal.clone();
    approved.approvals.push(approval);
    Ok(written(vec![over(Value::Proposal(approved), revision)]))
}

/// Rejects or withdraws it.
pub(super) fn end(
    ground: Ground<'_>,
    name: &ProposalName,
    state: ProposalState,
    reason: &str,
) -> Result<Plan> {
    let (proposal, revision) = waiting(ground, name)?;
    Ok(written(vec![ended(
        ground, proposal, revision, state, reason,
    )]))
}

/// The plan of a change that a proposal carries: the same commit ends the proposal, so that it is
/// carried out once.
///
/// # Errors
/// `State` when it no longer waits; `Conflict` when the change would touch what nobody agreed to.
pub fn carried_out(ground: Ground<'_>, mut plan: Plan, name: &ProposalName) -> Result<Plan> {
    let (proposal, revision) = waiting(ground, name)?;
    let agreed = |write: &Write| {
        let name = write.value.name();
        let seen = proposal.terms.seen.iter().find(|seen| seen.name == name);
        seen.is_some_and(|seen| seen.revision == write.replaces)
    };
    let fresh = |write: &Write| write.replaces.is_none() && write.value.as_emergency().is_some();
    if !plan
        .writes
        .iter()
        .all(|write| agreed(write) || fresh(write))
    {
        return Err(Error::conflict(format!(
            "what {name} would change was changed since it was filed; ask for it again"
        )));
    }
    let state = ProposalState::Executed;
    plan.writes
        .push(ended(ground, proposal, revision, state, "carried out"));
    Ok(plan)
}

fn ended(
    ground: Ground<'_>,
    proposal: &Proposal,
    revision: Revision,
    state: ProposalState,
    reason: &str,
) -> Write {
    let ended = Proposal {
        state,
        ended: Some(ground.moved(reason)),
        ..proposal.clone()
    };
    over(Value::Proposal(ended), revision)
}

fn waiting<'a>(ground: Ground<'a>, name: &ProposalName) -> Result<(&'a Proposal, Revision)> {
    let (proposal, revision) = ground
        .view
        .proposal(name)
        .ok_or_else(|| Error::not_found(name))?;
    if proposal.waits(ground.now) {
        return Ok((proposal, revision));
    }
    Err(Error::state(format!("{name} {}", proposal.over())))
}

/// A field of a resource, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The resource's name.
    pub resource: String,
    /// The field, with dots between its parts.
    pub field: String,
    /// What it was; empty when there was nothing.
    pub before: String,
    /// What it would be.
    pub after: String,
}

/// What a plan changes, field by field, for people.
///
/// # Errors
/// `Internal` when a value has no JSON form.
pub fn difference(view: &View, plan: &Plan) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    for write in &plan.writes {
        let name = write.value.name();
        let before = view.get(&name).map(|s| fields(&s.value)).transpose()?;
        let (before, after) = (before.unwrap_or_default(), fields(&write.value)?);
        let all = before.keys().chain(after.keys());
        let all: std::collections::BTreeSet<&String> = all.collect();
        for field in all {
            let (was, is) = (before.get(field), after.get(field));
            if was != is {
                found.push(Difference {
                    resource: name.clone(),
                    field: field.clone(),
                    before: was.cloned().unwrap_or_default(),
                    after: is.cloned().unwrap_or_default(),
                });
            }
        }
    }
    Ok(found)
}

/// Bookkeeping that follows from the change and says nothing.
const OBVIOUS: [&str; 10] = [
    "type",
    "name",
    "created",
    "updated",
    "uid",
    "id",
    "moved",
    "learned",
    "activated",
    "retired",
];

/// Fields that are a point in time.
const TIMES: [&str; 6] = ["compromised", "at", "until", "erase", "ends", "expires"];

fn fields(value: &Value) -> Result<BTreeMap<String, String>> {
    let json = serde_json::to_value(value).map_err(|e| Error::internal(e.to_string()))?;
    let mut out = BTreeMap::new();
    flatten(&mut out, "", "", json);
    Ok(out)
}

/// Every field under its path: `last` is the last part of it.
fn flatten(out: &mut BTreeMap<String, String>, path: &str, last: &str, value: serde_json::Value) {
    let under = |part: &str| match path {
        "" => part.to_owned(),
        path => format!("{path}.{part}"),
    };
    match value {
        serde_json::Value::Null => {}
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                if !OBVIOUS.contains(&name.as_str()) {
                    flatten(out, &under(&name), &name, value);
                }
            }
        }
        serde_json::Value::Array(items) => {
            for (at, value) in items.into_iter().enumerate() {
                flatten(out, &under(&at.to_string()), "", value);
            }
        }
        serde_json::Value::String(text) => {
            out.insert(path.to_owned(), text);
        }
        serde_json::Value::Number(number) => {
            let time = number.as_u64().filter(|_| TIMES.contains(&last));
            let text = time.map_or_else(|| number.to_string(), |time| Time(time).to_string());
            out.insert(path.to_owned(), text);
        }
        serde_json::Value::Bool(said) => {
            out.insert(path.to_owned(), said.to_string());
        }
    }
}
