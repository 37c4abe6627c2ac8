//! What happened, before it is a record.

use crate::action::Action;
use crate::caller::Caller;
use crate::codec;
use crate::error::Result;
use crate::id::KeyId;
use crate::key::Learned;
use crate::name::{ProposalName, VersionName};
use crate::plan::Plan;
use crate::quota::Reached;
use crate::revision::Revision;
use crate::time::Time;
use crate::value::Value;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest intention, in bytes: an entry of a log of C2SP tlog-tiles form holds 65,535.
pub const INTENTION_MAX: usize = 60 * 1024;

/// What happened: who, what, on what, and what became of it. Appended to a log it is a record.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub time: Time,
    /// Who asked.
    pub caller: Caller,
    /// The call's own id, for the reader of two logs.
    pub call: String,
    /// What was asked.
    pub action: Action,
    /// The resource that it was about: its sort and its name.
    pub resource: (String, String),
    /// What became of it: `Ok`, or what the caller was told.
    pub result: Result<()>,
    /// How long it took, in milliseconds.
    pub duration: Option<u64>,
    /// Whether only a declared emergency allowed it.
    pub emergency: bool,
    /// The part that is ours.
    pub detail: Detail,
}

/// The part of a record that is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Detail {
    /// A change is about to happen.
    Intention(Box<Intention>),
    /// What became of the intention at this index.
    Outcome(Box<Outcome>),
    /// A use, a read or a refusal.
    Use(Counts),
}

/// What a change will do: enough to carry it out again, or to see that it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intention {
    /// The plan, with every new value in full.
    pub plan: Plan,
    /// The policies that allowed it.
    pub policies: Vec<String>,
    /// The proposal that it carries out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proposal: Option<ProposalName>,
    /// The client's own id of its request, if it gave one, and a digest of what was asked.
    pub request: Option<RequestTag>,
}

/// A client's request, to be recognised when it comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTag {
    /// The client's id: a UUID.
    pub id: uuid::Uuid,
    /// SHA-256 of what was asked, hexadecimal.
    pub digest: String,
}

/// What became of an intention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The intention's index in the changes log.
    pub intention: u64,
    /// What became of it.
    pub settled: Settled,
}

/// What became of an intention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settled {
    /// The store holds it.
    Committed {
        /// The store's revision of what was written.
        revision: Revision,
        /// A digest of what was written: see [`state_digest`].
        state: String,
        /// What the HSM told of new material, in the order in which it was made: `null`, one, or a
        /// list.
        #[serde(with = "told")]
        learned: Vec<Learned>,
    },
    /// Nothing was changed.
    Abandoned {
        /// Why.
        why: String,
        /// Keys of which it is not known whether they are in the token, or will come there late. Their
        /// numbers are burnt (see [`crate::view::View::burn`]).
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        left: Vec<KeyId>,
    },
}

/// Most changes make one key at the most, and say so as they always did.
mod told {
    use super::Learned;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Told {
        None,
        One(Learned),
        Each(Vec<Learned>),
    }

    pub(super) fn serialize<S: Serializer>(
        learned: &[Learned],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let told = match learned {
            [] => Told::None,
            [one] => Told::One(one.clone()),
            each => Told::Each(each.to_vec()),
        };
        told.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Learned>, D::Error> {
        Ok(match Told::deserialize(deserializer)? {
            Told::None => vec![],
            Told::One(one) => vec![one],
            Told::Each(each) => each,
        })
    }
}

/// What a use amounts to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How many items were asked.
    pub items: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How many bytes of plaintext or identifiers went through.
    pub bytes: u64,
    /// The versions that were used, each once.
    pub versions: Vec<Used>,
    /// The policies that allowed it.
    pub policies: Vec<String>,
    /// Of several identifiers: HMAC-SHA-256, by the deployment's own digest key, over this call's id
    /// and what was evaluated, hexadecimal. It links to no other record; whoever has the file, the
    /// id and the HSM can tell whether it was that one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
    /// Which part of which run it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<RunPart>,
    /// The quotas on an edge that are nearly spent, told once a window, or that it would have gone
    /// beyond.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub quota: Vec<Reached>,
}

/// One call of a run, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPart {
    /// The run's own id.
    pub id: uuid::Uuid,
    /// Identifiers in all, which were charged when it began.
    pub expected: u64,
    /// Identifiers of the run before the first of this call.
    pub offset: u64,
    /// Whether it was evaluated before, and cost nothing.
    pub again: bool,
}

/// How often one version was used, by items that succeeded. What is re-encrypted counts twice: its
/// former version processed, and its new one protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Which version.
    pub name: VersionName,
    /// So many items it protected.
    #[serde(skip_serializing_if = "none", default)]
    pub protected: u64,
    /// So many it processed.
    #[serde(skip_serializing_if = "none", default)]
    pub processed: u64,
}

fn none(count: &u64) -> bool {
    *count == 0
}

/// SHA-256 over the written values, each as its name and its encoding, length-prefixed, in the
/// order of the plan; hexadecimal.
///
/// # Errors
/// As [`Value::encode`].
pub fn state_digest(values: &[Value]) -> Result<String> {
    let mut bytes = Vec::new();
    for value in values {
        codec::put(&mut bytes, value.name().as_bytes());
        codec::put(&mut bytes, &value.encode()?);
    }
    Ok(HEXLOWER.encode(&Sha256::digest(&bytes)))
}
