//! Commands that make or move something.

use super::Wrapped;
use crate::action::Action;
use crate::binding::Binding;
use crate::caller::Principal;
use crate::certificate::Scheme;
use crate::chain::Commitment;
use crate::class::Class;
use crate::destination::WrappingKey;
use crate::import_token::ImportToken;
use crate::key::{Intake, Origin, Study, Wrapping};
use crate::lifecycle::Lifecycle;
use crate::name::{
    DestinationName, DomainName, EdgeName, EmergencyName, KeyName, ProposalName, SpaceName,
    VersionName,
};
use crate::quota::{Limits, QuotaName};
use crate::rebuild::Found;
use crate::renewal::Mode;
use crate::revision::Revision;
use crate::space::{EdgeCode, InputType, SpaceKind};
use crate::time::Time;
use crate::value::Value;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A command that makes or moves something.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// Records that the store was rebuilt, holds what could not be proved, and destroys again what
    /// the log saw destroyed; `rebuild` alone asks it.
    Rebuild(Box<Found>),
    /// Declares a space.
    CreateSpace {
        /// Its name.
        name: SpaceName,
        /// For people.
        title: String,
        /// What it is for.
        kind: SpaceKind,
        /// What it says of the life of its keys' versions.
        #[serde(default, skip_serializing_if = "Lifecycle::is_silent")]
        lifecycle: Lifecycle,
    },
    /// Changes title or lifecycle of a space.
    UpdateSpace {
        /// Its name.
        name: SpaceName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// The new title.
        title: Option<String>,
        /// What it says now of the life of its keys' versions.
        lifecycle: Option<Lifecycle>,
    },
    /// Archives a space: nothing new is protected in it.
    ArchiveSpace {
        /// Its name.
        name: SpaceName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// Why.
        reason: String,
    },
    /// Sets the day on which the keys of an archived space are erased.
    DecommissionSpace {
        /// Its name.
        name: SpaceName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// Why.
        reason: String,
    },
    /// Takes that back.
    KeepSpace {
        /// Its name.
        name: SpaceName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// Why.
        reason: String,
    },
    /// Destroys every key of a space whose day has come.
    EraseSpace {
        /// Its name.
        name: SpaceName,
        /// Why.
        reason: String,
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
        /// The study that it serves, if it is bound to one.
        study: Option<Study>,
        /// What it says of the life of its versions.
        #[serde(default, skip_serializing_if = "Lifecycle::is_silent")]
        lifecycle: Lifecycle,
        /// Of a wrapping key: what it takes in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        intake: Option<Intake>,
    },
    /// Changes title, labels, study or lifecycle.
    UpdateKey {
        /// Its name.
        name: KeyName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// The new title.
        title: Option<String>,
        /// The new labels, all of them.
        labels: Option<BTreeMap<String, String>>,
        /// The new study; `Some(None)` binds it to none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        study: Option<Option<Study>>,
        /// What it says now of the life of its versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lifecycle: Option<Lifecycle>,
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
    /// Sets the day on which a version is destroyed. Until then it does nothing.
    ScheduleDestruction {
        /// The version.
        name: VersionName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// How long it waits, in milliseconds.
        waiting: u64,
        /// Whether it goes although it was used lately.
        force: bool,
        /// Why.
        reason: String,
    },
    /// Takes the day of destruction back.
    CancelDestruction {
        /// The version.
        name: VersionName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// Why.
        reason: String,
    },
    /// Lets compromised versions process, for re-wrapping alone.
    StartRewrap {
        /// The key.
        name: KeyName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// The numbers of the versions.
        versions: Vec<u32>,
        /// For how long at the most, in milliseconds.
        lasting: u64,
        /// Why.
        reason: String,
    },
    /// Ends that.
    FinishRewrap {
        /// The key.
        name: KeyName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// Why.
        reason: String,
    },
    /// Starts a renewal campaign: makes the successor and the key that seals translation tables.
    StartRenewal {
        /// The edge.
        name: EdgeName,
        /// What the caller saw of the edge's key.
        etag: Option<Revision>,
        /// What the new pseudonyms are evaluated from.
        mode: Mode,
        /// The services that may translate.
        translators: Vec<Principal>,
        /// How many rows they may translate, at the most.
        expected: u64,
        /// For how long they may at the most, in milliseconds.
        lasting: u64,
        /// Why.
        reason: String,
    },
    /// Records what was verified of a translation.
    VerifyRenewal {
        /// The edge.
        name: EdgeName,
        /// What the caller saw of the edge's key.
        etag: Option<Revision>,
        /// How many rows were translated.
        rows: u64,
        /// How many of them were translated again and came out the same.
        sampled: u64,
    },
    /// Makes the successor primary.
    Cutover {
        /// The edge.
        name: EdgeName,
        /// What the caller saw of the edge's key.
        etag: Option<Revision>,
        /// Why.
        reason: String,
    },
    /// Ends a renewal campaign, and destroys what nobody needs any more.
    FinishRenewal {
        /// The edge.
        name: EdgeName,
        /// What the caller saw of the edge's key.
        etag: Option<Revision>,
        /// Whether it is given up before the cutover: the successor is destroyed.
        abandon: bool,
        /// Why.
        reason: String,
    },
    /// Unwraps outside material inside the HSM, as a new version.
    ImportKey {
        /// The key.
        name: KeyName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// What the import token says; its code is verified before it is believed.
        token: ImportToken,
        /// Its authentication code and the wrapped material.
        wrapped: Wrapped,
        /// Why.
        reason: String,
    },
    /// Agrees to a proposal.
    Approve {
        /// Which.
        proposal: ProposalName,
        /// How it is signed.
        scheme: Scheme,
        /// The signature over its terms.
        signature: Vec<u8>,
        /// Why.
        reason: String,
    },
    /// Turns a proposal down.
    Reject {
        /// Which.
        proposal: ProposalName,
        /// Why.
        reason: String,
    },
    /// Takes one's own proposal back.
    Withdraw {
        /// Which.
        proposal: ProposalName,
        /// Why.
        reason: String,
    },
    /// Replaces the policy.
    PutPolicy {
        /// What the caller saw.
        etag: Option<Revision>,
        /// The new schema, if it changes.
        schema: Option<String>,
        /// The new policy, if it changes.
        policy: Option<String>,
        /// Why.
        reason: String,
    },
    /// Replaces what these people and services are bound to; a binding without roles takes all
    /// of them away.
    PutBindings {
        /// The new bindings.
        bindings: Vec<Binding>,
        /// Why.
        reason: String,
    },
    /// Sets how much one caller, or each, may ask of a key or an edge; without limits, takes back
    /// what was set.
    PutQuota {
        /// Its name.
        name: QuotaName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// How much.
        limits: Box<Limits>,
        /// Why.
        reason: String,
    },
    /// Declares another HSM as one that exportable keys may leave for.
    CreateDestination {
        /// Its name.
        name: DestinationName,
        /// For people.
        title: String,
        /// What keys are wrapped under on their way to it.
        public_key: WrappingKey,
    },
    /// Wraps a version of an exportable key for another HSM.
    ExportKey {
        /// The version.
        name: VersionName,
        /// What the caller saw.
        etag: Option<Revision>,
        /// Where it goes.
        destination: DestinationName,
        /// How it is wrapped.
        mechanism: Wrapping,
        /// Why.
        reason: String,
    },
    /// Declares a backup of the token, made with the HSM's own tools.
    DeclareBackup {
        /// Where it is, for people.
        title: String,
        /// When it was taken.
        taken: Time,
        /// From then on nothing of it is kept.
        expires: Time,
    },
    /// Lets the asker follow one person along the edges, for an hour.
    ChainPerson {
        /// The edge that their identifier is evaluated along first.
        edge: EdgeName,
        /// Who.
        commitment: Commitment,
        /// Why.
        reason: String,
    },
    /// Declares an emergency.
    DeclareEmergency {
        /// For how long, in minutes.
        minutes: u32,
        /// Why.
        reason: String,
    },
    /// Ends an emergency before its time.
    EndEmergency {
        /// Which.
        name: EmergencyName,
        /// Why.
        reason: String,
    },
    /// Says what an emergency was used for.
    ReviewEmergency {
        /// Which.
        name: EmergencyName,
        /// What was found.
        findings: String,
    },
}
