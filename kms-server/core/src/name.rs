//! Resource names: what a caller writes, and the keys of the store.

use crate::chain::Commitment;
use crate::error::{Error, Result};
use crate::id::KeyUid;
use data_encoding::BASE32_DNSSEC;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest part of a name, in bytes.
pub const SLUG_MAX: usize = 63;

/// One part of a name: `[a-z]([a-z0-9-]*[a-z0-9])?`, at most 63 bytes (as in RFC 1035 labels).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

impl Slug {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let ends_well = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let letters = text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if ends_well && letters && text.len() <= SLUG_MAX {
            Ok(Slug(text.to_owned()))
        } else {
            Err(Error::invalid(
                "name",
                "each part of a name has 1 to 63 characters of a-z, 0-9 and '-', begins with a \
                 letter and does not end with '-'",
            ))
        }
    }
}

macro_rules! text_form {
    ($($name:ty),*) => {
        $(
            impl TryFrom<String> for $name {
                type Error = Error;
                fn try_from(text: String) -> Result<Self> {
                    text.parse()
                }
            }
            impl From<$name> for String {
                fn from(name: $name) -> String {
                    name.to_string()
                }
            }
        )*
    };
}

/// Names of a collection and one part.
macro_rules! one_part {
    ($($(#[$doc:meta])* $name:ident($collection:literal, $form:literal);)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
            #[serde(try_from = "String", into = "String")]
            pub struct $name(Slug);

            impl FromStr for $name {
                type Err = Error;
                fn from_str(text: &str) -> Result<Self> {
                    let slug = text.strip_prefix($collection).ok_or_else(|| malformed($form))?;
                    Ok($name(slug.parse()?))
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "{}{}", $collection, self.0)
                }
            }
        )*
    };
}

one_part! {
    /// `spaces/{space}`.
    SpaceName("spaces/", "spaces/{space}");
    /// `domains/{domain}`.
    DomainName("domains/", "domains/{domain}");
    /// `proposals/{proposal}`.
    ProposalName("proposals/", "proposals/{proposal}");
    /// `emergencies/{emergency}`.
    EmergencyName("emergencies/", "emergencies/{emergency}");
    /// `chains/{chain}`.
    ChainName("chains/", "chains/{chain}");
    /// `rebuilds/{rebuild}`.
    RebuildName("rebuilds/", "rebuilds/{rebuild}");
    /// `destinations/{destination}`.
    DestinationName("destinations/", "destinations/{destination}");
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `spaces/{target}/edges/{domain}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EdgeName {
    target: SpaceName,
    domain: DomainName,
}

/// `spaces/{space}/keys/{key}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName {
    space: SpaceName,
    key: Slug,
}

/// `spaces/{space}/keys/{key}/versions/{n}`, n from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionName {
    key: KeyName,
    number: u32,
}

text_form!(
    Slug,
    SpaceName,
    DomainName,
    EdgeName,
    KeyName,
    VersionName,
    ProposalName,
    EmergencyName,
    ChainName,
    RebuildName,
    DestinationName
);

impl SpaceName {
    /// The space of this slug.
    #[must_use]
    pub fn new(slug: Slug) -> Self {
        SpaceName(slug)
    }

    /// The space that the name of a resource begins with.
    #[must_use]
    pub fn of_resource(name: &str) -> Option<Self> {
        let slug = name.strip_prefix("spaces/")?.split('/').next()?;
        slug.parse().ok().map(SpaceName)
    }

    /// The last part.
    #[must_use]
    pub fn slug(&self) -> &Slug {
        &self.0
    }

    /// The key of this slug in this space.
    #[must_use]
    pub fn key(&self, key: Slug) -> KeyName {
        KeyName {
            space: self.clone(),
            key,
        }
    }
}

impl DomainName {
    /// The last part.
    #[must_use]
    pub fn slug(&self) -> &Slug {
        &self.0
    }
}

impl EdgeName {
    /// The edge from this domain to this space.
    #[must_use]
    pub fn new(target: SpaceName, domain: DomainName) -> Self {
        EdgeName { target, domain }
    }

    /// The space that it leads to.
    #[must_use]
    pub fn target(&self) -> &SpaceName {
        &self.target
    }

    /// The identifier domain that it leads from.
    #[must_use]
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// The edge's own key, `spaces/{target}/keys/edge-{domain}`.
    ///
    /// # Errors
    /// When the domain's name is too long to leave room for `edge-`.
    pub fn key(&self) -> Result<KeyName> {
        let slug = format!("{EDGE_PREFIX}{}", self.domain.0).parse()?;
        Ok(self.target.key(slug))
    }
}

