//! What a deployment is: declared once, by `init`.

use crate::caller::TrustDomain;
use crate::name::Slug;
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// Development or production.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// For trying out: what needs approvals is carried out without them, and says so.
    Development,
    /// For real data.
    Production,
}

/// On which side of the transfer a deployment stands; nobody holds both secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// At a data supplier: from identifiers to level-1 pseudonyms.
    Supplier,
    /// At the warehouse: level 2 and beyond, from pseudonyms that arrive.
    Warehouse,
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Its name; bound into every ciphertext, so that development and production never mix.
    pub name: Slug,
    /// Of every identity.
    pub trust_domain: TrustDomain,
    /// Development or production.
    pub environment: Environment,
    /// Supplier or warehouse.
    pub side: Side,
    /// When `init` made it.
    #[serde(default)]
    pub created: Time,
}

impl Environment {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Environment::Development => "development",
            Environment::Production => "production",
        }
    }
}

impl Side {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Side::Supplier => "supplier",
            Side::Warehouse => "warehouse",
        }
    }
}
