//! Commands that make or move something.

use super::settle::Go;
use super::{Call, Engine, NO_UID, Reply, request};
use crate::health::Health;
use kms_core::command::{Change, Command};
use kms_core::decide::decide;
use kms_core::error::{Error, Result};
use kms_core::id::KeyUid;
use kms_core::permit::Permit;
use kms_core::plan::{Act, Ground, Plan, plan};
use kms_core::record::{Counts, Detail, Event, INTENTION_MAX, Intention, Record, RequestTag};
use kms_core::replay::Open;
use std::time::Duration;

impl Engine {
    /// One change at a time: intention, act, commit, outcome.
    pub(super) async fn change(&self, call: Call, change: Change) -> Result<Reply> {
        let begun = self.parts.clock.monotonic();
        let command = Command::Change(change.clone());
        let tag = call
            .request
            .map(|id| request::tag(id, &change))
            .transpose()?;
        let mut lane = self.lane.lock().await;
        // First, because what is open may be this very request: its result is not to be told again
        // before the log has its outcome and everyone sees it.
        let go = if change.makes_material() {
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
        let judged = self.judge(&call, &command, &change).await;
        let (permit, plan) = match judged {
            Ok(judged) => judged,
            Err(error) => return self.refuse(&call, &command, error, begun).await,
        };
        let open = self.intend(&call, &command, &permit, plan, tag).await?;
        if let Change::ImportKey { token, wrapped, .. } = &change
            && let Act::Unwrap(spec) = &open.intention.plan.act
        {
            self.unwrap_now(&mut lane, &open, &permit, &call, (token, wrapped, spec))
                .await?;
        }
        let made = self
            .settle(&mut lane, open, &permit, &call.caller, Go::First)
            .await?;
        Ok(Reply::Resource(Box::new(made)))
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

    async fn judge(
        &self,
        call: &Call,
        command: &Command,
        change: &Change,
    ) -> Result<(Permit, Plan)> {
        let seat = self.seat.load_full();
        let fresh = fresh_uid()?;
        let permit = decide(seat.bench(fresh), &call.caller, command)?;
        let ground = Ground {
            view: &seat.view,
            caller: &call.caller,
            now: self.now(),
            fresh,
        };
        if let Change::ImportKey { token, mac, .. } = change {
            self.believe(&permit, &seat.view, token, mac).await?;
        }
        let plan = plan(ground, change)?;
        for write in &plan.writes {
            write.value.encode()?;
        }
        self.is_at_hand(&plan.act)?;
        Ok((permit, plan))
    }

    /// What needs the HSM is not begun while it is known to be away: an intention stays in the log
    /// for ever, and whoever tries again and again must not fill it with what came to nothing.
    fn is_at_hand(&self, act: &Act) -> Result<()> {
        match (act, &*self.parts.hsm.health().borrow()) {
            (Act::Nothing, _) | (Act::Generate(_) | Act::Unwrap(_), Health::Serving) => Ok(()),
            (Act::Generate(_) | Act::Unwrap(_), Health::Down(why)) => Err(Error::unavailable(
                "the HSM does not answer; nothing was done, try again",
            )
            .because(why)),
        }
    }

    /// A refusal is recorded too, in the uses log.
    async fn refuse(
        &self,
        call: &Call,
        command: &Command,
        error: Error,
        begun: Duration,
    ) -> Result<Reply> {
        let about = (command.action(), command.resource());
        self.record_use(call, about, Err(error.clone()), Counts::default(), begun)
            .await?;
        Err(error)
    }

    /// Records the intention.
    async fn intend(
        &self,
        call: &Call,
        command: &Command,
        permit: &Permit,
        plan: Plan,
        tag: Option<RequestTag>,
    ) -> Result<Open> {
        let intention = Intention {
            plan,
            policies: permit.policies().to_vec(),
            request: tag,
        };
        let (sort, name) = command.resource();
        let event = Event {
            time: self.now(),
            caller: call.caller.clone(),
            call: call.id.clone(),
            action: command.action(),
            resource: (sort.to_owned(), name),
            result: Ok(()),
            duration: None,
            detail: Detail::Intention(Box::new(intention.clone())),
        };
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

/// 16 bytes that no key was ever called by: from the operating system, because a name is no secret
/// and a suspension must go through while the HSM is away.
fn fresh_uid() -> Result<KeyUid> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::internal(format!("the operating system gives no random bytes: {e}")))?;
    Ok(KeyUid(bytes))
}
