//! Quotas: a use is charged before the HSM is visited, all of it or nothing, whatever becomes of
//! it then.
//!
//! Windows follow the second clock (`pace`), not the machine's clock: that a clock is set forward while the service
//! runs begins no window anew, and that it is set back neither. A start takes the clock as it is,
//! but for a window that was written down and is not over: it goes on, and where it lies in the
//! future it is the present one. So whoever can set the machine's clock *and* restart the service
//! gets one window for each period that the clock is set forward, and can never go back: what is
//! spent in the future stays spent until then. A deployment that once ran in the future by mistake
//! has, for whoever used an edge meanwhile, no more than was left; a raised quota is the way out.

use super::ledger::{Count, Keep, Spending};
use super::runs::Part;
use super::usage::Noted;
use super::{Call, Engine, Reply, Seat};
use kms_core::action::Action;
use kms_core::caller::Principal;
use kms_core::command::Use;
use kms_core::error::{Error, Result};
use kms_core::quota::{Account, Charged, Exceeded, Limits, Metered, Reached, Tally};
use kms_core::record::RunPart;
use kms_core::time::Time;
use kms_core::view::View;
use std::sync::OnceLock;

/// One use.
pub(super) struct Charge<'a> {
    pub(super) limits: &'a Limits,
    pub(super) tally: Tally,
    pub(super) now: Time,
    pub(super) on: &'a Charged,
    pub(super) who: &'a Principal,
    /// Whether it is one call of a run.
    run: bool,
    /// Why it was refused.
    over: OnceLock<Exceeded>,
}

/// A use's caller, and what it is charged to.
struct Purse<'a> {
    on: Charged,
    who: &'a Principal,
    limits: Limits,
}

impl Engine {
    /// Charges a use to its caller.
    ///
    /// # Errors
    /// `Exhausted` when less is left than it needs; `Invalid` when no caller may ever ask so much
    /// at once. Nothing is charged then.
    pub(super) async fn charge(
        &self,
        view: &View,
        call: &Call,
        usage: &Use,
        noted: &mut Noted,
    ) -> Result<()> {
        let on = Charged::of(view, usage)?;
        let Some(purse) = on.and_then(|on| Purse::of(view, call, on)) else {
            return Ok(());
        };
        let charge = Charge::new(
            &purse.limits,
            usage.tally(),
            self.pace.now(&*self.parts.clock),
            &purse.on,
            purse.who,
        );
        let account = charge.on.account(charge.who);
        let keep = self.keep(charge.on.is_control());
        let charged = self.spent.spend(keep, &account, &charge).await;
        let charged = charged.map(|(before, after)| after.reached(&before, charge.limits));
        self.tell(usage.action(), &charge, charged, noted)
    }

    /// Checks off one call of a run, and charges what it costs.
    ///
    /// # Errors
    /// As [`Engine::charge`], and when the call does not belong to the run.
    pub(super) async fn check_off(
        &self,
        view: &View,
        call: &Call,
        (action, on, tally): (Action, Charged, Tally),
        part: Part,
        noted: &mut Noted,
    ) -> Result<()> {
        let purse = Purse::of(view, call, on);
        let purse = purse.ok_or_else(|| Error::internal("a run that nothing limits"))?;
        let now = self.pace.now(&*self.parts.clock);
        let charge = Charge::new(&purse.limits, tally, now, &purse.on, purse.who);
        let mut charge = charge.of_a_run();
        let (store, spent) = (&*self.parts.store, &self.spent);
        let checked = self.runs.check_off(store, spent, &mut charge, part).await;
        let charged = checked.map(|checked| {
            noted.run = Some(RunPart {
                id: part.batch.id(),
                expected: part.batch.expected(),
                offset: part.batch.offset(),
                again: checked.again,
            });
            checked.reached
        });
        self.tell(action, &charge, charged, noted)
    }

    /// Counts and notes what became of a charge: of a security control, what is nearly spent too.
    fn tell(
        &self,
        action: Action,
        charge: &Charge<'_>,
        charged: Result<Vec<Reached>>,
        noted: &mut Noted,
    ) -> Result<()> {
        let reached = match &charged {
            Ok(reached) => reached.clone(),
            Err(_) => {
                let over = charge.over.get().map(Exceeded::reached);
                if over.is_some() {
                    self.parts.metrics.over_quota(action);
                }
                over.into_iter().collect()
            }
        };
        if charge.on.is_control() {
            if charged.is_ok() {
                for _limit in &reached {
                    self.parts.metrics.near_quota(action);
                }
            }
            noted.quota.extend(reached);
        }
        charged.map(|_told| ())
    }

    /// How much a caller may ask, and how much is left of it.
    pub(super) async fn allowance(
        &self,
        seat: &Seat,
        call: &Call,
        on: Metered,
        who: Option<Principal>,
    ) -> Result<Reply> {
        let peer = call.caller.peer();
        let asker = peer.map(|peer| peer.identity().principal.clone());
        let who = who
            .or(asker)
            .ok_or_else(|| Error::internal("nobody asks"))?;
        let who = seat.view.who(&who).clone();
        let there = match &on {
            Metered::Key(name) => seat.view.key(name).is_some(),
            Metered::Edge(name) => seat.view.edge(name).is_some(),
        };
        if !there {
            return Err(Error::not_found(&on));
        }
        let (limits, quota) = seat.view.limits(&on, &who);
        let account = Charged::Quota(on.clone()).account(&who);
        let keep = self.keep(on.is_control());
        let account: Account = self.spent.spent(keep, &account).await?;
        let now = self.pace.now(&*self.parts.clock);
        let standings = account.standings(limits, now);
        let quota = quota.map(|quota| quota.name.clone());
        Ok(Reply::Allowance(Box::new(super::Allowance {
            on,
            who,
            quota,
            standings,
        })))
    }

    fn keep(&self, control: bool) -> Keep<'_> {
        if control {
            Keep::Durable(&*self.parts.store)
        } else {
            Keep::Passing
        }
    }
}

impl<'a> Purse<'a> {
    /// `None` where nothing limits.
    fn of(view: &'a View, call: &'a Call, on: Charged) -> Option<Self> {
        let who = view.who(&call.caller.peer()?.identity().principal);
        let limits = on.limits(view, who);
        (!limits.is_none()).then_some(Purse { on, who, limits })
    }
}

impl<'a> Charge<'a> {
    pub(super) fn new(
        limits: &'a Limits,
        tally: Tally,
        now: Time,
        on: &'a Charged,
        who: &'a Principal,
    ) -> Self {
        Charge {
            limits,
            tally,
            now,
            on,
            who,
            run: false,
            over: OnceLock::new(),
        }
    }

    /// The same for one call of a run.
    pub(super) fn of_a_run(self) -> Self {
        Charge { run: true, ..self }
    }
}

impl Spending for Charge<'_> {
    type Of = Account;

    fn spend(&self, spent: &Account) -> Result<Account> {
        let charged = spent.charge(self.limits, self.tally, self.now);
        charged.map_err(|over| {
            let over = self.over.get_or_init(|| over);
            self.on.refused(over, self.who, self.run)
        })
    }

    fn covered(&self, written: &Account, spent: &Account) -> bool {
        written.covers(spent, self.limits)
    }

    fn ahead(&self, spent: &Account) -> Account {
        self.on.ahead(spent, self.limits)
    }
}

impl Count for Account {
    fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::internal(e.to_string()))
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|e| Error::internal(e.to_string()))
    }
}

#[cfg(test)]
mod tests;
