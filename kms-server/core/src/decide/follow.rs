//! Whether a person may be followed: by whom others agreed to, whom they agreed to, within the hour.

use super::asker::Asker;
use super::support::may_approve;
use crate::action::Action;
use crate::chain::Chain;
use crate::command::{Command, Use};
use crate::error::{Error, Result};
use crate::name::ChainName;
use crate::policy::Target;

/// What a command that follows a person rests on; of any other command, nothing.
pub(super) struct Follow<'a> {
    asker: &'a Asker<'a>,
    /// Whether the command follows a person.
    asked: bool,
    /// The permission, where it holds.
    chain: Option<&'a Chain>,
}

impl<'a> Follow<'a> {
    pub(super) fn of(asker: &'a Asker<'a>, command: &Command) -> Self {
        let Command::Use(Use::ChainPerson {
            edge, commitment, ..
        }) = command
        else {
            return Follow {
                asker,
                asked: false,
                chain: None,
            };
        };
        let chain = ChainName::of(commitment).ok();
        let chain = chain.and_then(|name| asker.bench.view.chain(&name));
        let chain = chain.map(|(chain, _)| chain).filter(|chain| {
            chain.edge == *edge
                && chain.commitment == *commitment
                && chain.holds(asker.principal, asker.bench.now)
        });
        Follow {
            asker,
            asked: true,
            chain,
        }
    }

    /// Whether nothing is wanting but the policy's word, however few approvals it wants.
    pub(super) fn allowed(&self) -> Result<()> {
        if self.asked && self.chain.is_none() {
            return Err(Error::state(
                "this person may not be followed, or not any more: a permission is for one person, \
                 one asker and one hour, and others must agree to it (kms pseudonym chain)",
            ));
        }
        Ok(())
    }

    /// How many of those who agreed count today.
    pub(super) fn approvals(&self, target: Target<'_>) -> u8 {
        let view = self.asker.bench.view;
        let proposal = self.chain.and_then(|chain| chain.proposal.as_ref());
        let Some((proposal, _)) = proposal.and_then(|name| view.proposal(name)) else {
            return 0;
        };
        let agreed = proposal.agreed(view, self.asker.deployment).into_iter();
        let counts =
            |custodian: &_| may_approve(self.asker, custodian, Action::ChainPerson, target);
        u8::try_from(agreed.filter(|c| counts(*c)).count()).unwrap_or(u8::MAX)
    }
}
