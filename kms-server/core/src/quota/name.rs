//! The names of quotas.

use crate::caller::Principal;
use crate::error::{Error, Result};
use crate::name::{EdgeName, KeyName, SpaceName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What quotas are on: `spaces/{space}/keys/{key}`, or `spaces/{target}/edges/{domain}`, which
/// stands for its own key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metered {
    /// A key that callers name.
    Key(KeyName),
    /// An edge.
    Edge(EdgeName),
}

/// `{key or edge}/quotas/each`, or `{key or edge}/quotas/{principal}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuotaName {
    on: Metered,
    who: Option<Principal>,
}

const EACH: &str = "each";

impl Metered {
    /// The space that it belongs to.
    #[must_use]
    pub fn space(&self) -> &SpaceName {
        match self {
            Metered::Key(name) => name.space(),
            Metered::Edge(name) => name.target(),
        }
    }

    /// The sort of resource, for people.
    #[must_use]
    pub fn sort(&self) -> &'static str {
        match self {
            Metered::Key(_) => "key",
            Metered::Edge(_) => "edge",
        }
    }
}

impl QuotaName {
    /// The quota on this, of one caller; `None` for each.
    #[must_use]
    pub fn new(on: Metered, who: Option<Principal>) -> Self {
        QuotaName { on, who }
    }

    /// What it is on.
    #[must_use]
    pub fn on(&self) -> &Metered {
        &self.on
    }

    /// Whose it is; `None`: each caller's.
    #[must_use]
    pub fn who(&self) -> Option<&Principal> {
        self.who.as_ref()
    }
}

impl FromStr for Metered {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        text.parse()
            .map(Metered::Edge)
            .or_else(|_no_edge| text.parse().map(Metered::Key))
            .map_err(|_neither: Error| {
                Error::invalid(
                    "on",
                    "quotas are on a key, spaces/{space}/keys/{key}, or on an edge, \
                     spaces/{target}/edges/{domain}",
                )
            })
    }
}

impl FromStr for QuotaName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (on, who) = text.split_once("/quotas/").ok_or_else(|| {
            Error::invalid(
                "name",
                "a quota's name has the form {key or edge}/quotas/each or \
                 {key or edge}/quotas/{principal}",
            )
        })?;
        let who = match who {
            EACH => None,
            who => Some(who.parse()?),
        };
        Ok(QuotaName {
            on: on.parse()?,
            who,
        })
    }
}

impl TryFrom<String> for QuotaName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<QuotaName> for String {
    fn from(name: QuotaName) -> String {
        name.to_string()
    }
}

impl TryFrom<String> for Metered {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Metered> for String {
    fn from(on: Metered) -> String {
        on.to_string()
    }
}

impl fmt::Display for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Metered::Key(name) => name.fmt(f),
            Metered::Edge(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for QuotaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            None => write!(f, "{}/quotas/{EACH}", self.on),
            Some(who) => write!(f, "{}/quotas/{who}", self.on),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::name::VersionName;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_parses_is_written_back_as_it_was(
            text in "spaces/[a-z-]{1,4}/(keys|edges|quotas)/[a-z/]{1,4}/quotas/(each|(person|service)/[a-z-]{1,4}|[a-z/]{0,5})"
        ) {
            if let Ok(name) = text.parse::<QuotaName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }

    #[test]
    fn a_quota_has_one_name_and_it_is_nothing_elses() {
        for name in [
            "spaces/a/keys/b/quotas/each",
            "spaces/a/edges/b/quotas/service/c",
        ] {
            assert_eq!(name.parse::<QuotaName>().unwrap().to_string(), name);
            assert!(name.parse::<KeyName>().is_err() && name.parse::<EdgeName>().is_err());
            assert!(name.parse::<VersionName>().is_err());
        }
        for wrong in [
            "spaces/a/quotas/each",
            "spaces/a/keys/b/quotas/",
            "spaces/a/keys/b/quotas/*",
            "spaces/a/keys/b/quotas/each/each",
            "spaces/a/keys/b/versions/1/quotas/each",
            "spaces/a/keys/b/quotas/each/quotas/each",
        ] {
            assert!(wrong.parse::<QuotaName>().is_err(), "{wrong}");
        }
    }
}
