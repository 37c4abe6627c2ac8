//! What a command gives back.

use super::{Attestation, Signed};
use crate::health::Health;
use crate::hsm::Report;
use kms_core::binding::Binding;
use kms_core::caller::Principal;
use kms_core::command::Rules;
use kms_core::decide::{Access, Explained};
use kms_core::deployment::Deployment;
use kms_core::due::Due;
use kms_core::emergency::Emergency;
use kms_core::error::Result;
use kms_core::import::Parameters;
use kms_core::key::Key;
use kms_core::name::{EdgeName, ProposalName, VersionName};
use kms_core::plan::Difference;
use kms_core::quota::{Metered, QuotaName, Standing as Left};
use kms_core::report::KeyReport;
use kms_core::revision::Revision;
use kms_core::time::Time;
use kms_core::usage::Usage;
use kms_core::value::{Stamped, Value};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// What a command gives back. Items of a batch stand in the order asked.
#[derive(Debug)]
pub enum Reply {
    /// One resource.
    Resource(Box<Stamped<Value>>),
    /// How a version was used, and since when every use is counted.
    Usage(Box<VersionUsage>),
    /// Resources, and the name after which the next page begins.
    Page(Vec<Stamped<Value>>, Option<String>),
    /// What is due, and the proposal in which it waits; as of when.
    Due(Vec<(Due, Option<ProposalName>)>, Time),
    /// Every key against its policy; as of when.
    Report(Vec<KeyReport>, Time),
    /// A proposal, how it stands, and what it would change.
    Proposal(Box<Stamped<Value>>, Standing, Vec<Difference>),
    /// Proposals, the latest first, and whether each still applies.
    Proposals(Vec<(Stamped<Value>, Standing)>),
    /// Schema, policy and the policy's revision; every binding.
    Policy(Box<Rules>, Option<Revision>, Vec<Stamped<Value>>),
    /// Every policy and binding that there was.
    History(Vec<Revised>),
    /// Who may do what.
    Access(Vec<Access>),
    /// Whether and why, for each question.
    Explained(Vec<Explained>),
    /// How much a caller may ask.
    Allowance(Box<Allowance>),
    /// Ciphertexts.
    Encrypted(Vec<Result<Encrypted>>),
    /// Plaintexts.
    Decrypted(Vec<Result<Decrypted>>),
    /// Ciphertexts under the primary version.
    ReEncrypted(Vec<Result<ReEncrypted>>),
    /// Data keys.
    DataKeys(Vec<Result<DataKeyMade>>),
    /// Pseudonyms, and the version that evaluated them.
    Pseudonyms(Vec<Result<Zeroizing<String>>>, VersionName),
    /// One person in each space, each step behind its parent.
    Followed(Vec<Followed>),
    /// Old and new pseudonyms, and the versions that evaluated them.
    Translations(Vec<Result<Translated>>, [VersionName; 2]),
    /// A renewal campaign, and how it stands.
    Renewal(Box<Renewed>),
    /// A signed statement.
    Attestation(Box<Attestation>),
    /// The declared backups of the token, the latest first.
    Backups(Vec<Stamped<Value>>),
    /// The HSMs that exportable keys may leave for.
    Destinations(Vec<Stamped<Value>>),
    /// A version that has left, and the wrapped key, for whoever asked: nobody keeps it.
    Exported(Box<Stamped<Value>>, Zeroizing<Vec<u8>>),
    /// Random bytes.
    Random(Zeroizing<Vec<u8>>),
    /// What outside material is wrapped with.
    ImportParameters(Box<ImportParameters>),
    /// Wrapped material would come in.
    Checked,
    /// A version that was imported, and its receipt, unless it could not be signed.
    Imported(Box<Stamped<Value>>, Option<Box<Signed>>),
    /// What this deployment is, and who the caller is in it.
    Deployment(Box<Here>),
    /// The HSM's state.
    Hsm(Health, Box<Report>),
    /// The sizes of the changes log and of the uses log.
    Logs(u64, u64),
    /// Entries of a log, and where to go on.
    Entries(Vec<(u64, Vec<u8>)>, Option<u64>),
}