/// How the slug of an edge's key begins; no other key's may.
pub const EDGE_PREFIX: &str = "edge-";

/// How the slug of a key that seals translation tables begins; no other key's may.
pub const TABLE_PREFIX: &str = "renewal-";

/// Where the deployment's own keys are; callers make none there.
pub const SERVICE_SPACE: &str = "spaces/kms";

/// The deployment's own key that authenticates import tokens.
pub const IMPORT_TOKEN_KEY: &str = "spaces/kms/keys/import-token";

/// The deployment's own key that signs attestations.
pub const ATTESTATION_KEY: &str = "spaces/kms/keys/attestation";

/// The deployment's own key that makes the digests of records and runs.
pub const DIGEST_KEY: &str = "spaces/kms/keys/digest";

/// The deployment's own key that signs import parameters and receipts of imports.
pub const IMPORT_PARAMETERS_KEY: &str = "spaces/kms/keys/import-parameters";

impl KeyName {
    /// The space that it belongs to.
    #[must_use]
    pub fn space(&self) -> &SpaceName {
        &self.space
    }

    /// The last part.
    #[must_use]
    pub fn slug(&self) -> &Slug {
        &self.key
    }

    /// Its version of this number.
    #[must_use]
    pub fn version(&self, number: u32) -> VersionName {
        VersionName {
            key: self.clone(),
            number,
        }
    }

    /// What the names of all its versions begin with.
    #[must_use]
    pub fn versions_prefix(&self) -> String {
        format!("{self}/versions/")
    }
}

impl VersionName {
    /// The key that it is a version of.
    #[must_use]
    pub fn key(&self) -> &KeyName {
        &self.key
    }

    /// Its number, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }
}

/// A slug of 45 random bits, short enough to be said on the telephone.
pub(crate) fn short(first: char, random: &KeyUid) -> Result<Slug> {
    let text = BASE32_DNSSEC.encode(&random.0);
    format!("{first}{}", text.get(..9).unwrap_or_default()).parse()
}

impl ProposalName {
    /// The name that these random bytes give.
    ///
    /// # Errors
    /// None that random bytes could cause.
    pub fn fresh(random: &KeyUid) -> Result<Self> {
        short('p', random).map(ProposalName)
    }
}

impl EmergencyName {
    /// The name that these random bytes give.
    ///
    /// # Errors
    /// None that random bytes could cause.
    pub fn fresh(random: &KeyUid) -> Result<Self> {
        short('e', random).map(EmergencyName)
    }
}

impl RebuildName {
    /// The name that these random bytes give.
    ///
    /// # Errors
    /// None that random bytes could cause.
    pub fn fresh(random: &KeyUid) -> Result<Self> {
        short('r', random).map(RebuildName)
    }
}

impl ChainName {
    /// The name of the permission to follow whom this commitment is to.
    ///
    /// # Errors
    /// None that a commitment could cause.
    pub fn of(commitment: &Commitment) -> Result<Self> {
        let (start, _) = commitment.as_str().split_at_checked(32).unwrap_or_default();
        format!("c{start}").parse().map(ChainName)
    }
}

fn malformed(form: &str) -> Error {
    Error::invalid("name", format!("the name does not have the form {form}"))
}

impl FromStr for EdgeName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (target, domain) = text
            .split_once("/edges/")
            .ok_or_else(|| malformed("spaces/{target}/edges/{domain}"))?;
        Ok(EdgeName {
            target: target.parse()?,
            domain: DomainName(domain.parse()?),
        })
    }
}

impl FromStr for KeyName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (space, key) = text
            .split_once("/keys/")
            .ok_or_else(|| malformed("spaces/{space}/keys/{key}"))?;
        Ok(KeyName {
            space: space.parse()?,
            key: key.parse()?,
        })
    }
}

impl FromStr for VersionName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let form = || malformed("spaces/{space}/keys/{key}/versions/{n}");
        let (key, number) = text.split_once("/versions/").ok_or_else(form)?;
        let canonical = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        match number.parse() {
            Ok(number) if canonical => Ok(VersionName {
                key: key.parse()?,
                number,
            }),
            Ok(_) | Err(_) => Err(form()),
        }
    }
}

impl fmt::Display for EdgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/edges/{}", self.target, self.domain.0)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/keys/{}", self.space, self.key)
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/versions/{}", self.key, self.number)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
