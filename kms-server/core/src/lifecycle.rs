//! How long a version does what: cryptoperiods (NIST SP 800-57 Part 1 Rev. 5, section 5.3), and how
//! much it may protect.

use crate::class::Class;
use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::name::VersionName;
use crate::time::{DAY, HOUR, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a key or a space says of the life of its versions. What is `None` is inherited: a key's
/// from its space, a space's from the key's class. It can only shorten what the class allows.
/// Periods are in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// How long a version protects.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub protecting: Option<u64>,
    /// How long it goes on processing afterwards.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub processing: Option<u64>,
    /// How many encryptions it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub encryptions: Option<u64>,
    /// How many bytes it encrypts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u64>,
    /// For how long nobody must have used it before its destruction is scheduled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quiet: Option<u64>,
}

/// What holds for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// How long a version protects: the cryptoperiod.
    pub protecting: u64,
    /// How long it goes on processing afterwards; `None`: nobody says.
    pub processing: Option<u64>,
    /// How many encryptions it does; `None` where none are counted.
    pub encryptions: Option<u64>,
    /// How many bytes it encrypts; `None`: nobody says.
    pub bytes: Option<u64>,
    /// For how long nobody must have used it before its destruction is scheduled.
    pub quiet: u64,
}

impl InForce {
    /// Whether a version has protected as much as it may.
    #[must_use]
    pub fn is_spent(&self, spent: Spent) -> bool {
        self.reaches(spent, |limit| limit)
    }

    /// Whether half of that is spent.
    #[must_use]
    pub fn is_half_spent(&self, spent: Spent) -> bool {
        self.reaches(spent, |limit| limit.div_ceil(2))
    }

    fn reaches(&self, spent: Spent, share: fn(u64) -> u64) -> bool {
        let limits = [
            (self.encryptions, spent.encryptions),
            (self.bytes, spent.bytes),
        ];
        let reached = |(limit, spent): (Option<u64>, u64)| limit.is_some_and(|l| spent >= share(l));
        limits.into_iter().any(reached)
    }
}

/// The shortest period, in milliseconds: a minute.
pub(crate) const SHORTEST: u64 = 60_000;

/// A version is rotated after so many encryptions, long before [`ENCRYPTIONS_MAX`].
pub const ENCRYPTIONS: u64 = 1 << 31;

/// AES-GCM with random 96-bit nonces never goes beyond (NIST SP 800-38D section 8.3).
pub const ENCRYPTIONS_MAX: u64 = 1 << 32;

/// How much a version has protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Encryptions.
    pub encryptions: u64,
    /// Bytes of plaintext.
    pub bytes: u64,
}

/// What is known of how versions were used.
pub trait Uses: fmt::Debug + Send + Sync {
    /// When a version was last used.
    fn last(&self, version: &VersionName) -> Option<Time>;

    /// How many items it has processed.
    fn processed(&self, version: &VersionName) -> u64;

    /// How much it has protected; at least that much.
    fn spent(&self, id: &KeyId) -> Spent;
}

/// Nothing was ever used: for plans that look at no use.
#[derive(Debug, Clone, Copy)]
pub struct Unused;

impl Uses for Unused {
    fn last(&self, _version: &VersionName) -> Option<Time> {
        None
    }

    fn processed(&self, _version: &VersionName) -> u64 {
        0
    }

    fn spent(&self, _id: &KeyId) -> Spent {
        Spent::default()
    }
}

