//! What a caller has spent, and whether it may spend more.
//!
//! A window begins with its first use and lasts one period; what was spent in it is forgotten when
//! it ends. Never more than a limit is spent in a window, so that never more than twice the limit
//! is spent in any stretch of time as long as a period: at the end of one window and the beginning
//! of the next.
//!
//! A window that begins in the future (the clock was set back, and the service started again) is
//! the present one: nothing begins anew before it has ended.

use super::{Limits, Measure, Metered, Period};
use crate::caller::Principal;
use crate::error::Error;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// So much of each measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Calls.
    pub requests: u64,
    /// Items.
    pub items: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What one caller has spent of one key or edge, in each period.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Account {
    windows: BTreeMap<Period, Window>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    start: Time,
    spent: Tally,
    /// The limit of each measure that was told to be nearly spent. It is not written down: what was
    /// told before a crash may not have been recorded, and is told again.
    #[serde(skip)]
    told: Tally,
}

/// A limit that is nearly spent, or that a use would have gone beyond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Which of the two.
    pub level: Level,
    /// In the window of which period.
    pub period: Period,
    /// Of what.
    pub measure: Measure,
    /// How much there may be.
    pub most: u64,
    /// How much is left.
    pub left: u64,
}

/// How far a limit is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Four fifths of it; told once in a window, and again after a restart.
    Approached,
    /// A use would have gone beyond it, and was refused.
    Exceeded,
}

/// Why a charge is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// In the window of which period.
    pub period: Period,
    /// Of what.
    pub measure: Measure,
    /// How much there may be.
    pub most: u64,
    /// How much is left.
    pub left: u64,
    /// How much was wanted.
    pub wanted: u64,
    /// Until all of it is free again.
    pub wait: Duration,
}

/// How a caller stands with one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// In the window of which period.
    pub period: Period,
    /// Of what.
    pub measure: Measure,
    /// How much there may be.
    pub most: u64,
    /// How much is left.
    pub left: u64,
    /// Until all of it is free again; `None` when nothing is spent.
    pub wait: Option<Duration>,
}

impl Tally {
    /// Of one measure.
    #[must_use]
    pub fn of(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Requests => self.requests,
            Measure::Items => self.items,
            Measure::Bytes => self.bytes,
        }
    }

    fn of_mut(&mut self, measure: Measure) -> &mut u64 {
        match measure {
            Measure::Requests => &mut self.requests,
            Measure::Items => &mut self.items,
            Measure::Bytes => &mut self.bytes,
        }
    }

    fn plus(self, more: Tally) -> Tally {
        Tally {
            requests: self.requests.saturating_add(more.requests),
            items: self.items.saturating_add(more.items),
            bytes: self.bytes.saturating_add(more.bytes),
        }
    }
}

impl Window {
    fn wait(&self, period: Period, now: Time) -> Duration {
        let end = self.start.plus_millis(period.length());
        Duration::from_millis(end.0.saturating_sub(now.0))
    }
}

impl Account {
    /// An account of which nothing is left: what it says was lost, so that all of it counts as spent.
    #[must_use]
    pub fn spent(limits: &Limits, now: Time) -> Account {
        let mut account = Account::default();
        for (period, measure, most) in limits.each() {
            let window = account.windows.entry(period).or_insert(Window {
                start: now,
                spent: Tally::default(),
                told: Tally::default(),
            });
            *window.spent.of_mut(measure) = most;
        }
        account
    }

    /// The account after this is spent, all of it or nothing.
    ///
    /// # Errors
    /// The limit that does not allow it; of several, the one that is free again last, so that after
    /// its wait all of them are; before these, one that never allows so much at once.
    pub fn charge(&self, limits: &Limits, wanted: Tally, now: Time) -> Result<Account, Exceeded> {
        let over = limits.each().filter_map(|(period, measure, most)| {
            let window = self.window(period, now);
            let left = most.saturating_sub(window.spent.of(measure));
            let wanted = wanted.of(measure);
            (wanted > left).then(|| Exceeded {
                period,
                measure,
                most,
                left,
                wanted,
                wait: window.wait(period, now),
            })
        });
        if let Some(worst) = over.max_by_key(|over| (over.never(), over.wait)) {
            return Err(worst);
        }
        let mut after = self.clone();
        after
            .windows
            .retain(|period, window| !window.wait(*period, now).is_zero());
        for (period, _, _) in limits.each() {
            let window = self.window(period, now);
            let spent = window.spent.plus(wanted);
            after.windows.insert(period, Window { spent, ..window });
        }
        for (period, measure, most) in limits.each() {
            if let Some(window) = after.windows.get_mut(&period)
                && most.saturating_sub(window.spent.of(measure)) <= most / 5
            {
                *window.told.of_mut(measure) = most;
            }
        }
        Ok(after)
    }

