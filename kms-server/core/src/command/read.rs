//! Commands that show what is.

use crate::action::Action;
use crate::binding::Binding;
use crate::caller::Principal;
use crate::name::{DomainName, EdgeName, KeyName, ProposalName, Slug, SpaceName, VersionName};
use crate::quota::Metered;
use crate::time::Time;
use std::net::IpAddr;

/// A command that shows what is.
#[derive(Debug, Clone)]
pub enum Read {
    /// One resource, by its name.
    Resource(Named),
    /// How a version was used.
    Usage(VersionName),
    /// Resources of one sort under a parent.
    List {
        /// Which sort.
        sort: Sort,
        /// `None` for every space.
        space: Option<SpaceName>,
        /// For versions: `None` for every key.
        key: Option<KeyName>,
        /// After this name.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// An edge's latest renewal campaign, and what has to be renewed after it.
    Renewal(EdgeName),
    /// What is due.
    Due {
        /// So far ahead, in milliseconds.
        horizon: u64,
    },
    /// Every key against its policy.
    Report {
        /// `None` for every space.
        space: Option<SpaceName>,
    },
    /// Proposals, the latest first.
    Proposals {
        /// Only those that still wait.
        waiting: bool,
    },
    /// What a proposal would change, as things are now.
    Proposal(ProposalName),
    /// Emergencies, the latest first.
    Emergencies,
    /// The documents of the policy, and every binding.
    Policy,
    /// Every policy and binding that there was.
    History,
    /// Who may do what, and why.
    Access(AccessQuery),
    /// How much a caller may ask of a key or an edge, and how much is left of it.
    Allowance {
        /// Of what.
        on: Metered,
        /// Whose; `None`: the one's who asks.
        who: Option<Principal>,
    },
    /// The declared backups of the token, the latest first.
    Backups,
    /// The HSMs that exportable keys may leave for, by name.
    Destinations,
    /// What this deployment is.
    Deployment,
    /// The HSM's state.
    Hsm,
    /// How long the logs are.
    Logs,
    /// Entries of a log.
    Entries {
        /// Which.
        log: LogName,
        /// The first index.
        from: u64,
        /// At most so many.
        limit: usize,
    },
}

/// A question about who may do what.
#[derive(Debug, Clone)]
pub struct AccessQuery {
    /// Documents to judge by instead of those in force: what would be, not what is.
    pub candidate: Option<Box<Rules>>,
    /// What is asked.
    pub asked: Asked,
}

/// What is asked about access.
#[derive(Debug, Clone)]
pub enum Asked {
    /// Everything that everyone may do.
    Review,
    /// Whether these may do that, and by which policies: one answer for each.
    May(Vec<MayQuery>),
}

/// May this principal do this to that?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MayQuery {
    /// Who.
    pub principal: Principal,
    /// What.
    pub action: Action,
    /// To what: the name of a resource, or `deployment`.
    pub on: String,
    /// What they state as their purpose.
    pub purpose: Option<Slug>,
    /// How many have approved.
    pub approvals: u8,
    /// When they ask; `None`: now.
    pub at: Option<Time>,
    /// From where they come; `None`: from nowhere, which is in no network.
    pub source: Option<IpAddr>,
}

/// Documents that judge: `None` for what is in force.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The schema.
    pub schema: Option<String>,
    /// The policy.
    pub policy: Option<String>,
    /// Bindings that replace those of the same people and services.
    pub bindings: Vec<Binding>,
}

/// A resource, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A space.
    Space(SpaceName),
    /// An identifier domain.
    Domain(DomainName),
    /// An edge.
    Edge(EdgeName),
    /// A key.
    Key(KeyName),
    /// A version.
    Version(VersionName),
}

/// The sorts of resource that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Spaces.
    Spaces,
    /// Identifier domains.
    Domains,
    /// Edges.
    Edges,
    /// Keys.
    Keys,
    /// Versions.
    Versions,
    /// Quotas that were set.
    Quotas,
}

/// The two logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogName {
    /// What changed.
    Changes,
    /// What was used, read or refused.
    Uses,
}

impl LogName {
    /// Its name, also of its directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LogName::Changes => "changes",
            LogName::Uses => "uses",
        }
    }
}

impl Read {
    /// Its name in policy and audit.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Read::Resource(_)
            | Read::Usage(_)
            | Read::Renewal(_)
            | Read::List { .. }
            | Read::Due { .. }
            | Read::Report { .. }
            | Read::Proposals { .. }
            | Read::Proposal(_)
            | Read::Allowance { .. } => Action::ReadInventory,
            Read::Emergencies | Read::Policy | Read::History | Read::Access(_) => {
                Action::ReadPolicy
            }
            Read::Deployment => Action::ReadDeployment,
            Read::Hsm | Read::Backups | Read::Destinations => Action::ReadHsm,
            Read::Logs | Read::Entries { .. } => Action::ReadAudit,
        }
    }

    /// The resource that it is about.
    #[must_use]
    pub fn resource(&self) -> (&'static str, String) {
        match self {
            Read::Resource(Named::Space(name)) => ("space", name.to_string()),
            Read::Resource(Named::Domain(name)) => ("domain", name.to_string()),
            Read::Resource(Named::Edge(name)) | Read::Renewal(name) => ("edge", name.to_string()),
            Read::Resource(Named::Key(name)) => ("key", name.to_string()),
            Read::Resource(Named::Version(name)) | Read::Usage(name) => {
                ("version", name.to_string())
            }
            Read::List { space, key, .. } => match (key, space) {
                (Some(key), _) => ("key", key.to_string()),
                (None, Some(space)) => ("space", space.to_string()),
                (None, None) => ("deployment", crate::value::DEPLOYMENT.into()),
            },
            Read::Report { space: Some(name) } => ("space", name.to_string()),
            Read::Entries { log, .. } => ("log", log.name().into()),
            Read::Proposal(name) => ("proposal", name.to_string()),
            Read::Allowance { on, .. } => (on.sort(), on.to_string()),
            Read::Due { .. }
            | Read::Report { space: None }
            | Read::Backups
            | Read::Destinations
            | Read::Deployment
            | Read::Hsm
            | Read::Logs
            | Read::Proposals { .. }
            | Read::Emergencies
            | Read::Policy
            | Read::History
            | Read::Access(_) => ("deployment", crate::value::DEPLOYMENT.into()),
        }
    }
}
