//! Commands that make or move something.

use crate::action::Action;
use crate::class::Class;
use crate::import_token::ImportToken;
use crate::key::Origin;
use crate::name::{DomainName, EdgeName, KeyName, SpaceName, VersionName};
use crate::revision::Revision;
use crate::space::{EdgeCode, InputType, SpaceKind};
use crate::value::Value;
use serde::Serialize;
use std::collections::BTreeMap;

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

    /// Whether the HSM makes a key for it.
    #[must_use]
    pub fn makes_material(&self) -> bool {
        match self {
            Change::Found(_)
            | Change::CreateSpace { .. }
            | Change::CreateDomain { .. }
            | Change::UpdateKey { .. }
            | Change::MoveVersion { .. }
            | Change::CreateKey {
                origin: Origin::External,
                ..
            } => false,
            Change::FoundKey { .. }
            | Change::CreateEdge { .. }
            | Change::CreateKey { .. }
            | Change::RotateKey { .. }
            | Change::ImportKey { .. } => true,
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
