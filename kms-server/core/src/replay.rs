//! The store is a view of the changes log: what the log says the store must hold.

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::proposal::{Proposal, ProposalState};
use crate::record::{Detail, Intention, Outcome, Record, Settled, state_digest};
use crate::revision::Revision;
use crate::time::Time;
use crate::value::Value;
use crate::view::View;
use std::collections::{BTreeMap, BTreeSet};

/// The changes log, read from its first entry.
#[derive(Debug, Default)]
pub struct Replay {
    view: View,
    next: u64,
    latest: Time,
    open: Option<Open>,
}

/// An intention without an outcome.
#[derive(Debug, Clone)]
pub struct Open {
    /// Its index.
    pub index: u64,
    /// Its record, for the outcome to name the same caller, call and resource.
    pub record: Record,
    /// What was to be done.
    pub intention: Intention,
}

impl Replay {
    /// Takes the next entry in.
    ///
    /// # Errors
    /// `Internal`, with a cause that says where, when the log does not make sense: a gap, an
    /// outcome without its intention, a digest that does not match.
    pub fn feed(&mut self, record: Record) -> Result<()> {
        let index = record.index();
        if index != self.next {
            return Err(broken(index, "the sequence has a gap"));
        }
        self.next = index.saturating_add(1);
        self.latest = self.latest.max(record.time());
        match record.detail().clone() {
            Detail::Intention(intention) => {
                if self.open.is_some() {
                    return Err(broken(index, "the intention before it has no outcome"));
                }
                self.open = Some(Open {
                    index,
                    record,
                    intention: *intention,
                });
                Ok(())
            }
            Detail::Outcome(outcome) => self.settle(index, &outcome),
            Detail::Use(_) => Err(broken(index, "a use does not belong into the changes log")),
        }
    }

    fn settle(&mut self, index: u64, outcome: &Outcome) -> Result<()> {
        let open = self
            .open
            .take()
            .ok_or_else(|| broken(index, "it settles no intention"))?;
        if open.index != outcome.intention {
            return Err(broken(
                index,
                "it settles another intention than the one before it",
            ));
        }
        match &outcome.settled {
            Settled::Abandoned { left, .. } => {
                let touched = open.intention.plan.act.touches();
                if !left.iter().all(|id| touched.contains(id)) {
                    return Err(broken(index, "it leaves a key that was not intended"));
                }
                left.iter().for_each(|id| self.view.burn(*id));
                Ok(())
            }
            Settled::Committed {
                revision,
                state,
                learned,
            } => {
                let values = open.intention.plan.values(learned);
                if state_digest(&values)? != *state {
                    return Err(broken(index, "its digest is not that of what was intended"));
                }
                if *revision <= self.view.revision() {
                    return Err(broken(
                        index,
                        "its revision is not later than the one before it",
                    ));
                }
                self.check_replaced(index, &open.intention.plan)?;
                for proposal in values.iter().filter_map(Value::as_proposal) {
                    self.check_proposal(index, proposal)?;
                }
                for value in values {
                    self.view.put(value, *revision);
                }
                Ok(())
            }
        }
    }

    fn check_replaced(&self, index: u64, plan: &Plan) -> Result<()> {
        for write in &plan.writes {
            if self.view.get(&write.value.name()).map(|s| s.revision) != write.replaces {
                return Err(broken(index, "it replaces a value that was not there"));
            }
        }
        Ok(())
    }

    /// Whoever edits a log could invent an approval, but not a custodian's signature.
    fn check_proposal(&self, index: u64, proposal: &Proposal) -> Result<()> {
        let (view, name) = (&self.view, &proposal.terms.name);
        let deployment = view.founded().map_err(|e| broken(index, e.message()))?;
        let before = view.proposal(name).map(|(before, _)| before);
        if before.is_some_and(|b| b.terms != proposal.terms || b.state != ProposalState::Waiting) {
            return Err(broken(index, "it changes what was agreed to, or is over"));
        }
        let known = before.map(|b| b.approvals.as_slice()).unwrap_or_default();
        if proposal.approvals.get(..known.len()) != Some(known) {
            return Err(broken(index, "it takes an approval back"));
        }
        let mut custodians = BTreeSet::from([&proposal.terms.proposer]);
        for (at, approval) in proposal.approvals.iter().enumerate() {
            if !custodians.insert(&approval.custodian) {
                return Err(broken(
                    index,
                    "one person agrees twice, or to their own proposal",
                ));
            }
            // An earlier one was verified by the names in force when it was given.
            if at >= known.len() {
                approval
                    .verify(view, deployment, &proposal.terms)
                    .map_err(|e| broken(index, &format!("an approval: {}", e.message())))?;
            }
        }
        Ok(())
    }

    /// What the store must hold, but for an open intention.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The latest time of any entry.
    #[must_use]
    pub fn latest(&self) -> Time {
        self.latest
    }

    /// The number of entries read.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.next
    }

    /// Whether none was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// The intention that has no outcome yet, if there is one: it can only be the last entry.
    #[must_use]
    pub fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// What differs between the log and a store: names, each with a word on how. A value that the
    /// open intention writes may be there already. Empty means that they agree.
    #[must_use]
    pub fn differences(&self, stored: &BTreeMap<String, (Value, Revision)>) -> Vec<String> {
        let mut found = Vec::new();
        for expected in self.view.all() {
            let name = expected.value.name();
            match stored.get(&name) {
                Some((value, revision))
                    if *value == expected.value && *revision == expected.revision => {}
                Some((value, _)) if self.intends(value) => {}
                Some(_) => found.push(format!("{name} is not what the log says")),
                None => found.push(format!("{name} is missing")),
            }
        }
        let extra = stored
            .iter()
            .filter(|(name, (value, _))| self.view.get(name).is_none() && !self.intends(value));
        found.extend(extra.map(|(name, _)| format!("{name} is in no record")));
        found
    }

    /// Whether the open intention writes this value, but for what the HSM tells of new material.
    fn intends(&self, value: &Value) -> bool {
        let mut value = value.clone();
        if let Value::Version(version) = &mut value {
            version.learned = None;
        }
        let mut writes = self.open.iter().flat_map(|o| &o.intention.plan.writes);
        writes.any(|write| {
            let mut intended = write.value.clone();
            if let Value::Version(version) = &mut intended {
                version.learned = None;
            }
            intended == value
        })
    }
}

fn broken(index: u64, what: &str) -> Error {
    Error::internal(format!("changes log, entry {index}: {what}"))
}
