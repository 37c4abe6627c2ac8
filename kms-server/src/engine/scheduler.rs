//! What is due is carried out, by the same door as everything else: the service asks itself, under
//! its own name, and the policy answers. What needs approvals is put before the custodians, and
//! carried out once they have agreed.
//!
//! What is due is told each time from what is (`kms_core::due`), so that nothing is forgotten in a
//! crash, and nothing is done twice: what was done is no longer due.

use super::known::Known;
use super::{Call, Engine, Seat};
use crate::health::Health;
use kms_core::caller::{Caller, Principal};
use kms_core::command::{Change, Command};
use kms_core::due::{Due, Outlook, Steady};
use kms_core::error::{Error, Kind, Result};
use kms_core::revision::Revision;
use kms_core::time::{HOUR, Time};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// How often the service looks at what is due, beside each time that something calls for it.
const EVERY: Duration = Duration::from_secs(30);

/// The service's own clockwork.
#[derive(Debug, Default)]
pub(super) struct Clockwork {
    /// Rings when something became due before its time: a version has protected enough.
    pub(super) bell: Notify,
    /// As of which revision, and when by the second clock, a command was answered with something
    /// else than its result.
    answered: Mutex<HashMap<String, (Revision, Time)>>,
}

/// So long it is not asked again while nothing has changed, in milliseconds: then time itself may
/// have changed the answer.
const PATIENCE: u64 = HOUR;

/// What a look at what is due came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// So much was carried out.
    pub done: usize,
    /// So much waits for approvals.
    pub waiting: usize,
    /// So much failed, and will be tried again.
    pub failed: usize,
}

impl Engine {
    /// Carries out what is due, again and again, until the service stops: what is under way then is
    /// finished, and nothing more begun.
    pub async fn keep_time(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        loop {
            self.round(|| *stopping.borrow()).await;
            let woken = async {
                tokio::select! {
                    () = self.clockwork.bell.notified() => {}
                    () = tokio::time::sleep(EVERY) => {}
                }
            };
            tokio::select! {
                () = woken => {}
                stop = stopping.wait_for(|stop| *stop) => {
                    drop(stop);
                    return;
                }
            }
        }
    }

    /// Carries out what is due now, one thing after the other.
    pub async fn carry_out_due(self: &Arc<Self>) -> Round {
        self.round(|| false).await
    }

    async fn round(self: &Arc<Self>, stops: impl Fn() -> bool) -> Round {
        let mut round = Round::default();
        let due = match self.due_now().await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(error = error.message(), "what is due cannot be told");
                round.failed = 1;
                return round;
            }
        };
        self.parts.metrics.due_now(due.iter().map(|due| due.task));
        for due in due {
            if stops() {
                return round;
            }
            let Ok(Some(change)) = due.change() else {
                continue;
            };
            match self.attempt(&due, change).await {
                Attempt::Done => round.done += 1,
                Attempt::Waits => round.waiting += 1,
                Attempt::Overtaken => {}
                Attempt::Failed | Attempt::NoHsm => round.failed += 1,
                // Nothing else will go better.
                Attempt::Away => {
                    round.failed += 1;
                    return round;
                }
            }
        }
        round
    }

    async fn due_now(&self) -> Result<Vec<Due>> {
        let seat = self.seat.load_full();
        let known = self.known(&seat.view).await?;
        let outlook = self.outlook(&seat, &known);
        Ok(outlook.due(outlook.now))
    }

    /// What can be due is told from this.
    pub(super) fn outlook<'a>(&self, seat: &'a Seat, known: &'a Known) -> Outlook<'a> {
        Outlook {
            view: &seat.view,
            now: self.latest(),
            steady: self.steady(),
            uses: known,
        }
    }

    /// The second clock.
    pub(super) fn steady(&self) -> Steady {
        self.pace.steady(&*self.parts.clock)
    }

    async fn attempt(self: &Arc<Self>, due: &Due, change: Change) -> Attempt {
        let (seat, task) = (self.seat.load_full(), due.task);
        let Ok(text) = change.text() else {
            return Attempt::Failed;
        };
        if self.is_waiting(&seat, &text) {
            return Attempt::Waits;
        }
        if *self.parts.hsm.health().borrow() != Health::Serving && change.needs_hsm() {
            tracing::warn!(task = task.name(), "something is due, and the HSM is away");
            return Attempt::NoHsm;
        }
        let call = Call {
            caller: Caller::Scheduler,
            id: Uuid::new_v4().to_string(),
            request: None,
        };
        let result = self.run(call, Command::Change(change)).await;
        self.parts.metrics.scheduled(task, result.as_ref().err());
        match result {
            Ok(_) => {
                tracing::info!(task = task.name(), on = due.resource, "carried out");
                self.clockwork.forget(&text);
                Attempt::Done
            }
            Err(error) => self.took_amiss(due, text, &error),
        }
    }

    fn took_amiss(&self, due: &Due, text: String, error: &Error) -> Attempt {
        let task = due.task.name();
        match error.kind() {
            Kind::Pending => {
                tracing::info!(task, on = due.resource, "waits for approvals");
                self.answered(text);
                Attempt::Waits
            }
            Kind::State | Kind::Conflict | Kind::NotFound => {
                self.answered(text);
                Attempt::Overtaken
            }
            Kind::Unavailable | Kind::Exhausted | Kind::Unknown => {
                let cause = error.cause().unwrap_or_default();
                tracing::warn!(task, cause, "something is due, and could not be done");
                Attempt::Away
            }
            Kind::Invalid | Kind::Refused | Kind::Internal => {
                let sentence = error.message();
                tracing::error!(
                    task,
                    on = due.resource,
                    sentence,
                    "the policy does not allow it, or the service is broken"
                );
                self.answered(text);
                Attempt::Failed
            }
        }
    }

    /// Whether asking again would only be answered as before: too few have agreed, or nothing has
    /// changed since.
    fn is_waiting(&self, seat: &Seat, text: &str) -> bool {
        let now = self.latest();
        let filed = seat.view.proposals().find(|proposal| {
            proposal.terms.command == text
                && Principal::is_scheduler(&proposal.terms.proposer)
                && proposal.waits(now)
                && proposal.still_applies(&seat.view)
        });
        let enough = |given: usize, needed: u8| given >= usize::from(needed);
        match filed {
            Some(filed) if !enough(filed.approvals.len(), filed.needed) => true,
            Some(_) | None => {
                let answered = self.clockwork.answered(text);
                answered.is_some_and(|(revision, when)| {
                    revision == seat.view.revision() && self.steady().now.since(when) < PATIENCE
                })
            }
        }
    }

    fn answered(&self, text: String) {
        let when = (self.view().revision(), self.steady().now);
        self.clockwork.remember(text, when);
    }
}

/// What became of something that was due.
enum Attempt {
    Done,
    Waits,
    /// Somebody else did it, or it is no longer due.
    Overtaken,
    Failed,
    /// It needs the HSM, which is away; what needs none goes on.
    NoHsm,
    /// The HSM, the store or a log did not do its part.
    Away,
}

impl Clockwork {
    fn remember(&self, text: String, when: (Revision, Time)) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.insert(text, when);
    }

    fn answered(&self, text: &str) -> Option<(Revision, Time)> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.get(text).copied()
    }

    fn forget(&self, text: &str) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.remove(text);
    }
}
