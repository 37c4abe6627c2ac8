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
use super::{Call, Engine, Reply, Seat};
use kms_core::caller::Principal;
use kms_core::command::Use;
use kms_core::error::{Error, Kind, Result};
use kms_core::quota::{Account, Limits, Metered, Tally};
use kms_core::time::Time;
use kms_core::view::View;

/// One use.
struct Charge<'a> {
    limits: &'a Limits,
    tally: Tally,
    now: Time,
    on: &'a Metered,
    who: &'a Principal,
}

impl Engine {
    /// Charges a use to its caller.
    ///
    /// # Errors
    /// `Exhausted` when less is left than it needs; `Invalid` when no caller may ever ask so much
    /// at once. Nothing is charged then.
    pub(super) async fn charge(&self, view: &View, call: &Call, usage: &Use) -> Result<()> {
        let (Some(on), Some(peer)) = (usage.metered(), call.caller.peer()) else {
            return Ok(());
        };
        let who = view.who(&peer.identity().principal);
        let (limits, _) = view.limits(&on, who);
        if limits.is_none() {
            return Ok(());
        }
        let charge = Charge {
            limits,
            tally: usage.tally(),
            now: self.pace.now(&*self.parts.clock),
            on: &on,
            who,
        };
        let name = name(&on, who);
        let charged = self.spent.spend(self.keep(&on), &name, &charge).await;
        let charged = charged.map(|_spent| ());
        charged.inspect_err(|error| {
            if matches!(error.kind(), Kind::Exhausted | Kind::Invalid) {
                self.parts.metrics.over_quota(usage.action());
            }
        })
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
        let account: Account = self.spent.spent(self.keep(&on), &name(&on, &who)).await?;
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

    fn keep(&self, on: &Metered) -> Keep<'_> {
        if on.is_control() {
            Keep::Durable(&*self.parts.store)
        } else {
            Keep::Passing
        }
    }
}

/// Under `local/`: it is outside the view.
fn name(on: &Metered, who: &Principal) -> String {
    format!("local/quotas/{on}/{who}")
}

impl Spending for Charge<'_> {
    type Of = Account;

    fn spend(&self, spent: &Account) -> Result<Account> {
        let charged = spent.charge(self.limits, self.tally, self.now);
        charged.map_err(|over| over.error(self.on, self.who))
    }

    fn covered(&self, written: &Account, spent: &Account) -> bool {
        written.covers(spent, self.limits)
    }

    fn ahead(&self, spent: &Account) -> Account {
        spent.ahead(self.limits)
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
