//! All resources as of one revision: what `decide` looks at.

use crate::backup::Backup;
use crate::binding::{Binding, OpenId};
use crate::caller::Principal;
use crate::chain::Chain;
use crate::deployment::Deployment;
use crate::destination::Destination;
use crate::emergency::Emergency;
use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::key::{Key, Version};
use crate::lifecycle::InForce;
use crate::name::{
    ChainName, DestinationName, DomainName, EdgeName, EmergencyName, KeyName, ProposalName,
    SpaceName, VersionName,
};
use crate::proposal::Proposal;
use crate::quota::{Limits, Metered, Quota, QuotaName};
use crate::revision::Revision;
use crate::space::{Domain, Edge, EdgeCode, Space};
use crate::value::{DEPLOYMENT, DocumentName, Stamped, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All resources as of one revision. Cheap to copy: the values are shared.
#[derive(Debug, Clone, Default)]
pub struct View {
    resources: BTreeMap<String, Arc<Stamped<Value>>>,
    /// Whose these other names and sign-ins are.
    aliases: BTreeMap<Principal, Principal>,
    subjects: BTreeMap<OpenId, Principal>,
    revision: Revision,
    burnt: BTreeSet<KeyId>,
    /// What quotas are on, so that a use of anything else looks no further.
    metered: BTreeSet<Metered>,
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
        /// A destination.
        destination(DestinationName) -> Destination(Destination);
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
        /// A proposal.
        proposal(ProposalName) -> Proposal(Proposal);
        /// An emergency.
        emergency(EmergencyName) -> Emergency(Emergency);
        /// A permission to follow a person.
        chain(ChainName) -> Chain(Chain);
        /// A quota.
        quota(QuotaName) -> Quota(Quota);
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

    /// The person or service that is called so: one person may have several certificates, each
    /// with a name of its own.
    #[must_use]
    pub fn who<'a>(&'a self, name: &'a Principal) -> &'a Principal {
        self.aliases.get(name).unwrap_or(name)
    }

    /// The person who signs in so at the OpenID provider.
    #[must_use]
    pub fn signed_in(&self, issuer: &str, subject: &str) -> Option<&Principal> {
        let sign_in = OpenId {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        };
        self.subjects.get(&sign_in)
    }

    /// Every binding, in the order of its principal.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.under("bindings/").filter_map(|s| s.value.as_binding())
    }

    /// Every proposal, in no particular order.
    pub fn proposals(&self) -> impl Iterator<Item = &Proposal> {
        self.under("proposals/")
            .filter_map(|s| s.value.as_proposal())
    }

    /// Every emergency, in no particular order.
    pub fn emergencies(&self) -> impl Iterator<Item = &Emergency> {
        self.under("emergencies/")
            .filter_map(|s| s.value.as_emergency())
    }

    /// Every permission to follow a person, in no particular order.
    pub fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.under("chains/").filter_map(|s| s.value.as_chain())
    }

    /// Every declared backup of the token, in no particular order.
    pub fn backups(&self) -> impl Iterator<Item = &Backup> {
        self.under("backups/").filter_map(|s| s.value.as_backup())
    }

    /// Every destination, in the order of its name.
    pub fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.under("destinations/")
            .filter_map(|s| s.value.as_destination())
    }

    /// What limits this caller's uses of this key or edge, and the quota that says so; `None`: what
    /// holds by default.
    #[must_use]
    pub fn limits(&self, on: &Metered, who: &Principal) -> (&Limits, Option<&Quota>) {
        if self.metered.contains(on) {
            for who in [Some(who.clone()), None] {
                let quota = self.quota(&QuotaName::new(on.clone(), who));
                if let Some((quota, _)) = quota.filter(|(quota, _)| !quota.limits.is_none()) {
                    return (&quota.limits, Some(quota));
                }
            }
        }
        (on.by_default(), None)
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

    /// The versions of every key of a space.
    pub fn versions_in(&self, space: &SpaceName) -> impl Iterator<Item = &Version> {
        self.under(format!("{space}/keys/"))
            .filter_map(|s| s.value.as_version())
    }

    /// The keys of a space.
    pub fn keys_in(&self, space: &SpaceName) -> impl Iterator<Item = &Key> {
        self.under(format!("{space}/keys/"))
            .filter_map(|s| s.value.as_key())
    }

    /// What holds for the life of a key's versions.
    #[must_use]
    pub fn lifecycle(&self, key: &Key) -> InForce {
        let space = self.space(key.name.space());
        let inherited = space.map(|(space, _)| space.lifecycle).unwrap_or_default();
        key.lifecycle.in_force(&inherited, key.class)
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
    /// destroyed late under it is nobody's. A version that is there and burnt can only be destroyed.
    pub fn burn(&mut self, id: KeyId) {
        self.burnt.insert(id);
    }

    /// Whether it is not known what the token holds under this id.
    #[must_use]
    pub fn is_burnt(&self, id: &KeyId) -> bool {
        self.burnt.contains(id)
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

    /// Every edge.
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        self.all().filter_map(|s| s.value.as_edge())
    }

    /// Every identifier domain.
    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.under("domains/").filter_map(|s| s.value.as_domain())
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
        if let Value::Binding(binding) = &value {
            let who = binding.principal();
            self.aliases.retain(|_, of| of != who);
            self.subjects.retain(|_, of| of != who);
            let names = binding.aliases().iter().cloned();
            self.aliases.extend(names.map(|name| (name, who.clone())));
            let sign_in = binding.openid().cloned();
            self.subjects
                .extend(sign_in.map(|sign_in| (sign_in, who.clone())));
        }
        if let Value::Quota(quota) = &value {
            self.metered.insert(quota.name.on().clone());
        }
        self.resources
            .insert(value.name(), Arc::new(Stamped { value, revision }));
    }
}
