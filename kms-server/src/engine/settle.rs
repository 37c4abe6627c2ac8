//! Intention, act, result. A change passes through here once, whether it runs to its end at the
//! first go or is settled after a crash: recovery is the ordinary path again.

use super::answers::Answers;
use super::{Engine, Seat, request, store_fault};
use crate::hsm::Hsm;
use crate::store::{Check, StoreError, Write};
use kms_core::action::Action;
use kms_core::caller::Caller;
use kms_core::decide::in_force;
use kms_core::error::{Error, Kind, Result};
use kms_core::id::KeyId;
use kms_core::key::Learned;
use kms_core::permit::{Permit, SystemOp};
use kms_core::plan::{Act, Plan};
use kms_core::record::{Detail, Event, Outcome, Record, Settled, state_digest};
use kms_core::replay::Open;
use kms_core::revision::Revision;
use kms_core::value::{Stamped, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Changes go one at a time. What the lane holds is the one that is not settled, if there is one.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) open: Option<Open>,
}

/// Which go at a change this is, and so what becomes of it where the HSM does not do its part.
/// Nothing is in the store then: it can be given up without a doubt, if its number is burnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    /// The first. What the HSM may have done stays open: the next go finds out.
    First,
    /// At a start, or before a change that needs the HSM too. It stays open while the HSM may yet
    /// do it.
    Again,
    /// Before a change that needs no HSM: nobody waits for one to stop the bleeding.
    Held,
}

/// The store's key of the index of the last intention that it holds, under `local/`: outside the
/// view, written in the same commit.
pub(super) const STAMP: &str = "local/intention";

impl Engine {
    /// Settles what an earlier change left open, before anything else changes.
    ///
    /// # Errors
    /// `Unavailable` while it cannot be settled.
    pub(super) async fn settle_open(&self, lane: &mut Lane, go: Go) -> Result<()> {
        let Some(open) = lane.open.clone() else {
            return Ok(());
        };
        let permit = Permit::system(SystemOp::Recovery);
        let settled = self
            .settle(lane, open, &permit, &Caller::Recovery, go)
            .await;
        match settled {
            Ok(_result) => Ok(()),
            // It was given up, and the log says so: the lane is free.
            Err(_given_up) if lane.open.is_none() => Ok(()),
            Err(error) => Err(Error::unavailable(
                "an earlier change is not settled yet, so nothing else can change; try again, and tell an operator if it goes on",
            )
            .because(error.cause().unwrap_or(error.message()))),
        }
    }

    /// Act, commit, outcome. On return the lane is free, or holds the change if it is not known
    /// what became of it.
    pub(super) async fn settle(
        &self,
        lane: &mut Lane,
        open: Open,
        permit: &Permit,
        caller: &Caller,
        go: Go,
    ) -> Result<Stamped<Value>> {
        lane.open = Some(open.clone());
        let done = match self.already_committed(&open, go).await? {
            Some(done) => done,
            None => match self.carry_out(&open, permit, go).await {
                Ok(done) => done,
                Err(Fate::Open(error)) => return Err(error),
                Err(Fate::GivenUp(error)) => {
                    self.give_up(lane, &open, permit, caller, &error).await?;
                    return Err(error);
                }
            },
        };
        let values = open.intention.plan.values(&done.learned);
        let settled = Settled::Committed {
            revision: done.revision,
            state: state_digest(&values)?,
            learned: done.learned,
        };
        self.append_outcome(&open, caller, settled, Ok(()))
            .await
            .map_err(in_doubt)?;
        lane.open = None;
        self.take_in(&values, done.revision)?;
        subject(&open.intention.plan, values, done.revision)
    }

    /// What the store holds of this intention, if an earlier go committed it.
    async fn already_committed(&self, open: &Open, go: Go) -> Result<Option<Done>> {
        if go == Go::First {
            return Ok(None);
        }
        let stamp = self
            .parts
            .store
            .get(STAMP)
            .await
            .map_err(|e| store_fault(&e))?;
        let Some(stamp) = stamp.filter(|s| s.value == open.index.to_string().into_bytes()) else {
            return Ok(None);
        };
        let made = open.intention.plan.act.makes();
        let (mut learned, mut stored) = (BTreeMap::new(), Vec::new());
        for write in &open.intention.plan.writes {
            let entry = self.parts.store.get(&write.value.name()).await;
            let entry = entry
                .map_err(|e| store_fault(&e))?
                .filter(|e| e.revision == stamp.revision);
            let entry = entry.ok_or_else(|| edited(open))?;
            let value = Value::decode(&entry.value)?;
            if let Some(version) = value.as_version()
                && let Some(at) = made.iter().position(|id| *id == version.id)
            {
                learned.insert(at, version.learned.clone());
            }
            stored.push(value);
        }
        let learned: Vec<Learned> = learned.into_values().flatten().collect();
        if stored == open.intention.plan.values(&learned) {
            Ok(Some(Done {
                revision: stamp.revision,
                learned,
            }))
        } else {
            Err(edited(open))
        }
    }