impl Lifecycle {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        *self == Lifecycle::default()
    }

    /// Makes sure that a key of this class may have it; a space's holds for every class, so that
    /// none is given.
    ///
    /// # Errors
    /// `Invalid` when something is too short, or longer than the class allows.
    pub fn suits(&self, class: Option<Class>) -> Result<()> {
        let wrong = |what: &str| Err(Error::invalid("lifecycle", what));
        let periods = [self.protecting, self.processing];
        if periods.into_iter().flatten().any(|p| p < SHORTEST) {
            return wrong("a period is a minute at least");
        }
        if [self.encryptions, self.bytes].contains(&Some(0)) {
            return wrong("a version that may protect nothing is of no use: say 1 at least");
        }
        let Some(class) = class else {
            return Ok(());
        };
        let longest = class.lifecycle();
        let longer =
            |mine: Option<u64>, most: Option<u64>| mine.zip(most).is_some_and(|(m, l)| m > l);
        if longer(self.protecting, Some(longest.protecting)) {
            let most = Period(longest.protecting);
            return wrong(&format!(
                "a version of class {class} protects for {most} at most"
            ));
        }
        if longer(self.processing, longest.processing) {
            let most = Period(longest.processing.unwrap_or(0));
            return wrong(&format!(
                "a version of class {class} processes for {most} more at most"
            ));
        }
        if longer(self.encryptions, longest.encryptions) {
            return wrong("a version is rotated after 2^31 encryptions at the latest");
        }
        match longest.encryptions {
            None if self.encryptions.is_some() || self.bytes.is_some() => wrong(&format!(
                "encryptions and bytes are counted for keys of class {} alone",
                Class::DataAtRest
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// What holds for a key of this class that says this, in a space that says that.
    #[must_use]
    pub fn in_force(&self, space: &Lifecycle, class: Class) -> InForce {
        let longest = class.lifecycle();
        let shorter = |mine: Option<u64>, most: Option<u64>| match (mine, most) {
            (Some(mine), Some(most)) => Some(mine.min(most)),
            (mine, most) => mine.or(most),
        };
        let counted = longest.encryptions.is_some();
        let bytes = self.bytes.or(space.bytes).filter(|_| counted);
        InForce {
            protecting: shorter(
                self.protecting.or(space.protecting),
                Some(longest.protecting),
            )
            .unwrap_or(longest.protecting),
            processing: shorter(self.processing.or(space.processing), longest.processing),
            encryptions: shorter(self.encryptions.or(space.encryptions), longest.encryptions)
                .filter(|_| counted),
            bytes: shorter(bytes, longest.bytes),
            quiet: self.quiet.or(space.quiet).unwrap_or(longest.quiet),
        }
    }
}

impl Class {
    /// What holds where nobody says otherwise, and the longest that anybody may say.
    #[must_use]
    pub fn lifecycle(self) -> InForce {
        const YEAR: u64 = 365 * DAY;
        match self {
            Class::DataAtRest => InForce {
                protecting: YEAR,
                processing: Some(3 * YEAR),
                encryptions: Some(ENCRYPTIONS),
                bytes: None,
                quiet: 30 * DAY,
            },
            Class::ImportWrapping => InForce {
                protecting: 7 * DAY,
                // So long an import token is good.
                processing: Some(24 * HOUR),
                encryptions: None,
                bytes: None,
                quiet: 0,
            },
            Class::Pseudonymisation => InForce {
                protecting: 2 * YEAR,
                processing: None,
                encryptions: None,
                bytes: None,
                quiet: 30 * DAY,
            },
            Class::ServiceImportToken
            | Class::ServiceAttestation
            | Class::ServiceExchange
            | Class::ServiceDigest
            | Class::ServiceImportParameters => InForce {
                protecting: 2 * YEAR,
                processing: None,
                encryptions: None,
                bytes: None,
                quiet: 0,
            },
        }
    }

    /// Whether the service rotates its keys by itself when their time has come.
    #[must_use]
    pub fn rotates_itself(self) -> bool {
        match self {
            Class::DataAtRest | Class::ImportWrapping => true,
            Class::Pseudonymisation
            | Class::ServiceImportToken
            | Class::ServiceAttestation
            | Class::ServiceExchange
            | Class::ServiceDigest
            | Class::ServiceImportParameters => false,
        }
    }
}

/// A period, for people: in the largest unit that gives a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub u64);

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (DAY, "day"),
            (HOUR, "hour"),
            (60_000, "minute"),
            (1000, "second"),
        ];
        let fits = |(unit, _): &&(u64, &str)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        let (unit, name) = units.iter().find(fits).unwrap_or(&(1, "millisecond"));
        let count = self.0 / unit;
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} {name}{plural}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_key_inherits_from_its_space_and_its_class_and_only_ever_shortens() {
        let space = Lifecycle {
            protecting: Some(90 * DAY),
            processing: Some(10_000 * DAY),
            encryptions: Some(1000),
            ..Lifecycle::default()
        };
        let key = Lifecycle {
            protecting: Some(30 * DAY),
            ..Lifecycle::default()
        };
        let mine = key.in_force(&space, Class::DataAtRest);
        assert_eq!(mine.protecting, 30 * DAY);
        assert_eq!(
            mine.processing,
            Some(3 * 365 * DAY),
            "the class's is the longest"
        );
        assert_eq!(mine.encryptions, Some(1000));
        assert_eq!(mine.quiet, 30 * DAY);
        let pair = Lifecycle::default().in_force(&space, Class::ImportWrapping);
        assert_eq!(pair.protecting, 7 * DAY);
        assert_eq!(pair.encryptions, None, "nothing is counted there");
    }

    #[test]
    fn what_is_longer_than_the_class_allows_is_refused() {
        let says = |lifecycle: Lifecycle, class| lifecycle.suits(class).unwrap_err().to_string();
        let long = Lifecycle {
            protecting: Some(366 * DAY),
            ..Lifecycle::default()
        };
        assert!(long.suits(None).is_ok(), "a space's is for every class");
        assert!(says(long, Some(Class::DataAtRest)).contains("365 days at most"));
        let short = Lifecycle {
            processing: Some(1),
            ..Lifecycle::default()
        };
        assert!(says(short, None).contains("a minute at least"));
        let counted = Lifecycle {
            bytes: Some(1),
            ..Lifecycle::default()
        };
        assert!(says(counted, Some(Class::ImportWrapping)).contains("data-at-rest alone"));
        let often = Lifecycle {
            encryptions: Some(ENCRYPTIONS + 1),
            ..Lifecycle::default()
        };
        assert!(says(often, Some(Class::DataAtRest)).contains("2^31"));
    }
}
