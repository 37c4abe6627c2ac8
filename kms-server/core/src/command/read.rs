//! Commands that show what is.

use crate::action::Action;
use crate::name::{DomainName, EdgeName, KeyName, SpaceName, VersionName};

/// A command that shows what is.
#[derive(Debug, Clone)]
pub enum Read {
    /// One resource, by its name.
    Resource(Named),
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
            Read::Resource(_) | Read::List { .. } => Action::ReadInventory,
            Read::Deployment => Action::ReadDeployment,
            Read::Hsm => Action::ReadHsm,
            Read::Logs | Read::Entries { .. } => Action::ReadAudit,
        }
    }

    /// The resource that it is about.
    #[must_use]
    pub fn resource(&self) -> (&'static str, String) {
        match self {
            Read::Resource(Named::Space(name)) => ("space", name.to_string()),
            Read::Resource(Named::Domain(name)) => ("domain", name.to_string()),
            Read::Resource(Named::Edge(name)) => ("edge", name.to_string()),
            Read::Resource(Named::Key(name)) => ("key", name.to_string()),
            Read::Resource(Named::Version(name)) => ("version", name.to_string()),
            Read::List { space, key, .. } => match (key, space) {
                (Some(key), _) => ("key", key.to_string()),
                (None, Some(space)) => ("space", space.to_string()),
                (None, None) => ("deployment", crate::value::DEPLOYMENT.into()),
            },
            Read::Entries { log, .. } => ("log", log.name().into()),
            Read::Deployment | Read::Hsm | Read::Logs => {
                ("deployment", crate::value::DEPLOYMENT.into())
            }
        }
    }
}