    async fn carry_out(
        &self,
        open: &Open,
        permit: &Permit,
        go: Go,
    ) -> std::result::Result<Done, Fate> {
        let learned = self.act(&open.intention.plan.act, permit, go).await;
        let learned = learned.map_err(|error| match go {
            // What a destruction may have left is burnt: it can only be destroyed, by another go.
            Go::First if matches!(open.intention.plan.act, Act::Destroy(_)) => Fate::GivenUp(error),
            Go::First => Fate::of(error, |kind| kind == Kind::Unknown),
            Go::Again => Fate::of(error, |kind| is_passing(kind) && kind != Kind::Internal),
            Go::Held => Fate::GivenUp(error),
        })?;
        let revision = self.commit(open, &learned).await;
        let revision = revision.map_err(|error| match go {
            Go::First => Fate::of(error, |kind| kind == Kind::Unknown),
            Go::Again | Go::Held => Fate::of(error, is_passing),
        })?;
        Ok(Done { revision, learned })
    }

    /// The HSM's part. Unwrapping is done by whoever holds the wrapped material, before this: here
    /// the key is only looked for.
    async fn act(&self, act: &Act, permit: &Permit, go: Go) -> Result<Vec<Learned>> {
        let hsm: &dyn Hsm = &*self.parts.hsm;
        match act {
            Act::Nothing => Ok(vec![]),
            Act::Generate(spec) => Ok(vec![hsm.generate(permit, spec).await?]),
            Act::GenerateEach(specs) => {
                let mut learned = Vec::new();
                for spec in specs {
                    learned.push(hsm.generate(permit, spec).await?);
                }
                Ok(learned)
            }
            Act::Destroy(ids) => {
                for id in ids {
                    hsm.destroy(permit, id).await?;
                }
                Ok(vec![])
            }
            // Whoever asked has it, or nobody: what may have left counts as left.
            Act::Wrap(_) => Ok(vec![]),
            Act::Unwrap(spec) => match (hsm.find(permit, spec).await?, go) {
                (Some(learned), _) => {
                    let seat = self.seat.load_full();
                    let learned = self.recognised(permit, &seat, spec, learned).await?;
                    Ok(vec![learned])
                }
                (None, Go::Again | Go::Held) => Err(Error::conflict(
                    "the import was interrupted before the HSM had the key; import it again",
                )),
                (None, Go::First) => Err(Error::internal(
                    "the HSM does not show the key that it has just unwrapped",
                )),
            },
        }
    }

    async fn commit(&self, open: &Open, learned: &[Learned]) -> Result<Revision> {
        let plan = &open.intention.plan;
        let values = plan.values(learned);
        let mut checks = Vec::new();
        let mut writes = vec![Write::Put(
            STAMP.into(),
            open.index.to_string().into_bytes(),
        )];
        for (write, value) in plan.writes.iter().zip(&values) {
            let name = value.name();
            checks.push(match write.replaces {
                None => Check::Absent(name.clone()),
                Some(revision) => Check::At(name.clone(), revision),
            });
            writes.push(Write::Put(name, value.encode()?));
        }
        if let Some(tag) = &open.intention.request {
            let made = subject(plan, values, Revision::default())?.value;
            let result = request::Remembered::Resource(Box::new(made));
            writes.push(request::memory(
                open.record.actor(),
                tag,
                open.record.time(),
                result,
            )?);
        }
        match self.parts.store.commit(&checks, &writes).await {
            Ok(revision) => Ok(revision),
            // Nobody else writes what the log does not say.
            Err(error @ StoreError::Conflict { .. }) => Err(Error::conflict(
                "something else changed this at the same time; read again",
            )
            .because(error)),
            Err(error) => Err(store_fault(&error)),
        }
    }

