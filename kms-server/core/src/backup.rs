//! Backups of the token, made with the HSM's own tools: what was destroyed here may live on there.

use crate::error::{Error, Result};
use crate::id::KeyUid;
use crate::name::{Slug, short};
use crate::time::{DAY, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `backups/{backup}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupName(Slug);

/// A backup of the token, as an officer declared it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Its name.
    pub name: BackupName,
    /// Where it is, for people.
    pub title: String,
    /// When it was taken.
    pub taken: Time,
    /// From then on nothing of it is kept.
    pub expires: Time,
    /// When it was declared.
    pub declared: Time,
    /// The identity of who declared it.
    pub declarer: String,
}

impl Backup {
    /// Whether it may hold material that was there between these times. People declare backups, by
    /// clocks of their own: a day more on either side.
    #[must_use]
    pub fn may_hold(&self, made: Time, destroyed: Time) -> bool {
        self.taken.plus_millis(DAY) >= made && self.taken <= destroyed.plus_millis(DAY)
    }
}

impl BackupName {
    /// The name that these random bytes give.
    ///
    /// # Errors
    /// None that random bytes could cause.
    pub fn fresh(random: &KeyUid) -> Result<Self> {
        short('b', random).map(BackupName)
    }
}

impl FromStr for BackupName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let slug = text.strip_prefix("backups/").ok_or_else(|| {
            Error::invalid("name", "the name does not have the form backups/{backup}")
        })?;
        Ok(BackupName(slug.parse()?))
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backups/{}", self.0)
    }
}

impl TryFrom<String> for BackupName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<BackupName> for String {
    fn from(name: BackupName) -> String {
        name.to_string()
    }
}
