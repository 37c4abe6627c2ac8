//! A key and its versions. No material, ever.

use crate::class::{Algorithm, Class};
use crate::error::{Error, Result};
use crate::id::{KeyId, KeyUid};
use crate::lifecycle::Lifecycle;
use crate::name::{DestinationName, EdgeName, KeyName, ProposalName, Slug, VersionName};
use crate::renewal::Renewal;
use crate::state::{State, Use};
use crate::time::{DAY, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::wrapping::{Intake, MATERIAL, MODULUS, Wrapping};

/// Where key material comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Generated in the HSM.
    Generated,
    /// Imported, wrapped, from outside; marked so for ever.
    External,
}

/// A key: a name, a class, and which of its versions protects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name, never used again.
    pub name: KeyName,
    /// Its name in the HSM.
    pub uid: KeyUid,
    /// Its class.
    pub class: Class,
    /// For people.
    pub title: String,
    /// Where its material comes from.
    pub origin: Origin,
    /// Whether its material may one day leave, wrapped, for another HSM.
    pub exportable: bool,
    /// The number of the version that protects, if there is one.
    pub primary: Option<u32>,
    /// The highest number used so far; 0 before the first version.
    pub latest: u32,
    /// Of the owner's choice.
    pub labels: BTreeMap<String, String>,
    /// The authorised study that it serves, and no other purpose.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub study: Option<Study>,
    /// What it says of the life of its versions.
    #[serde(skip_serializing_if = "Lifecycle::is_silent", default)]
    pub lifecycle: Lifecycle,
    /// Which compromised versions process for now, to be re-wrapped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rewrap: Option<Rewrap>,
    /// Of an edge's key: its latest renewal campaign.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub renewal: Option<Box<Renewal>>,
    /// The edge whose renewal campaign it was made for, to seal translation tables.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seals: Option<EdgeName>,
    /// Of a wrapping key: what it takes in. One that says nothing, of an earlier release, takes in
    /// data-at-rest keys by direct RSA-OAEP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub intake: Option<Intake>,
    /// When it was declared.
    pub created: Time,
    /// When anything of this last changed.
    pub updated: Time,
}

impl Key {
    /// How it takes in what callers do not say otherwise of.
    #[must_use]
    pub fn method(&self) -> Wrapping {
        let said = self.intake.as_ref().map(|intake| intake.mechanism);
        said.unwrap_or(Wrapping::OaepSha256)
    }

    /// Makes sure that keys of this class come in under this one by this mechanism.
    ///
    /// # Errors
    /// `Invalid` when it is no wrapping key, or serves another method or class.
    pub fn takes_in(&self, class: Class, mechanism: Wrapping) -> Result<()> {
        let wrong = |field, sentence| Err(Error::invalid(field, sentence));
        if mechanism.unwrapped_by() != self.class {
            return wrong(
                "mechanism",
                format!(
                    "{} is a key of class {}, which does not unwrap {}",
                    self.name,
                    self.class,
                    mechanism.name()
                ),
            );
        }
        let (takes, by) = match &self.intake {
            Some(intake) => (intake.class, intake.mechanism == mechanism),
            None => (
                Class::DataAtRest,
                !mechanism.is_hybrid() && self.class == Class::ImportWrapping,
            ),
        };
        if !by {
            return wrong(
                "mechanism",
                format!(
                    "{} was made for {} and nothing else; one wrapping key serves one method",
                    self.name,
                    self.method().name()
                ),
            );
        }
        if takes != class {
            return wrong(
                "wrapping_key",
                format!(
                    "{} was made for keys of class {takes}, not {class}; one wrapping key serves \
                     one class",
                    self.name
                ),
            );
        }
        Ok(())
    }

    /// Whether what comes in under it does so in two steps.
    #[must_use]
    pub fn in_two_steps(&self) -> bool {
        self.intake.as_ref().is_some_and(|intake| intake.two_steps)
    }

    /// The source that it is for.
    #[must_use]
    pub fn source(&self) -> Option<&Slug> {
        self.intake
            .as_ref()
            .and_then(|intake| intake.source.as_ref())
    }
}

/// A re-wrap campaign: compromised versions process, for `ReEncrypt` alone, until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrap {
    /// Their numbers.
    pub versions: Vec<u32>,
    /// Until when, at the latest.
    pub until: Time,
    /// When it began, by whom, why.
    pub moved: Moved,
}

impl Rewrap {
    /// The longest campaign, in milliseconds: 90 days.
    pub const LONGEST: u64 = 90 * DAY;

