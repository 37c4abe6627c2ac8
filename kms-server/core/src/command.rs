//! Everything that can be asked.

use crate::action::Action;
use crate::class::Class;
use crate::envelope::EncryptionContext;
use crate::import_token::ImportToken;
use crate::key::{Origin, Wrapping};
use crate::name::{DomainName, EdgeName, KeyName, SpaceName, VersionName};
use crate::pseudonym::Identifier;
use crate::revision::Revision;
use crate::space::{EdgeCode, InputType, SpaceKind};
use crate::value::Value;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// A command: it changes what is, uses a key, or reads.
#[derive(Debug)]
pub enum Command {
    /// Makes or moves something: intention and outcome go into the changes log.
    Change(Change),
    /// Uses keys: one record in the uses log.
    Use(Use),
    /// Shows what is: one record in the uses log.
    Read(Read),
}

/// A command that makes or moves something.
#[derive(Debug, Clone, Serialize)]
pub enum Change {
    /// Puts one of the first values of a new deployment; `init` alone asks it.
    Found(Box<Value>),
    /// Declares the deployment's own key and makes it; `init` alone asks it.
    FoundKey {
        /// Its name.
        name: KeyName,
        /// One of the service classes.
        class: Class,
    },
    /// Declares a space.
    CreateSpace {
        /// Its name.
        name: SpaceName,
        /// For people.
        title: String,
        /// What it is for.
        kind: SpaceKind,
    },
    /// Declares an identifier domain.
    CreateDomain {
        /// Its name.
        name: DomainName,
        /// For people.
        title: String,
        /// The space whose pseudonyms it holds.
        source: Option<SpaceName>,
    },
    /// Declares an edge and makes its key.
    CreateEdge {
        /// Its name.
        name: EdgeName,
        /// How its pseudonyms begin.
        code: EdgeCode,
        /// What it evaluates.
        input: InputType,
        /// Whether its key may one day leave, wrapped.
        exportable: bool,
    },
    /// Declares a key and, unless its material comes from outside, makes its first version.
    CreateKey {
        /// Its name.
        name: KeyName,
        /// Its class.
        class: Class,
        /// For people.
        title: String,
        /// Where its material comes from.
        origin: Origin,
        /// Whether it may one day leave, wrapped.
        exportable: bool,
        /// Of the owner's choice.
        labels: BTreeMap<String, String>,
    },
    /// Changes title or labels.
    UpdateKey {
        /// Its name.
        name: KeyName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// The new title.
        title: Option<String>,
        /// The new labels, all of them.
        labels: Option<BTreeMap<String, String>>,
    },
    /// Makes a new version.
    RotateKey {
        /// The key.
        name: KeyName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// Why.
        reason: String,
        /// Whether to hold it back.
        pre_active: bool,
    },
    /// Moves a version from one state to another.
    MoveVersion {
        /// The version.
        name: VersionName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// Which transition: an action with a destination.
        transition: Action,
        /// Why.
        reason: String,
        /// For a suspension: whether it may go on to process.
        keep_processing: bool,
    },
    /// Unwraps outside material inside the HSM, as a new version.
    ImportKey {
        /// The key.
        name: KeyName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// What the import token says; its code is verified before it is believed.
        #[serde(skip)]
        token: ImportToken,
        /// Its authentication code.
        mac: [u8; 32],
        /// The wrapped material.
        wrapped: Vec<u8>,
        /// Why.
        reason: String,
    },
}

/// A command that uses keys.
#[derive(Debug)]
pub enum Use {
    /// Encrypts each item under the key's primary version.
    Encrypt {
        /// The key.
        key: KeyName,
        /// What to protect.
        items: Vec<Plain>,
    },
    /// Decrypts each item, if this key protected it.
    Decrypt {
        /// The key.
        key: KeyName,
        /// What was protected.
        items: Vec<Sealed>,
    },
    /// Moves each item to the key's primary version.
    ReEncrypt {
        /// The key.
        key: KeyName,
        /// What was protected.
        items: Vec<Sealed>,
    },
    /// Makes a data key for each item.
    GenerateDataKey {
        /// The key that wraps them.
        key: KeyName,
        /// What to make.
        items: Vec<DataKey>,
        /// Whether to show the plaintexts.
        reveal: bool,
    },
    /// Evaluates identifiers along an edge. What is not of the edge's type has its own error.
    Pseudonymise {
        /// The edge.
        edge: EdgeName,
        /// The identifiers, or why one is none.
        identifiers: Vec<crate::Result<Identifier>>,
    },
    /// A public key to wrap outside material with, and its import token.
    GetImportParameters {
        /// The key that will receive it.
        key: KeyName,
        /// The key that will unwrap it.
        wrapping: KeyName,
        /// How it will be wrapped.
        mechanism: Wrapping,
    },
    /// Bytes of the HSM's generator.
    GenerateRandom {
        /// How many.
        length: usize,
    },
}

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