    /// The limits that are nearly spent and that this account before it had not told.
    #[must_use]
    pub fn reached(&self, before: &Account, limits: &Limits) -> Vec<Reached> {
        let each = limits.each().filter_map(|(period, measure, most)| {
            let window = self.windows.get(&period)?;
            let former = before.windows.get(&period);
            let former = former.filter(|former| former.start == window.start);
            let told = former.map_or(0, |former| former.told.of(measure));
            let tells = window.told.of(measure) == most && told != most;
            tells.then(|| Reached {
                level: Level::Approached,
                period,
                measure,
                most,
                left: most.saturating_sub(window.spent.of(measure)),
            })
        });
        each.collect()
    }

    /// How the caller stands with each limit.
    #[must_use]
    pub fn standings(&self, limits: &Limits, now: Time) -> Vec<Standing> {
        let standing = |(period, measure, most): (Period, Measure, u64)| {
            let window = self.window(period, now);
            let spent = window.spent.of(measure);
            Standing {
                period,
                measure,
                most,
                left: most.saturating_sub(spent),
                wait: (spent > 0).then(|| window.wait(period, now)),
            }
        };
        limits.each().map(standing).collect()
    }

    /// The same with a block more of whatever is limited: what is written down before it is spent,
    /// so that a crash costs a thousandth of a limit at most, and gives nothing.
    #[must_use]
    pub fn ahead(&self, limits: &Limits) -> Account {
        let mut ahead = self.clone();
        for (period, measure, most) in limits.each() {
            if let Some(window) = ahead.windows.get_mut(&period) {
                let spent = window.spent.of_mut(measure);
                let block = most.div_ceil(BLOCKS);
                *spent = spent.saturating_add(block).min(most).max(*spent);
            }
        }
        ahead
    }

    /// Whether this, which is written down, covers what is spent.
    #[must_use]
    pub fn covers(&self, spent: &Account, limits: &Limits) -> bool {
        limits.each().all(|(period, measure, _)| {
            let Some(window) = spent.windows.get(&period) else {
                return true;
            };
            self.windows.get(&period).is_some_and(|written| {
                written.start == window.start
                    && written.spent.of(measure) >= window.spent.of(measure)
            })
        })
    }

    /// The window of a period as of now: a new one once the last has ended.
    fn window(&self, period: Period, now: Time) -> Window {
        let open = self.windows.get(&period);
        let open = open.filter(|window| !window.wait(period, now).is_zero());
        open.copied().unwrap_or(Window {
            start: now,
            spent: Tally::default(),
            told: Tally::default(),
        })
    }
}

/// Blocks in a limit.
const BLOCKS: u64 = 1000;

impl Exceeded {
    /// Whether no waiting helps.
    #[must_use]
    pub fn never(&self) -> bool {
        self.wanted > self.most
    }

    /// For the record.
    #[must_use]
    pub fn reached(&self) -> Reached {
        Reached {
            level: Level::Exceeded,
            period: self.period,
            measure: self.measure,
            most: self.most,
            left: self.left,
        }
    }

    /// What this caller of this key or edge is told of one call, or of a run of many.
    #[must_use]
    pub fn error(&self, on: &Metered, who: &Principal, run: bool) -> Error {
        let Exceeded {
            measure,
            most,
            left,
            wanted,
            ..
        } = self;
        let each = self.period.each();
        let [most, left, wanted] = [most, left, wanted].map(|number| grouped(*number));
        let whom = format!(
            "a space-steward of {} can raise it (kms quota set)",
            on.space()
        );
        if self.never() {
            let (this, way) = if run {
                ("this run", "a campaign has a budget of its own")
            } else {
                ("this call", "make smaller calls")
            };
            let sentence = format!(
                "{this} has {wanted} {measure}, and the quota of {who} on {on} is {most} {each}: \
                 {way}; {whom}"
            );
            let field = if run {
                "batch.expected"
            } else {
                measure.name()
            };
            return Error::invalid(field, sentence);
        }
        let this = if run { "this run" } else { "this call" };
        Error::exhausted(format!(
            "the quota of {who} on {on} is {most} {measure} {each}: {left} are left, and {this} \
             has {wanted}; all are free again in {}; {whom}",
            span(self.wait)
        ))
        .after(self.wait)
    }
}

/// A number for people: `15,000,000`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A stretch of time for people, rounded up: `45 s`, `12 min`, `5 h 12 min`, `3 d 4 h`.
#[must_use]
pub fn span(wait: Duration) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let parts = |unit: u64, name: &str, small: u64, smaller: &str| {
        let whole = seconds.div_ceil(small);
        match (whole * small / unit, whole * small % unit / small) {
            (large, 0) => format!("{large} {name}"),
            (large, rest) => format!("{large} {name} {rest} {smaller}"),
        }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => parts(60, "min", 60, ""),
        3_600..86_400 => parts(3_600, "h", 60, "min"),
        _ => parts(86_400, "d", 3_600, "h"),
    }
}
