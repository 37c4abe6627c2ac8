//! What is due and how keys stand, as one caller may see it.

use super::read::Visible;
use super::{Engine, Reply, Seat};
use kms_core::caller::{Caller, Principal};
use kms_core::due::Due;
use kms_core::error::{Error, Result};
use kms_core::name::{ProposalName, SpaceName};

impl Engine {
    /// What is due within so many milliseconds, and in which proposal it waits.
    pub(super) async fn due(&self, seat: &Seat, caller: &Caller, horizon: u64) -> Result<Reply> {
        let known = self.known(&seat.view).await?;
        let outlook = self.outlook(seat, &known);
        let mut visible = self.visible(seat, caller)?;
        let all = outlook.due(outlook.now.plus_millis(horizon));
        let mine = all
            .into_iter()
            .filter(|due| {
                SpaceName::of_resource(&due.resource).is_some_and(|space| visible.space(&space))
            })
            .map(|due| {
                let waits = self.waits_in(seat, &due)?;
                Ok((due, waits))
            });
        Ok(Reply::Due(mine.collect::<Result<_>>()?, outlook.now))
    }

    /// Every key that callers use, against its policy.
    pub(super) async fn report(
        &self,
        seat: &Seat,
        caller: &Caller,
        space: Option<&SpaceName>,
    ) -> Result<Reply> {
        if let Some(space) = space.filter(|space| seat.view.space(space).is_none()) {
            return Err(Error::not_found(space));
        }
        let known = self.known(&seat.view).await?;
        let outlook = self.outlook(seat, &known);
        let mut visible = self.visible(seat, caller)?;
        let mut keys = outlook.report();
        keys.retain(|key| {
            let of = key.name.space();
            space.is_none_or(|space| space == of) && visible.space(of)
        });
        Ok(Reply::Report(keys, outlook.now))
    }

    fn visible<'a>(&self, seat: &'a Seat, caller: &'a Caller) -> Result<Visible<'a>> {
        let mut visible = Visible::new(self.bench(seat, Self::no_uid()), caller);
        visible.demand()?;
        Ok(visible)
    }

    /// The proposal of the service's own in which this waits.
    fn waits_in(&self, seat: &Seat, due: &Due) -> Result<Option<ProposalName>> {
        let Some(change) = due.change()? else {
            return Ok(None);
        };
        let (text, now) = (change.text()?, self.latest());
        let mut proposals = seat.view.proposals();
        let found = proposals.find(|p| {
            Principal::is_scheduler(&p.terms.proposer) && p.terms.command == text && p.waits(now)
        });
        Ok(found.map(|p| p.terms.name.clone()))
    }
}
