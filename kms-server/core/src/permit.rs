//! Proof that `decide` said yes.

use crate::action::Action;
use crate::id::KeyId;
use crate::name::ProposalName;
use crate::revision::Revision;

/// The closed list of what the service does of its own accord with the HSM. It is counted, not
/// recorded, so that signing a checkpoint does not record itself for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SystemOp {
    /// Finds out what the token can do, on session objects.
    Probe,
    /// Makes sure that a key is still the key that it was.
    KnownAnswerTest,
    /// Is the token there?
    Health,
    /// Nonces, names of keys.
    Random,
    /// Looks at the token's objects, to settle what a crash left open.
    Recovery,
    /// Signing the receipt of an import that is recorded.
    Receipt,
}

/// Proof that `decide` said yes: to which action, on which versions, as of which revision of the
/// store. Only `decide` makes one; whatever touches the HSM takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    grant: Grant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Grant {
    #[cfg_attr(
        not(feature = "policy"),
        allow(dead_code, reason = "only `decide` makes one, and a client has none")
    )]
    Asked {
        action: Action,
        ids: Vec<KeyId>,
        revision: Revision,
        policies: Vec<String>,
        proposal: Option<ProposalName>,
        emergency: bool,
    },
    System(SystemOp),
}

impl Permit {
    /// For `decide` alone.
    #[cfg(feature = "policy")]
    pub(crate) fn asked(
        action: Action,
        ids: Vec<KeyId>,
        revision: Revision,
        policies: Vec<String>,
    ) -> Self {
        Permit {
            grant: Grant::Asked {
                action,
                ids,
                revision,
                policies,
                proposal: None,
                emergency: false,
            },
        }
    }

    /// For `decide` alone: the proposal that carries it, and whether only an emergency allows it.
    #[cfg(feature = "policy")]
    pub(crate) fn carrying(mut self, carried: Option<ProposalName>, only: bool) -> Self {
        if let Grant::Asked {
            proposal,
            emergency,
            ..
        } = &mut self.grant
        {
            *proposal = carried;
            *emergency = only;
        }
        self
    }

    /// The proposal that it carries out.
    #[must_use]
    pub fn proposal(&self) -> Option<&ProposalName> {
        match &self.grant {
            Grant::Asked { proposal, .. } => proposal.as_ref(),
            Grant::System(_) => None,
        }
    }

    /// Whether only a declared emergency allows it.
    #[must_use]
    pub fn emergency(&self) -> bool {
        match &self.grant {
            Grant::Asked { emergency, .. } => *emergency,
            Grant::System(_) => false,
        }
    }

    /// For what the service does of its own accord.
    #[must_use]
    pub fn system(op: SystemOp) -> Self {
        Permit {
            grant: Grant::System(op),
        }
    }

    /// Whether it reaches this version. A system permit reaches none, but for looking.
    #[must_use]
    pub fn covers(&self, id: &KeyId) -> bool {
        match &self.grant {
            Grant::Asked { ids, .. } => ids.contains(id),
            Grant::System(op) => match op {
                SystemOp::KnownAnswerTest | SystemOp::Recovery | SystemOp::Receipt => true,
                SystemOp::Probe | SystemOp::Health | SystemOp::Random => false,
            },
        }
    }

    /// The action, or `None` for the service's own.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        match &self.grant {
            Grant::Asked { action, .. } => Some(*action),
            Grant::System(_) => None,
        }
    }

    /// The store's revision that it was decided on.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        match &self.grant {
            Grant::Asked { revision, .. } => Some(*revision),
            Grant::System(_) => None,
        }
    }

    /// The policies that said yes, for the record.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        match &self.grant {
            Grant::Asked { policies, .. } => policies,
            Grant::System(_) => &[],
        }
    }
}