/// A plaintext and what it is to be bound to.
pub struct Plain {
    /// The plaintext.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// Or why it is none.
    pub context: crate::Result<EncryptionContext>,
}

/// A ciphertext and what it was bound to.
pub struct Sealed {
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// Or why it is none.
    pub context: crate::Result<EncryptionContext>,
}

/// A data key to make.
#[derive(Debug)]
pub struct DataKey {
    /// In bytes, or why that is no length.
    pub length: crate::Result<usize>,
    /// Or why it is none.
    pub context: crate::Result<EncryptionContext>,
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain { redacted }")
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed { redacted }")
    }
}

impl Command {
    /// Its name in policy and audit.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Command::Change(change) => change.action(),
            Command::Use(usage) => usage.action(),
            Command::Read(read) => read.action(),
        }
    }

    /// The resource that it is about, for the record: its sort and its name.
    #[must_use]
    pub fn resource(&self) -> (&'static str, String) {
        match self {
            Command::Change(change) => change.resource(),
            Command::Use(usage) => usage.resource(),
            Command::Read(read) => read.resource(),
        }
    }
}

impl Change {
    /// Its name in policy and audit.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Change::Found(_) | Change::FoundKey { .. } => Action::Initialise,
            Change::CreateSpace { .. } => Action::CreateSpace,
            Change::CreateDomain { .. } => Action::CreateDomain,
            Change::CreateEdge { .. } => Action::CreateEdge,
            Change::CreateKey { .. } => Action::CreateKey,
            Change::UpdateKey { .. } => Action::UpdateKey,
            Change::RotateKey { .. } => Action::RotateKey,
            Change::MoveVersion { transition, .. } => *transition,
            Change::ImportKey { .. } => Action::ImportKey,
        }
    }

    /// The resource that it is about.
    #[must_use]
    pub fn resource(&self) -> (&'static str, String) {
        match self {
            Change::Found(value) => (value.sort(), value.name()),
            Change::FoundKey { name, .. }
            | Change::CreateKey { name, .. }
            | Change::UpdateKey { name, .. }
            | Change::RotateKey { name, .. }
            | Change::ImportKey { name, .. } => ("key", name.to_string()),
            Change::CreateSpace { name, .. } => ("space", name.to_string()),
            Change::CreateDomain { name, .. } => ("domain", name.to_string()),
            Change::CreateEdge { name, .. } => ("edge", name.to_string()),
            Change::MoveVersion { name, .. } => ("version", name.to_string()),
        }
    }
}

impl Use {
    /// Its name in policy and audit.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Use::Encrypt { .. } => Action::Encrypt,
            Use::Decrypt { .. } => Action::Decrypt,
            Use::ReEncrypt { .. } => Action::ReEncrypt,
            Use::GenerateDataKey { reveal: true, .. } => Action::GenerateDataKey,
            Use::GenerateDataKey { reveal: false, .. } => Action::GenerateDataKeyWithoutPlaintext,
            Use::Pseudonymise { .. } => Action::Pseudonymise,
            Use::GetImportParameters { .. } => Action::GetImportParameters,
            Use::GenerateRandom { .. } => Action::GenerateRandom,
        }
    }

    /// The resource that it is about.
    #[must_use]
    pub fn resource(&self) -> (&'static str, String) {
        match self {
            Use::Encrypt { key, .. }
            | Use::Decrypt { key, .. }
            | Use::ReEncrypt { key, .. }
            | Use::GenerateDataKey { key, .. }
            | Use::GetImportParameters { key, .. } => ("key", key.to_string()),
            Use::Pseudonymise { edge, .. } => ("edge", edge.to_string()),
            Use::GenerateRandom { .. } => ("deployment", crate::value::DEPLOYMENT.into()),
        }
    }

    /// How many items it asks for.
    #[must_use]
    pub fn items(&self) -> usize {
        match self {
            Use::Encrypt { items, .. } => items.len(),
            Use::Decrypt { items, .. } | Use::ReEncrypt { items, .. } => items.len(),
            Use::GenerateDataKey { items, .. } => items.len(),
            Use::Pseudonymise { identifiers, .. } => identifiers.len(),
            Use::GetImportParameters { .. } | Use::GenerateRandom { .. } => 1,
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
