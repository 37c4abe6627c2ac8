//! How much a caller may ask of a key or an edge.
//!
//! What holds for a caller is the first of these that limits anything: the quota of this very
//! caller, the quota of each caller, and what holds without either ([`Metered::by_default`]). The
//! whole of it holds: limits of two of them are never mixed.

mod account;
mod charged;
mod name;
mod run;
#[cfg(test)]
mod tests;

pub use account::{Account, Exceeded, Level, Reached, Standing, Tally, grouped, span};
pub use charged::{Campaign, Charged};
pub use name::{Metered, QuotaName};
pub use run::{Batch, CALLS_MAX, Content, EXPECTED_MAX, Mark, PART, RUN_LIFE, RUNS_MAX, Run, room};

use crate::error::{Error, Result};
use crate::key::Moved;
use crate::time::HOUR;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much one caller, or each, may ask of a key or an edge. Without limits it is as if it were
/// not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Its name.
    pub name: QuotaName,
    /// How much.
    pub limits: Limits,
    /// When, by whom and why it was set.
    pub moved: Moved,
}

/// How long a window lasts. It begins with its first use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Period {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
    /// 30 days.
    Month,
    /// 365 days.
    Year,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Calls.
    Requests,
    /// Items of calls, those that fail too: whoever guesses fails.
    Items,
    /// Bytes that come in to be protected, processed or evaluated; of data keys, those asked for.
    Bytes,
}

/// The most of each measure in one window; `None` does not limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amounts {
    /// Calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// The most in the window of each period. All of them hold at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// In 60 seconds.
    #[serde(default, skip_serializing_if = "Amounts::is_none")]
    pub minute: Amounts,
    /// In 60 minutes.
    #[serde(default, skip_serializing_if = "Amounts::is_none")]
    pub hour: Amounts,
    /// In 24 hours.
    #[serde(default, skip_serializing_if = "Amounts::is_none")]
    pub day: Amounts,
    /// In 30 days.
    #[serde(default, skip_serializing_if = "Amounts::is_none")]
    pub month: Amounts,
    /// In 365 days.
    #[serde(default, skip_serializing_if = "Amounts::is_none")]
    pub year: Amounts,
}

/// What holds on every edge, for each caller, where nobody set anything else: a standing allowance.
/// It serves whoever looks people up, not whoever evaluates a cohort: that is declared, as a budget
/// of this edge and caller, with a reason and an approval.
///
/// - 20,000 a day carry the lookups of an application on its busiest day, and the one file of a
///   trial; 100,000 in 30 days and 500,000 in 365 are five such days a month.
/// - The structural space of the French national identifier, about 2^37.7 or 223 thousand million,
///   takes one caller 446,000 years. Without a quota it takes a token that does 25,000 evaluations
///   a second 104 days.
/// - Whoever looks for one person of whom month of birth, sex and department are known has about a
///   million candidates: the allowance of two years. A certificate that is stolen and taken away
///   within a day gives a fiftieth of them.
///
/// It bounds how much is enumerated, not who: a targeted question costs one call and no quota stops
/// it. A steward whose identifiers have a smaller space (a hospital's own numbers), or whose edge
/// leads to a small project, sets less.
const EVALUATIONS: Limits = Limits {
    day: Amounts::items(20_000),
    month: Amounts::items(100_000),
    year: Amounts::items(500_000),
    ..NONE
};

/// Data-at-rest keys and import-wrapping keys: a quota is a courtesy among callers, the operator's
/// choice.
const NONE: Limits = Limits {
    minute: Amounts::NONE,
    hour: Amounts::NONE,
    day: Amounts::NONE,
    month: Amounts::NONE,
    year: Amounts::NONE,
};

