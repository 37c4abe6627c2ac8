//! A time that a statement names.

use crate::error::{Error, Result};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A time as RFC 3339 writes it, in UTC, to the second: `2026-11-25T08:30:00Z`. One text for one
/// value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment(Time);

impl Moment {
    /// The time.
    #[must_use]
    pub fn time(self) -> Time {
        self.0
    }
}

impl From<Time> for Moment {
    fn from(time: Time) -> Self {
        Moment(Time(time.seconds().saturating_mul(1000)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Moment {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid("time", "a time is written 2026-11-25T08:30:00Z");
        let stamp: jiff::Timestamp = text.parse().map_err(|e| wrong().because(e))?;
        let millis = u64::try_from(stamp.as_millisecond()).map_err(|e| wrong().because(e))?;
        let moment = Moment::from(Time(millis));
        if moment.to_string() == text {
            Ok(moment)
        } else {
            Err(wrong())
        }
    }
}

impl TryFrom<String> for Moment {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> String {
        moment.to_string()
    }
}
