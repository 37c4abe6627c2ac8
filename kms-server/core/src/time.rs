//! A point in time. Core has no clock: time is always an argument.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX time).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// This time and so many milliseconds more.
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Time {
        Time(self.0.saturating_add(millis))
    }

    /// How many milliseconds it is after that time; 0 before it.
    #[must_use]
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Its day, for people: `2026-11-25` (UTC).
    #[must_use]
    pub fn date(self) -> String {
        let stamp = i64::try_from(self.0).map(jiff::Timestamp::from_millisecond);
        match stamp {
            Ok(Ok(stamp)) => stamp.strftime("%F").to_string(),
            Ok(Err(_)) | Err(_) => "a day beyond all calendars".into(),
        }
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl fmt::Display for Time {
    /// As RFC 3339 writes it, to the second: `2026-11-25T08:30:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = i64::try_from(self.0).map(jiff::Timestamp::from_millisecond);
        match stamp {
            Ok(Ok(stamp)) => write!(f, "{stamp:.0}"),
            Ok(Err(_)) | Err(_) => f.write_str("beyond all calendars"),
        }
    }
}

/// Milliseconds of an hour.
pub const HOUR: u64 = 3_600_000;

/// Milliseconds of a day.
pub const DAY: u64 = 24 * HOUR;