/// One person in one space.
pub struct Followed {
    /// The edge that was evaluated.
    pub edge: EdgeName,
    /// The edge whose pseudonym was evaluated; `None` for the first.
    pub parent: Option<EdgeName>,
    /// The pseudonym, or why there is none.
    pub pseudonym: Result<Zeroizing<String>>,
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Followed { redacted }")
    }
}

/// One person's old and new pseudonym. It never shows itself in logs.
pub struct Translated {
    /// By the predecessor.
    pub old: Zeroizing<String>,
    /// By the successor.
    pub new: Zeroizing<String>,
}

impl fmt::Debug for Translated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Translated { redacted }")
    }
}

/// The latest renewal campaign of an edge, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The edge.
    pub edge: EdgeName,
    /// Its key, with the campaign, if there ever was one.
    pub key: Stamped<Key>,
    /// So many translations the uses log counts, repeated ones each time.
    pub translated: u64,
    /// The edges that have to be renewed because of it, in this order.
    pub to_renew: Vec<EdgeName>,
}

/// How a version was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionUsage {
    /// Which.
    pub name: VersionName,
    /// How; `None`: not at all, as far as is counted.
    pub usage: Option<Usage>,
    /// Every use since then is counted; `None`: the log is empty.
    pub since: Option<Time>,
}

/// A deployment as one caller finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// What it is.
    pub deployment: Deployment,
    /// The person or service that calls, whichever of their certificates they came with.
    pub principal: Option<Principal>,
    /// What they are bound to.
    pub binding: Option<Binding>,
    /// The emergency under way.
    pub emergency: Option<Emergency>,
}

/// How a proposal stands, as of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It waits, or it is over.
    AsItSays,
    /// It waited too long.
    Expired,
    /// What it would change was changed since.
    Overtaken,
}

/// How much a caller may ask of a key or an edge, and how much is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// Of what.
    pub on: Metered,
    /// Whose.
    pub who: Principal,
    /// The quota that says so; `None`: it is what holds by default.
    pub quota: Option<QuotaName>,
    /// Each limit.
    pub standings: Vec<Left>,
}

/// A policy or a binding as it once was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revised {
    /// Its record in the changes log.
    pub index: u64,
    /// When.
    pub time: Time,
    /// Who asked: an identity.
    pub actor: String,
    /// The proposal that carried it.
    pub proposal: Option<ProposalName>,
    /// The store's revision.
    pub revision: Revision,
    /// What was written.
    pub value: Value,
}

/// A ciphertext.
#[derive(Debug)]
pub struct Encrypted {
    /// In the format of `envelope`.
    pub ciphertext: Vec<u8>,
    /// The version that protected it.
    pub version: VersionName,
}

/// A plaintext.
pub struct Decrypted {
    /// The plaintext.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The version that had protected it.
    pub version: VersionName,
}

/// A ciphertext, moved to the primary version.
#[derive(Debug)]
pub struct ReEncrypted {
    /// In the format of `envelope`.
    pub ciphertext: Vec<u8>,
    /// The version that protects it now.
    pub version: VersionName,
    /// The version that had protected it.
    pub former: VersionName,
}

/// A data key.
pub struct DataKeyMade {
    /// The key, if it was to be shown.
    pub plaintext: Option<Zeroizing<Vec<u8>>>,
    /// The key, wrapped.
    pub ciphertext: Vec<u8>,
    /// The version that wrapped it.
    pub version: VersionName,
}

/// What outside material is wrapped with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportParameters {
    /// What they say.
    pub parameters: Parameters,
    /// Their bytes, signed.
    pub signed: Signed,
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decrypted {{ by {} }}", self.version)
    }
}

impl fmt::Debug for DataKeyMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKeyMade {{ under {} }}", self.version)
    }
}
