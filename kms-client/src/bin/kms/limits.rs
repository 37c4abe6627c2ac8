//! Limits of a quota as people write them: `items/day=20000000`.

use kms_client::{Error, Kind, v1};
use kms_core::quota::{Limits, Measure, Period, grouped};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

/// What one limit is of: `items/day`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Scope {
    period: Period,
    measure: Measure,
}

/// All that hold, each once: `{items/day: 2500000, items/year: 7000000}`.
pub(crate) type Written = BTreeMap<Scope, NonZeroU64>;

impl FromStr for Scope {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let found = text.split_once('/').and_then(|(measure, period)| {
            Some(Self {
                measure: Measure::ALL.into_iter().find(|m| m.name() == measure)?,
                period: Period::ALL.into_iter().find(|p| p.name() == period)?,
            })
        });
        found.ok_or_else(|| {
            let sentence = format!(
                "{text:?} is nothing that is limited: write requests, items or bytes, and minute, \
                 hour, day, month or year, for example items/day"
            );
            Error::new(Kind::Usage, sentence)
        })
    }
}

impl TryFrom<String> for Scope {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.measure, self.period)
    }
}

impl Scope {
    fn message(self, most: NonZeroU64) -> v1::Limit {
        let period = match self.period {
            Period::Minute => v1::QuotaPeriod::Minute,
            Period::Hour => v1::QuotaPeriod::Hour,
            Period::Day => v1::QuotaPeriod::Day,
            Period::Month => v1::QuotaPeriod::Month,
            Period::Year => v1::QuotaPeriod::Year,
        };
        let measure = match self.measure {
            Measure::Requests => v1::QuotaMeasure::Requests,
            Measure::Items => v1::QuotaMeasure::Items,
            Measure::Bytes => v1::QuotaMeasure::Bytes,
        };
        v1::Limit {
            period: period.into(),
            measure: measure.into(),
            most: most.get(),
        }
    }

    /// `None` for one that this kms does not know.
    fn of(limit: &v1::Limit) -> Option<Self> {
        let period = match limit.period() {
            v1::QuotaPeriod::Minute => Period::Minute,
            v1::QuotaPeriod::Hour => Period::Hour,
            v1::QuotaPeriod::Day => Period::Day,
            v1::QuotaPeriod::Month => Period::Month,
            v1::QuotaPeriod::Year => Period::Year,
            v1::QuotaPeriod::Unspecified => return None,
        };
        let measure = match limit.measure() {
            v1::QuotaMeasure::Requests => Measure::Requests,
            v1::QuotaMeasure::Items => Measure::Items,
            v1::QuotaMeasure::Bytes => Measure::Bytes,
            v1::QuotaMeasure::Unspecified => return None,
        };
        Some(Self { period, measure })
    }
}

/// As the service takes them.
pub(crate) fn messages(written: &Written) -> Vec<v1::Limit> {
    let each = written.iter();
    each.map(|(scope, most)| scope.message(*most)).collect()
}

/// As people write what the service says.
pub(crate) fn written(limits: &[v1::Limit]) -> Written {
    let one = |limit: &v1::Limit| Some((Scope::of(limit)?, NonZeroU64::new(limit.most)?));
    limits.iter().filter_map(one).collect()
}

/// As the rules of quotas judge them.
pub(crate) fn judged(written: &Written) -> Limits {
    let mut limits = Limits::default();
    for (scope, most) in written {
        limits.set(scope.period, scope.measure, most.get());
    }
    limits
}

/// `20,000 items a day`.
pub(crate) fn sentence(limit: &v1::Limit) -> String {
    match Scope::of(limit) {
        Some(Scope { period, measure }) => {
            format!("{} {measure} {}", grouped(limit.most), period.each())
        }
        None => format!("{} of what this kms does not know", grouped(limit.most)),
    }
}

/// `items/day 20,000, items/year 500,000`.
pub(crate) fn told(written: &Written) -> String {
    let one = |(scope, most): (&Scope, &NonZeroU64)| format!("{scope} {}", grouped(most.get()));
    match written.iter().map(one).collect::<Vec<_>>().as_slice() {
        [] => "what holds without it".to_owned(),
        all => all.join(", "),
    }
}

/// `items/day=20000000`; underscores may group the digits.
pub(crate) fn limit(text: &str) -> Result<v1::Limit, Error> {
    let wrong = || {
        let sentence = format!("{text:?} is no limit: write for example items/day=20000000");
        Error::new(Kind::Usage, sentence)
    };
    let (scope, most) = text.split_once('=').ok_or_else(wrong)?;
    let scope: Scope = scope.parse().map_err(|_e: Error| wrong())?;
    let most = most.replace('_', "").parse().ok();
    Ok(scope.message(most.ok_or_else(wrong)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_written_as_it_is_read() {
        let read = limit("items/day=20_000_000").unwrap();
        assert_eq!(sentence(&read), "20,000,000 items a day");
        assert_eq!(told(&written(&[read])), "items/day 20,000,000");
        let read = limit("bytes/year=1").unwrap();
        assert_eq!(sentence(&read), "1 bytes in 365 days");
        assert_eq!(messages(&written(&[read])), [read]);
        for wrong in [
            "items/day",
            "items=1",
            "items/decade=1",
            "items/day=0",
            "day/items=1",
            "items/day=-1",
            "",
        ] {
            let told = limit(wrong).unwrap_err();
            assert!(told.to_string().contains("items/day=20000000"), "{told}");
        }
    }
}
