//! Break glass: a declared emergency, in which what stops harm needs one approval less.

use crate::caller::Principal;
use crate::key::Moved;
use crate::name::EmergencyName;
use crate::time::{HOUR, Time};
use serde::{Deserialize, Serialize};

/// The longest emergency, in milliseconds: four hours.
pub const LONGEST: u64 = 4 * HOUR;

/// A declared emergency: short, loud, and reviewed afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    /// Its name.
    pub name: EmergencyName,
    /// Who declared it.
    pub declarer: Principal,
    /// Who approved the declaration; a development deployment does without.
    pub approvers: Vec<Principal>,
    /// Why.
    pub reason: String,
    /// From when.
    pub from: Time,
    /// Until when, at the latest.
    pub until: Time,
    /// Ended before its time: when, by whom, why.
    pub ended: Option<Moved>,
    /// Reviewed: when, by whom, what was found.
    pub reviewed: Option<Moved>,
}

impl Emergency {
    /// Whether it is under way.
    #[must_use]
    pub fn runs(&self, now: Time) -> bool {
        self.ended.is_none() && self.from <= now && now < self.until
    }
}
