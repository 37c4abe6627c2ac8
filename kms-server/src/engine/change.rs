//! Commands that make or move something.

use super::settle::Go;
use super::{Call, Engine, NO_UID, Reply, request, store_fault};
use crate::health::Health;
use kms_core::action::Action;
use kms_core::caller::Caller;
use kms_core::command::{Change, Command, Wrapped};
use kms_core::decide::{Demand, Verdict, decide, linkable, sound};
use kms_core::error::{Error, Result};
use kms_core::id::KeyUid;
use kms_core::name::ProposalName;
use kms_core::permit::Permit;
use kms_core::plan::{Act, Ground, Plan, carried_out, file, plan};
use kms_core::record::{Counts, Detail, Event, INTENTION_MAX, Intention, Record, RequestTag};
use kms_core::renewal::running;
use kms_core::replay::Open;
use kms_core::value::Value;
use std::time::Duration;

/// What became of a command under judgement.
enum Judged {
    /// It is carried out.
    Permitted(Permit, Plan),
    /// It goes before the custodians.
    Filed(Permit, Plan, ProposalName, u8),
}

/// What a record is about: an action, and the sort and name of a resource.
type About = (Action, (&'static str, String));

impl Engine {
    /// One change at a time: intention, act, commit, outcome.
    pub(super) async fn change(&self, call: Call, change: Change) -> Result<Reply> {
        let begun = self.parts.clock.monotonic();
        let tag = call
            .request
            .map(|id| request::tag(id, &change))
            .transpose()?;
        let command = Command::Change(change.clone());
        let mut lane = self.lane.lock().await;
        // First, because what is open may be this very request: its result is not to be told again
        // before the log has its outcome and everyone sees it.
        let go = if change.needs_hsm() {
            Go::Again
        } else {
            Go::Held
        };
        self.settle_open(&mut lane, go).await?;
        if let Some(tag) = &tag
            && let Some(reply) = self.again(&call, &command, tag, begun).await?
        {
            return Ok(reply);
        }
        match self.judge(&call, &command, &change).await {
            Ok(Judged::Permitted(permit, plan)) => {
                let about = (command.action(), command.resource());
                let open = self.intend(&call, about, &permit, plan, tag).await?;
                if let Change::ImportKey {
                    token,
                    wrapped: Wrapped::Material { bytes, .. },
                    ..
                } = &change
                    && let Act::Unwrap(spec) = &open.intention.plan.act
                {
                    self.unwrap_now(&mut lane, &open, &permit, &call, (token, bytes, spec))
                        .await?;
                }
                let leaving = match &open.intention.plan.act {
                    Act::Wrap(leaving) => Some(
                        self.wrap_now(&mut lane, &open, &permit, &call, leaving)
                            .await?,
                    ),
                    Act::Nothing
                    | Act::Generate(_)
                    | Act::GenerateEach(_)
                    | Act::Destroy(_)
                    | Act::Unwrap(_) => None,
                };
                let made = self
                    .settle(&mut lane, open, &permit, &call.caller, Go::First)
                    .await?;
                let made = Box::new(made);
                Ok(match leaving {
                    Some(wrapped) => Reply::Exported(made, wrapped),
                    None => Reply::Resource(made),
                })
            }
            Ok(Judged::Filed(permit, plan, name, needed)) => {
                // Its request is not remembered: sent again, it asks whether enough have agreed.
                let about = (Action::Propose, ("proposal", name.to_string()));
                let open = self.intend(&call, about, &permit, plan, None).await?;
                self.settle(&mut lane, open, &permit, &call.caller, Go::First)
                    .await?;
                Err(waits(&name, command.action(), needed, 0))
            }
            Err(error) => {
                let about = (command.action(), command.resource());
                self.refuse(&call, about, error, begun).await
            }
        }
    }

    /// Carries out the command that waits in a proposal: it is asked again, by whoever filed it.
    pub(super) async fn execute_proposal(&self, call: Call, name: ProposalName) -> Result<Reply> {
        let begun = self.parts.clock.monotonic();
        match self.proposed(&call.caller, &name) {
            Ok(change) => self.change(call, change).await,
            Err(error) => {
                let about = (Action::Propose, ("proposal", name.to_string()));
                self.refuse(&call, about, error, begun).await
            }
        }
    }

    fn proposed(&self, caller: &Caller, name: &ProposalName) -> Result<Change> {
        let seat = self.seat.load_full();
        let mine = |proposer| {
            let peer = caller.peer();
            peer.is_some_and(|peer| seat.view.who(&peer.identity().principal) == proposer)
        };
        let (proposal, _) = seat
            .view
            .proposal(name)
            .filter(|(proposal, _)| mine(&proposal.terms.proposer))
            .ok_or_else(|| {
                Error::refused(format!(
                    "only who filed {name} can carry it out, or there is no such proposal"
                ))
            })?;
        if !proposal.waits(self.latest()) {
            return Err(Error::state(format!("{name} {}", proposal.over())));
        }
        if !proposal.still_applies(&seat.view) {
            return Err(Error::state(format!(
                "what {name} would change was changed since it was filed; ask for it again"
            )));
        }
        let change = proposal.terms.change()?;
        if let Change::ImportKey { .. } = change {
            return Err(Error::invalid(
                "name",
                "the wrapped material of an import is kept by nobody: send the same import again \
                 instead (kms import submit), and it is carried out",
            ));
        }
        if let Change::ExportKey { .. } = change {
            return Err(Error::invalid(
                "name",
                "an exported key goes to whoever asks for it: ask for the same export again (kms \
                 export key), and it is carried out",
            ));
        }
        Ok(change)
    }

    /// The result of a request that was carried out before; its record says that it was asked.
    async fn again(
        &self,
        call: &Call,
        command: &Command,
        tag: &RequestTag,
        begun: Duration,
    ) -> Result<Option<Reply>> {
        let known = self.remembered(&call.caller, tag).await;
        let outcome = match &known {
            Ok(None) => return Ok(None),
            Ok(Some(_)) => Ok(()),
            Err(error) => Err(error.clone()),
        };
        let counts = Counts {
            policies: vec!["repeated request".into()],
            ..Counts::default()
        };
        let about = (command.action(), command.resource());
        self.record_use(call, about, outcome, counts, begun).await?;
        known
    }

    async fn judge(&self, call: &Call, command: &Command, change: &Change) -> Result<Judged> {
        let seat = self.seat.load_full();
        let fresh = fresh_uid()?;
        let bench = self.bench(&seat, fresh);
        let verdict = decide(bench, &call.caller, command)?;
        // Only the service's own clockwork asks what is due by use.
        let known = match call.caller {
            Caller::Scheduler => self.known(&seat.view).await?,
            Caller::Peer(_) | Caller::Founder | Caller::Recovery => self.known_at_hand(),
        };
        let mut ground = Ground {
            view: &seat.view,
            caller: &call.caller,
            now: bench.now,
            steady: self.steady(),
            uses: &known,
            fresh,
            carried: None,
        };
        match verdict {
            Verdict::Permit(permit) => {
                ground.carried = permit.proposal();
                if let Change::ImportKey { token, wrapped, .. } = change {
                    let Wrapped::Material { mac, .. } = wrapped else {
                        return Err(Error::internal("an import without its material"));
                    };
                    self.believe(&permit, &seat.view, token, mac).await?;
                }
                if let Change::ExportKey { mechanism, .. } = change {
                    self.wraps(*mechanism)?;
                }
                let mut planned = plan(ground, change)?;
                self.acceptable(&seat, &planned, call).await?;
                if let Some(name) = permit.proposal() {
                    planned = carried_out(ground, planned, name)?;
                }
                for write in &planned.writes {
                    write.value.encode()?;
                }
                self.is_at_hand(&planned.act)?;
                Ok(Judged::Permitted(permit, planned))
            }
            Verdict::Approvals(Demand {
                needed,
                waiting: Some((name, given)),
                ..
            }) => Err(waits(&name, command.action(), needed, given)),
            Verdict::Approvals(Demand {
                needed, propose, ..
            }) => {
                let planned = plan(ground, change)?;
                self.acceptable(&seat, &planned, call).await?;
                let filed = file(ground, change, &planned, needed)?;
                for write in &filed.writes {
                    write.value.encode()?;
                }
                let name = ProposalName::fresh(&fresh)?;
                Ok(Judged::Filed(propose, filed, name, needed))
            }
        }
    }

    /// Whether the rules can be lived with afterwards: apart, because it asks the policy many
    /// questions.
    async fn acceptable(&self, seat: &super::Seat, plan: &Plan, call: &Call) -> Result<()> {
        let touches = |which: fn(&Value) -> bool| plan.writes.iter().any(|w| which(&w.value));
        let rules = touches(|v| matches!(v, Value::Document(_) | Value::Binding(_)));
        // A campaign binds services to what they may do on an edge.
        let graph = touches(|v| {
            matches!(v, Value::Edge(_) | Value::Domain(_))
                || v.as_key().is_some_and(|key| running(key).is_some())
        });
        if call.caller.peer().is_none() || !(rules || graph) {
            return Ok(());
        }
        let mut after = seat.view.clone();
        let revision = after.revision();
        for write in &plan.writes {
            after.put(write.value.clone(), revision);
        }
        let environment = seat.view.founded()?.environment;
        let (now, policy) = (self.latest(), seat.policy.clone());
        let source = call.caller.peer().and_then(|peer| peer.source);
        let source = source.map(|source| source.ip());
        let judged = tokio::task::spawn_blocking(move || match policy {
            Some(policy) if !rules => linkable(&after, &*policy, environment, now),
            Some(_) | None => sound(&after, environment, now, source).map(|_policy| ()),
        });
        judged.await.map_err(|e| Error::internal(e.to_string()))?
    }

    /// What needs the HSM is not begun while it is known to be away: an intention stays in the log
    /// for ever, and whoever tries again and again must not fill it with what came to nothing.
    fn is_at_hand(&self, act: &Act) -> Result<()> {
        match (act, &*self.parts.hsm.health().borrow()) {
            (Act::Nothing, _)
            | (
                Act::Generate(_)
                | Act::GenerateEach(_)
                | Act::Unwrap(_)
                | Act::Destroy(_)
                | Act::Wrap(_),
                Health::Serving,
            ) => Ok(()),
            (
                Act::Generate(_)
                | Act::GenerateEach(_)
                | Act::Unwrap(_)
                | Act::Destroy(_)
                | Act::Wrap(_),
                Health::Down(why),
            ) => Err(
                Error::unavailable("the HSM does not answer; nothing was done, try again")
                    .because(why),
            ),
        }
    }

    /// A refusal is recorded too, in the uses log.
    async fn refuse(
        &self,
        call: &Call,
        about: About,
        error: Error,
        begun: Duration,
    ) -> Result<Reply> {
        self.record_use(call, about, Err(error.clone()), Counts::default(), begun)
            .await?;
        Err(error)
    }

    /// Records the intention.
    async fn intend(
        &self,
        call: &Call,
        (action, (sort, name)): About,
        permit: &Permit,
        plan: Plan,
        tag: Option<RequestTag>,
    ) -> Result<Open> {
        self.parts.store.has_room().map_err(|e| store_fault(&e))?;
        let intention = Intention {
            plan,
            policies: permit.policies().to_vec(),
            proposal: permit.proposal().cloned(),
            request: tag,
        };
        let event = Event {
            // In the log of changes time never goes back, so that a restart knows how late it was.
            time: self.latest(),
            caller: call.caller.clone(),
            call: call.id.clone(),
            action,
            resource: (sort.to_owned(), name),
            result: Ok(()),
            duration: None,
            emergency: permit.emergency(),
            detail: Detail::Intention(Box::new(intention.clone())),
        };
        if permit.emergency() || action == Action::DeclareEmergency {
            self.parts.metrics.emergency_acts.inc();
            tracing::error!(action = action.name(), "EMERGENCY: the glass is broken");
        }
        let log = kms_core::command::LogName::Changes;
        if Record::new(event.clone(), log, u64::MAX).encode()?.len() > INTENTION_MAX {
            return Err(Error::invalid(
                "request",
                "the change is too large for one record; make it in parts",
            ));
        }
        let index = self.parts.changes.append(event.clone()).await?;
        Ok(Open {
            index,
            record: Record::new(event, log, index),
            intention,
        })
    }

    pub(super) fn no_uid() -> KeyUid {
        NO_UID
    }
}

/// What the caller hears while others have to agree.
fn waits(name: &ProposalName, action: Action, needed: u8, given: u8) -> Error {
    Error::pending(
        name,
        format!(
            "{action} waits as {name} with {given} of {needed} approval(s); once enough people \
             have agreed, carry it out (kms proposal execute)"
        ),
    )
}

/// 16 bytes that no key was ever called by: from the operating system, because a name is no secret
/// and a suspension must go through while the HSM is away.
fn fresh_uid() -> Result<KeyUid> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::internal(format!("the operating system gives no random bytes: {e}")))?;
    Ok(KeyUid(bytes))
}
