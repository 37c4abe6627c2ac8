//! All resources as of one revision: what `decide` looks at.

use crate::binding::Binding;
use crate::caller::Principal;
use crate::deployment::Deployment;
use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::key::{Key, Version};
use crate::name::{DomainName, EdgeName, KeyName, SpaceName, VersionName};
use crate::revision::Revision;
use crate::space::{Domain, Edge, EdgeCode, Space};
use crate::value::{DEPLOYMENT, DocumentName, Stamped, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All resources as of one revision. Cheap to copy: the values are shared.
#[derive(Debug, Clone, Default)]
pub struct View {
    resources: BTreeMap<String, Arc<Stamped<Value>>>,
    revision: Revision,
    burnt: BTreeSet<KeyId>,
}

macro_rules! typed {
    ($($(#[$doc:meta])* $method:ident($name:ty) -> $variant:ident($value:ty);)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $method(&self, name: &$name) -> Option<(&$value, Revision)> {
            match self.resources.get(&name.to_string()).map(|s| (&s.value, s.revision)) {
                Some((Value::$variant(value), revision)) => Some((value, revision)),
                Some(_) | None => None,
            }
        })*
    };
}

impl View {
    typed! {
        /// A space.
        space(SpaceName) -> Space(Space);
        /// An identifier domain.
        domain(DomainName) -> Domain(Domain);
        /// An edge.
        edge(EdgeName) -> Edge(Edge);
        /// A key.
        key(KeyName) -> Key(Key);
        /// A version.
        version(VersionName) -> Version(Version);
    }

    /// The deployment, once `init` has made it.
    #[must_use]
    pub fn deployment(&self) -> Option<&Deployment> {
        match self.resources.get(DEPLOYMENT).map(|s| &s.value) {
            Some(Value::Deployment(deployment)) => Some(deployment),
            Some(_) | None => None,
        }
    }

    /// The deployment.
    ///
    /// # Errors
    /// `Unavailable` before `init` has made it.
    pub fn founded(&self) -> Result<&Deployment> {
        self.deployment().ok_or_else(|| {
            Error::unavailable("there is no deployment here yet; run `kms-server init`")
        })
    }

    /// The text of a document.
    #[must_use]
    pub fn document(&self, name: DocumentName) -> Option<&str> {
        match self.resources.get(name.key()).map(|s| &s.value) {
            Some(Value::Document(document)) => Some(&document.text),
            Some(_) | None => None,
        }
    }

    /// The roles of a person or service.
    #[must_use]
    pub fn binding(&self, principal: &Principal) -> Option<&Binding> {
        match self
            .resources
            .get(&format!("bindings/{principal}"))
            .map(|s| &s.value)
        {
            Some(Value::Binding(binding)) => Some(binding),
            Some(_) | None => None,
        }
    }

    /// The versions of a key, by number.
    #[must_use]
    pub fn versions(&self, key: &KeyName) -> Vec<&Version> {
        let mut versions: Vec<&Version> = self
            .under(key.versions_prefix())
            .filter_map(|s| s.value.as_version())
            .collect();
        versions.sort_by_key(|v| v.name.number());
        versions
    }

    /// The version of a key that protects.
    #[must_use]
    pub fn primary(&self, key: &Key) -> Option<&Version> {
        let number = key.primary?;
        self.version(&key.name.version(number))
            .map(|(version, _)| version)
    }

    /// What the next version of a key is called in the HSM: the number after the highest one used
    /// so far that is not burnt.
    ///
    /// # Errors
    /// `State` when there are no more numbers.
    pub fn next_id(&self, key: &Key) -> Result<KeyId> {
        let mut numbers = (key.latest..=u32::MAX).skip(1).map(|version| KeyId {
            uid: key.uid,
            version,
        });
        numbers
            .find(|id| !self.burnt.contains(id))
            .ok_or_else(|| Error::state("this key has had as many versions as there can be"))
    }

    /// Never gives this number out again: a change was given up, and whether its key is gone from
    /// the token is not known. What comes late under a burnt number is an orphan, and what is
    /// destroyed late under it is nobody's.
    pub fn burn(&mut self, id: KeyId) {
        self.burnt.insert(id);
    }

    /// The edge with this code.
    #[must_use]
    pub fn edge_of_code(&self, code: &EdgeCode) -> Option<&Edge> {
        self.all()
            .filter_map(|s| s.value.as_edge())
            .find(|edge| edge.code == *code)
    }

    /// Every space.
    pub fn spaces(&self) -> impl Iterator<Item = &Space> {
        self.all().filter_map(|s| s.value.as_space())
    }

    /// Every resource, in the order of its name.
    pub fn all(&self) -> impl Iterator<Item = &Stamped<Value>> {
        self.resources.values().map(|s| &**s)
    }

    /// Every resource whose name begins so, in the order of its name.
    pub fn under(&self, prefix: impl Into<String>) -> impl Iterator<Item = &Stamped<Value>> {
        let prefix = prefix.into();
        self.resources
            .range(prefix.clone()..)
            .take_while(move |(name, _)| name.starts_with(&prefix))
            .map(|(_, s)| &**s)
    }

    /// A resource by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Stamped<Value>> {
        self.resources.get(name).map(|s| &**s)
    }

    /// How many resources there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// The latest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Takes a committed value in.
    pub fn put(&mut self, value: Value, revision: Revision) {
        self.revision = self.revision.max(revision);
        self.resources
            .insert(value.name(), Arc::new(Stamped { value, revision }));
    }
}