    /// Whether it covers this version now.
    #[must_use]
    pub fn covers(&self, version: u32, now: Time) -> bool {
        now < self.until && self.versions.contains(&version)
    }
}

/// An authorised study: a purpose and the day on which it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// What callers state as their purpose.
    pub purpose: Slug,
    /// From then on the key is of no use.
    pub ends: Time,
}

/// One version of a key's material.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Its name.
    pub name: VersionName,
    /// Its name in the HSM.
    pub id: KeyId,
    /// Its state.
    pub state: State,
    /// When it was compromised; destruction does not forget it.
    pub compromised: Option<Time>,
    /// While suspended: whether it may go on to process.
    pub suspended_processing: bool,
    /// What it is.
    pub algorithm: Algorithm,
    /// Where its material comes from.
    pub origin: Origin,
    /// When it was made.
    pub created: Time,
    /// When it first protected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub activated: Option<Time>,
    /// When it ended to protect, for ever.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retired: Option<Time>,
    /// Its last transition.
    pub moved: Moved,
    /// When it will be destroyed. Until then it does nothing, so that whoever needs it finds out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub destruction: Option<Destruction>,
    /// What the HSM told of it when it was made; `None` only between intention and outcome.
    pub learned: Option<Learned>,
    /// How it came in, if it did.
    pub imported: Option<Imported>,
    /// Every time that it left, wrapped.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub exports: Vec<Export>,
    /// The number of the version whose pseudonyms it evaluates: its first stage.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub layered_on: Option<u32>,
    /// The number of the version that is evaluated through it: it is a first stage.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stage_of: Option<u32>,
}

impl Version {
    /// Whether it may be used so: its state says it, unless its destruction is scheduled.
    #[must_use]
    pub fn allows(&self, usage: Use) -> bool {
        self.destruction.is_none() && self.state.allows(usage, self.suspended_processing)
    }
}

/// That a version will be destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destruction {
    /// Not before.
    pub at: Time,
    /// Whether it was used lately, and is to go all the same.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forced: bool,
    /// When it was decided, by whom, why.
    pub moved: Moved,
}

impl Destruction {
    /// How long it waits where nobody says otherwise, in milliseconds: 30 days.
    pub const WAITING: u64 = 30 * DAY;
}

/// A transition: when, by whom, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// When.
    pub time: Time,
    /// The identity of who asked.
    pub actor: String,
    /// In their words.
    pub reason: String,
}

/// What the HSM tells of new material.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learned {
    /// 16 bytes, in hexadecimal, that only this material gives; nothing of the material can be
    /// told from them.
    pub fingerprint: String,
    /// SubjectPublicKeyInfo (RFC 5280 section 4.1), DER; for key pairs.
    #[serde(
        with = "base64_option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub public_key: Option<Vec<u8>>,
    /// Of imported material: what tells that the same material came in again. Made in the HSM of a
    /// constant by the material, then by the deployment's digest key: nothing else makes it or can
    /// be told from it. Hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recognised: Option<String>,
}

/// How imported material came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// The version that unwrapped it.
    pub wrapping: VersionName,
    /// The wrapping mechanism.
    pub mechanism: Wrapping,
    /// Whether it came in in two steps: weaker, because nothing in the token forced its attributes
    /// on whoever else held the PIN and the wrapped material.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub two_steps: bool,
    /// The source that the wrapping key was for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<Slug>,
    /// SHA-256 of the wrapped material, hexadecimal; unknown of what an earlier release imported.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
    /// The identity of who imported it; unknown of what an earlier release imported.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
}

/// That material left the HSM, wrapped for another one: from then on it is not here alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Where it went.
    pub destination: DestinationName,
    /// SHA-256 of the SubjectPublicKeyInfo that it was wrapped under, hexadecimal.
    pub public_key_sha256: String,
    /// How it was wrapped.
    pub mechanism: Wrapping,
    /// When, by whom, why.
    pub moved: Moved,
    /// The proposal by which it was agreed to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proposal: Option<ProposalName>,
}

/// What the HSM must make: everything that decides the attributes of the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// Its `CKA_ID`.
    pub id: KeyId,
    /// Its `CKA_LABEL`: the version's name, for people and for a rebuild.
    pub label: VersionName,
    /// Its class.
    pub class: Class,
    /// Whether it may one day leave, wrapped.
    pub exportable: bool,
    /// Of a wrapping key: what it takes in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub intake: Option<Intake>,
}

mod base64_option {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(bytes) => serializer.serialize_str(&BASE64.encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|t| {
            BASE64
                .decode(t.as_bytes())
                .map_err(serde::de::Error::custom)
        })
        .transpose()
    }
}