impl Metered {
    /// What holds where nobody set anything.
    #[must_use]
    pub fn by_default(&self) -> &'static Limits {
        match self {
            Metered::Edge(_) => &EVALUATIONS,
            Metered::Key(_) => &NONE,
        }
    }

    /// Whether its quotas are a security control: then what was spent outlives the process.
    #[must_use]
    pub fn is_control(&self) -> bool {
        match self {
            Metered::Edge(_) => true,
            Metered::Key(_) => false,
        }
    }

    /// Limits that may be set on it.
    ///
    /// # Errors
    /// `Invalid` when evaluations would not be limited at all.
    pub fn may_be(&self, limits: &Limits) -> Result<()> {
        let evaluations = Period::ALL.iter().any(|p| limits.of(*p).items.is_some());
        if self.is_control() && !limits.is_none() && !evaluations {
            return Err(Error::invalid(
                "limits",
                "a quota on an edge limits its items in one period at least: it is what stands \
                 between a pseudonymiser and every identifier that there is",
            ));
        }
        Ok(())
    }
}

impl Period {
    /// Every period, the shortest first.
    pub const ALL: [Period; 5] = [
        Period::Minute,
        Period::Hour,
        Period::Day,
        Period::Month,
        Period::Year,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Period::Minute => "minute",
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Month => "month",
            Period::Year => "year",
        }
    }

    /// Its length in milliseconds.
    #[must_use]
    pub fn length(self) -> u64 {
        match self {
            Period::Minute => HOUR / 60,
            Period::Hour => HOUR,
            Period::Day => 24 * HOUR,
            Period::Month => 30 * 24 * HOUR,
            Period::Year => 365 * 24 * HOUR,
        }
    }

    /// After a number: `20,000 items a day`.
    #[must_use]
    pub fn each(self) -> &'static str {
        match self {
            Period::Minute => "a minute",
            Period::Hour => "an hour",
            Period::Day => "a day",
            Period::Month => "in 30 days",
            Period::Year => "in 365 days",
        }
    }
}

impl Measure {
    /// Every measure.
    pub const ALL: [Measure; 3] = [Measure::Requests, Measure::Items, Measure::Bytes];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Measure::Requests => "requests",
            Measure::Items => "items",
            Measure::Bytes => "bytes",
        }
    }
}

impl Amounts {
    const NONE: Amounts = Amounts {
        requests: None,
        items: None,
        bytes: None,
    };

    const fn items(most: u64) -> Self {
        Amounts {
            requests: None,
            items: Some(most),
            bytes: None,
        }
    }

    /// The most of a measure.
    #[must_use]
    pub fn of(&self, measure: Measure) -> Option<u64> {
        match measure {
            Measure::Requests => self.requests,
            Measure::Items => self.items,
            Measure::Bytes => self.bytes,
        }
    }

    /// Whether it limits nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Amounts::NONE
    }
}

impl Limits {
    /// What holds in the window of a period.
    #[must_use]
    pub fn of(&self, period: Period) -> &Amounts {
        match period {
            Period::Minute => &self.minute,
            Period::Hour => &self.hour,
            Period::Day => &self.day,
            Period::Month => &self.month,
            Period::Year => &self.year,
        }
    }

    /// Sets the most of a measure in the window of a period; gives what was set before.
    pub fn set(&mut self, period: Period, measure: Measure, most: u64) -> Option<u64> {
        let amounts = match period {
            Period::Minute => &mut self.minute,
            Period::Hour => &mut self.hour,
            Period::Day => &mut self.day,
            Period::Month => &mut self.month,
            Period::Year => &mut self.year,
        };
        let of = match measure {
            Measure::Requests => &mut amounts.requests,
            Measure::Items => &mut amounts.items,
            Measure::Bytes => &mut amounts.bytes,
        };
        of.replace(most)
    }

    /// Whether it limits nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == NONE
    }

    /// Each limit: in the window of which period, of what, how much.
    pub fn each(&self) -> impl Iterator<Item = (Period, Measure, u64)> {
        Period::ALL.into_iter().flat_map(move |period| {
            let of = move |measure| Some((period, measure, self.of(period).of(measure)?));
            Measure::ALL.into_iter().filter_map(of)
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
