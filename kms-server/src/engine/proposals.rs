//! Proposals and emergencies, shown.

use super::{Engine, Reply, Seat, Standing};
use kms_core::caller::{Caller, Peer};
use kms_core::decide::sees_proposal;
use kms_core::error::{Error, Result};
use kms_core::name::ProposalName;
use kms_core::plan::{Difference, Ground, difference, plan};
use kms_core::proposal::{Proposal, ProposalState};
use kms_core::value::{Stamped, Value};
use std::sync::Arc;

impl Engine {
    /// Those that this caller may see, the latest first.
    pub(super) fn proposals(&self, seat: &Seat, caller: &Caller, waiting: bool) -> Reply {
        let bench = self.bench(seat, Self::no_uid());
        let all = seat.view.under("proposals/");
        let mut found: Vec<(Stamped<Value>, Standing)> = all
            .filter_map(|stamped| stamped.value.as_proposal().map(|p| (stamped, p)))
            .filter(|(_, proposal)| !waiting || proposal.waits(bench.now))
            .filter(|(_, proposal)| sees_proposal(bench, caller, proposal))
            .map(|(stamped, proposal)| (stamped.clone(), self.standing(seat, proposal)))
            .collect();
        found.sort_by_key(|(stamped, _)| {
            std::cmp::Reverse(stamped.value.as_proposal().map(|p| p.filed))
        });
        Reply::Proposals(found)
    }

    /// One, with what it would change: the plan of its command, as whoever filed it.
    pub(super) fn proposal(
        &self,
        seat: &Seat,
        caller: &Caller,
        name: &ProposalName,
    ) -> Result<Reply> {
        let bench = self.bench(seat, Self::no_uid());
        let stamped = seat.view.get(&name.to_string());
        let found = stamped.and_then(|s| s.value.as_proposal().map(|p| (s, p)));
        let (stamped, proposal) = found
            .filter(|(_, proposal)| sees_proposal(bench, caller, proposal))
            .ok_or_else(|| Error::not_found(name))?;
        let standing = self.standing(seat, proposal);
        let waits = proposal.waits(bench.now) && standing == Standing::AsItSays;
        let differences = match caller.peer().filter(|_| waits) {
            Some(peer) => self
                .differences(seat, peer, proposal)
                .unwrap_or_else(cannot),
            None => vec![],
        };
        Ok(Reply::Proposal(
            Box::new(stamped.clone()),
            standing,
            differences,
        ))
    }

    fn differences(
        &self,
        seat: &Seat,
        peer: &Peer,
        proposal: &Proposal,
    ) -> Result<Vec<Difference>> {
        let change = proposal.terms.change()?;
        let asker = Caller::Peer(Arc::new(peer.clone()));
        let ground = Ground {
            view: &seat.view,
            caller: &asker,
            now: self.latest(),
            steady: self.steady(),
            uses: &self.known_at_hand(),
            fresh: Self::no_uid(),
            carried: None,
        };
        difference(&seat.view, &plan(ground, &change)?)
    }

    fn standing(&self, seat: &Seat, proposal: &Proposal) -> Standing {
        if proposal.state != ProposalState::Waiting {
            Standing::AsItSays
        } else if !proposal.waits(self.latest()) {
            Standing::Expired
        } else if proposal.still_applies(&seat.view) {
            Standing::AsItSays
        } else {
            Standing::Overtaken
        }
    }

    /// Every emergency, the latest first.
    pub(super) fn emergencies(&self, seat: &Seat) -> Reply {
        let mut found: Vec<Stamped<Value>> = seat.view.under("emergencies/").cloned().collect();
        found.sort_by_key(|s| std::cmp::Reverse(s.value.as_emergency().map(|e| e.from)));
        Reply::Page(found, None)
    }
}

/// What is shown of a command that cannot be planned any more.
fn cannot(error: Error) -> Vec<Difference> {
    vec![Difference {
        resource: String::new(),
        field: "cannot be carried out".into(),
        before: String::new(),
        after: error.message().to_owned(),
    }]
}