    /// Nothing was committed: what the HSM made of it is taken away again, and the log says so. What
    /// is not gone for certain leaves its number burnt.
    pub(super) async fn give_up(
        &self,
        lane: &mut Lane,
        open: &Open,
        permit: &Permit,
        caller: &Caller,
        error: &Error,
    ) -> Result<()> {
        let act = &open.intention.plan.act;
        let mut left = act.touches();
        for id in act.makes() {
            let gone = self.take_away(permit, &id, error).await;
            left.retain(|other| *other != id || !gone);
        }
        let settled = Settled::Abandoned {
            why: error.message().to_owned(),
            left: left.clone(),
        };
        self.append_outcome(open, caller, settled, Err(error.clone()))
            .await
            .map_err(in_doubt)?;
        lane.open = None;
        if !left.is_empty() {
            let seat = self.seat.load_full();
            let (mut view, policy) = (seat.view.clone(), seat.policy.clone());
            left.into_iter().for_each(|id| view.burn(id));
            self.seat.store(Arc::new(Seat { view, policy }));
        }
        Ok(())
    }

    /// Destroys what an act that failed made; whether it is certain that there is nothing.
    async fn take_away(&self, permit: &Permit, id: &KeyId, error: &Error) -> bool {
        let gone = if error.kind() == Kind::Internal {
            // The token holds what it should not under this id: nobody knows whose it is.
            Err(error.clone())
        } else {
            self.parts.hsm.destroy(permit, id).await
        };
        if let Err(left) = &gone {
            // An orphan: harmless, and `doctor` shows it.
            tracing::warn!(%id, error = left.message(), "an unfinished key may be left in the token");
        }
        gone.is_ok()
    }

    async fn append_outcome(
        &self,
        open: &Open,
        caller: &Caller,
        settled: Settled,
        result: Result<()>,
    ) -> Result<u64> {
        let (sort, name) = open
            .record
            .resource()
            .unwrap_or(("deployment", "deployment"));
        let event = Event {
            time: self.latest(),
            caller: caller.clone(),
            call: open.record.call().to_owned(),
            action: action_of(&open.record)?,
            resource: (sort.to_owned(), name.to_owned()),
            result,
            duration: Some(self.latest().0.saturating_sub(open.record.time().0)),
            emergency: open.record.emergency(),
            detail: Detail::Outcome(Box::new(Outcome {
                intention: open.index,
                settled,
            })),
        };
        self.parts.changes.append(event).await
    }

    /// From here on everyone sees it.
    fn take_in(&self, values: &[Value], revision: Revision) -> Result<()> {
        let seat = self.seat.load_full();
        let mut view = seat.view.clone();
        for value in values {
            view.put(value.clone(), revision);
        }
        // Whichever it is, what the policy said of the former view is forgotten.
        let policy = if values.iter().any(|v| matches!(v, Value::Document(_))) {
            in_force(&view)?.map(Answers::new)
        } else {
            seat.policy.as_deref().map(Answers::anew)
        };
        let policy = policy.map(Arc::new);
        self.seat.store(Arc::new(Seat { policy, view }));
        self.changed.send_replace(revision);
        // What the service itself proposed may be carried out now.
        let proposals = values.iter().filter_map(Value::as_proposal);
        if proposals
            .into_iter()
            .any(|p| p.terms.proposer.is_scheduler())
        {
            self.clockwork.bell.notify_one();
        }
        Ok(())
    }
}

/// What a change came to.
struct Done {
    revision: Revision,
    learned: Vec<Learned>,
}

/// What becomes of a change that failed, and why it did.
enum Fate {
    Open(Error),
    GivenUp(Error),
}

impl Fate {
    fn of(error: Error, stays_open: fn(Kind) -> bool) -> Self {
        if stays_open(error.kind()) {
            Fate::Open(error)
        } else {
            Fate::GivenUp(error)
        }
    }
}

fn subject(plan: &Plan, values: Vec<Value>, revision: Revision) -> Result<Stamped<Value>> {
    let found = values.into_iter().find(|v| v.name() == plan.subject);
    let value = found.ok_or_else(|| Error::internal("a plan does not write its own subject"))?;
    Ok(Stamped { value, revision })
}

fn action_of(record: &Record) -> Result<Action> {
    let found = Action::ALL.iter().find(|a| a.name() == record.operation());
    found
        .copied()
        .ok_or_else(|| Error::internal("a record names no action"))
}

/// Worth another try later.
fn is_passing(kind: Kind) -> bool {
    match kind {
        Kind::Unavailable | Kind::Exhausted | Kind::Unknown | Kind::Internal => true,
        Kind::Invalid
        | Kind::Refused
        | Kind::NotFound
        | Kind::Conflict
        | Kind::State
        | Kind::Pending => false,
    }
}

fn edited(open: &Open) -> Error {
    Error::internal(format!(
        "the store says that it holds intention {}, and holds something else",
        open.index
    ))
}

/// The act is done and the log does not say so: the caller must look.
fn in_doubt(error: Error) -> Error {
    Error::unknown("the change may have been carried out, but its outcome could not be recorded; look at the resource before you try again")
        .because(error.cause().unwrap_or(error.message()))
}
