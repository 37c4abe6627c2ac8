//! The nine roles.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A role; what it may do is in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Protects and processes with the data-at-rest keys of its spaces.
    DataService,
    /// Processes only, in its spaces.
    DataReader,
    /// Imports into and protects in its ingest spaces.
    IngestService,
    /// Evaluates the edges that it is bound to.
    Pseudonymiser,
    /// Declares spaces, edges and keys.
    SpaceSteward,
    /// Creates, rotates, suspends, resumes, deactivates; never sees a plaintext.
    KeyOperator,
    /// Approves or rejects proposals.
    KeyCustodian,
    /// HSM, policy, backup.
    HsmOfficer,
    /// Reads and verifies; changes nothing.
    Auditor,
}

/// What a role is granted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Spaces, each by its name.
    Spaces,
    /// Spaces by name, or `*` for all.
    SpacesOrAll,
    /// Edges, each by its name.
    Edges,
    /// The deployment: nothing to name.
    Deployment,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 9] = [
        Role::DataService,
        Role::DataReader,
        Role::IngestService,
        Role::Pseudonymiser,
        Role::SpaceSteward,
        Role::KeyOperator,
        Role::KeyCustodian,
        Role::HsmOfficer,
        Role::Auditor,
    ];

    /// Its name in bindings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::DataService => "data-service",
            Role::DataReader => "data-reader",
            Role::IngestService => "ingest-service",
            Role::Pseudonymiser => "pseudonymiser",
            Role::SpaceSteward => "space-steward",
            Role::KeyOperator => "key-operator",
            Role::KeyCustodian => "key-custodian",
            Role::HsmOfficer => "hsm-officer",
            Role::Auditor => "auditor",
        }
    }

    /// The name of the principal's attribute that holds its grants, in the policy's schema.
    #[must_use]
    pub fn attribute(self) -> &'static str {
        match self {
            Role::DataService => "dataService",
            Role::DataReader => "dataReader",
            Role::IngestService => "ingestService",
            Role::Pseudonymiser => "pseudonymiser",
            Role::SpaceSteward => "spaceSteward",
            Role::KeyOperator => "keyOperator",
            Role::KeyCustodian => "keyCustodian",
            Role::HsmOfficer => "hsmOfficer",
            Role::Auditor => "auditor",
        }
    }

    /// What it is granted on.
    #[must_use]
    pub fn scope(self) -> Scope {
        match self {
            Role::DataService | Role::DataReader | Role::IngestService => Scope::Spaces,
            Role::SpaceSteward => Scope::SpacesOrAll,
            Role::Pseudonymiser => Scope::Edges,
            Role::KeyOperator | Role::KeyCustodian | Role::HsmOfficer | Role::Auditor => {
                Scope::Deployment
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
