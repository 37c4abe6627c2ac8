//! What the store holds: one value for each resource, under the resource's own name.

use crate::backup::Backup;
use crate::binding::Binding;
use crate::chain::Chain;
use crate::deployment::Deployment;
use crate::destination::Destination;
use crate::emergency::Emergency;
use crate::error::{Error, Result};
use crate::key::{Key, Version};
use crate::proposal::Proposal;
use crate::quota::Quota;
use crate::rebuild::Rebuild;
use crate::revision::Revision;
use crate::space::{Domain, Edge, Space};
use serde::{Deserialize, Serialize};

/// The longest encoded value, in bytes: it must fit into one entry of the log. A proposal to replace
/// schema and policy holds both.
pub const VALUE_MAX: usize = 40 * 1024;

/// The longest document, in bytes.
pub const DOCUMENT_MAX: usize = 16 * 1024;

/// A value of the store, outside `local/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Value {
    /// `deployment`.
    Deployment(Deployment),
    /// `documents/{document}`.
    Document(Document),
    /// `bindings/{principal}`.
    Binding(Binding),
    /// `spaces/{space}`.
    Space(Space),
    /// `domains/{domain}`.
    Domain(Domain),
    /// `spaces/{target}/edges/{domain}`.
    Edge(Edge),
    /// `spaces/{space}/keys/{key}`.
    Key(Key),
    /// `spaces/{space}/keys/{key}/versions/{n}`.
    Version(Version),
    /// `proposals/{proposal}`.
    Proposal(Proposal),
    /// `emergencies/{emergency}`.
    Emergency(Emergency),
    /// `{key or edge}/quotas/{caller}`.
    Quota(Quota),
    /// `backups/{backup}`.
    Backup(Backup),
    /// `chains/{chain}`.
    Chain(Chain),
    /// `rebuilds/{rebuild}`.
    Rebuild(Rebuild),
    /// `destinations/{destination}`.
    Destination(Destination),
}

/// A document of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Which.
    pub document: DocumentName,
    /// Its text.
    pub text: String,
}

/// The documents there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentName {
    /// What entities and actions there are.
    Schema,
    /// Who may do what.
    Policy,
}

/// The store's key of the deployment.
pub const DEPLOYMENT: &str = "deployment";

impl Value {
    /// The store's key of this value.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Value::Deployment(_) => DEPLOYMENT.into(),
            Value::Document(document) => document.document.key().into(),
            Value::Binding(binding) => format!("bindings/{}", binding.principal()),
            Value::Space(space) => space.name.to_string(),
            Value::Domain(domain) => domain.name.to_string(),
            Value::Edge(edge) => edge.name.to_string(),
            Value::Key(key) => key.name.to_string(),
            Value::Version(version) => version.name.to_string(),
            Value::Proposal(proposal) => proposal.terms.name.to_string(),
            Value::Emergency(emergency) => emergency.name.to_string(),
            Value::Quota(quota) => quota.name.to_string(),
            Value::Backup(backup) => backup.name.to_string(),
            Value::Chain(chain) => chain.name.to_string(),
            Value::Rebuild(rebuild) => rebuild.name.to_string(),
            Value::Destination(destination) => destination.name.to_string(),
        }
    }

    /// The sort of resource, for people.
    #[must_use]
    pub fn sort(&self) -> &'static str {
        match self {
            Value::Deployment(_) => "deployment",
            Value::Document(_) => "document",
            Value::Binding(_) => "binding",
            Value::Space(_) => "space",
            Value::Domain(_) => "domain",
            Value::Edge(_) => "edge",
            Value::Key(_) => "key",
            Value::Version(_) => "version",
            Value::Proposal(_) => "proposal",
            Value::Emergency(_) => "emergency",
            Value::Quota(_) => "quota",
            Value::Backup(_) => "backup",
            Value::Chain(_) => "chain",
            Value::Rebuild(_) => "rebuild",
            Value::Destination(_) => "destination",
        }
    }

    /// The bytes that the store holds: JSON, fields in the order of their declaration.
    ///
    /// # Errors
    /// `Invalid` when it is longer than a value may be.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let bytes = serde_json::to_vec(self).map_err(|e| Error::internal(e.to_string()))?;
        if bytes.len() <= VALUE_MAX {
            Ok(bytes)
        } else {
            let sentence = format!(
                "{} would be longer than 40 KiB; make it shorter",
                self.name()
            );
            Err(Error::invalid(self.sort(), sentence))
        }
    }

    /// The value of these bytes.
    ///
    /// # Errors
    /// `Internal` when they are not a value: the store was written by something else.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|e| Error::internal(format!("a stored value: {e}")))
    }
}

macro_rules! as_one {
    ($($(#[$doc:meta])* $method:ident -> $variant:ident($value:ty);)*) => {
        impl Value {
            $($(#[$doc])*
            #[must_use]
            pub fn $method(&self) -> Option<&$value> {
                if let Value::$variant(value) = self { Some(value) } else { None }
            })*
        }
    };
}

as_one! {
    /// The space, if it is one.
    as_space -> Space(Space);
    /// The domain, if it is one.
    as_domain -> Domain(Domain);
    /// The edge, if it is one.
    as_edge -> Edge(Edge);
    /// The key, if it is one.
    as_key -> Key(Key);
    /// The version, if it is one.
    as_version -> Version(Version);
    /// The binding, if it is one.
    as_binding -> Binding(Binding);
    /// The proposal, if it is one.
    as_proposal -> Proposal(Proposal);
    /// The emergency, if it is one.
    as_emergency -> Emergency(Emergency);
    /// The quota, if it is one.
    as_quota -> Quota(Quota);
    /// The backup, if it is one.
    as_backup -> Backup(Backup);
    /// The permission to follow a person, if it is one.
    as_chain -> Chain(Chain);
    /// The destination, if it is one.
    as_destination -> Destination(Destination);
}

impl DocumentName {
    /// The store's key of this document.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            DocumentName::Schema => "documents/schema",
            DocumentName::Policy => "documents/policy",
        }
    }
}

/// A value and the store's revision of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// The value.
    pub value: T,
    /// Its revision.
    pub revision: Revision,
}
