//! What holds of an account, whatever is asked of it and whenever.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use super::*;
use crate::time::Time;
use proptest::prelude::*;
use std::time::Duration;

fn limits() -> impl Strategy<Value = Limits> {
    let most = || proptest::option::weighted(0.4, 1_u64..3_000);
    let amounts = move || {
        (most(), most(), most()).prop_map(|(requests, items, bytes)| Amounts {
            requests,
            items,
            bytes,
        })
    };
    let all = (amounts(), amounts(), amounts(), amounts(), amounts());
    all.prop_map(|(minute, hour, day, month, year)| Limits {
        minute,
        hour,
        day,
        month,
        year,
    })
}

fn tally() -> impl Strategy<Value = Tally> {
    (0_u64..500, 0_u64..500).prop_map(|(items, bytes)| Tally {
        requests: 1,
        items,
        bytes,
    })
}

/// Charges, and the milliseconds before each.
fn story() -> impl Strategy<Value = Vec<(u64, Tally)>> {
    let gap = prop_oneof![
        0_u64..10,
        0_u64..70_000,
        0_u64..4_000_000,
        0_u64..100_000_000
    ];
    proptest::collection::vec((gap, tally()), 1..200)
}

/// This one limit.
fn only(period: Period, measure: Measure, most: u64) -> Limits {
    let mut limits = Limits::default();
    limits.set(period, measure, most);
    limits
}

/// So much of this measure alone.
fn of(measure: Measure, amount: u64) -> Tally {
    let mut tally = Tally::default();
    *match measure {
        Measure::Requests => &mut tally.requests,
        Measure::Items => &mut tally.items,
        Measure::Bytes => &mut tally.bytes,
    } = amount;
    tally
}

proptest! {
    /// From the first use on, no more windows than have had the time to pass are spent, each once.
    #[test]
    fn a_limit_is_never_spent_more_than_once_a_window(limits in limits(), story in story()) {
        let (mut account, mut now) = (Account::default(), Time(1_000));
        let mut granted: Vec<(Time, Tally)> = Vec::new();
        for (gap, wanted) in story {
            now = now.plus_millis(gap);
            if let Ok(after) = account.charge(&limits, wanted, now) {
                account = after;
                granted.push((now, wanted));
            }
        }
        for (period, measure, most) in limits.each() {
            let spent = |from: Time, until: u64| -> u64 {
                let inside = granted.iter().filter(|(at, _)| *at >= from && at.0 < until);
                inside.map(|(_, tally)| tally.of(measure)).sum()
            };
            for (first, _) in &granted {
                let stretch = spent(*first, first.0 + period.length());
                prop_assert!(stretch <= 2 * most, "{stretch} {measure} {}", period.each());
            }
            let begun = granted.first().map_or(now, |(at, _)| *at);
            let windows = (now.0 - begun.0) / period.length() + 1;
            prop_assert!(spent(begun, u64::MAX) <= windows * most);
        }
    }

    /// A refusal says the truth: as much as is left can be spent, one more cannot, and after its
    /// wait, and not before, all that was wanted can.
    #[test]
    fn a_refusal_says_what_is_left_and_when_all_is_free(limits in limits(), story in story()) {
        let (mut account, mut now) = (Account::default(), Time(1_000));
        for (gap, wanted) in story {
            now = now.plus_millis(gap);
            let over = match account.charge(&limits, wanted, now) {
                Ok(after) => {
                    account = after;
                    continue;
                }
                Err(over) => over,
            };
            prop_assert!(over.wanted > over.left);
            prop_assert_eq!(over.wanted, wanted.of(over.measure));
            prop_assert_eq!(limits.of(over.period).of(over.measure), Some(over.most));
            let alone = only(over.period, over.measure, over.most);
            let charge = |amount| account.charge(&alone, of(over.measure, amount), now);
            prop_assert!(charge(over.left).is_ok());
            prop_assert!(charge(over.left + 1).is_err());
            if over.never() {
                prop_assert!(Account::default().charge(&limits, wanted, now).is_err());
            } else {
                let wait = u64::try_from(over.wait.as_millis()).unwrap();
                prop_assert!(account.charge(&limits, wanted, now.plus_millis(wait)).is_ok());
                prop_assert!(account.charge(&limits, wanted, now.plus_millis(wait - 1)).is_err());
            }
        }
    }

    /// What is written down ahead covers what is spent, is within the limit, and is no more than a
    /// thousandth of it ahead.
    #[test]
    fn what_is_written_ahead_is_a_block(limits in limits(), story in story()) {
        let (mut account, mut now) = (Account::default(), Time(1_000));
        for (gap, wanted) in story {
            now = now.plus_millis(gap);
            let Ok(after) = account.charge(&limits, wanted, now) else { continue };
            account = after;
            let ahead = account.ahead(&limits);
            prop_assert!(ahead.covers(&account, &limits));
            let standings = |account: &Account| account.standings(&limits, now);
            for (spent, ahead) in standings(&account).iter().zip(&standings(&ahead)) {
                prop_assert!(spent.left - ahead.left <= spent.most.div_ceil(1000));
            }
        }
    }

    /// Each limit is told once in a window, when four fifths of it are spent.
    #[test]
    fn what_is_nearly_spent_is_told_once_a_window(limits in limits(), story in story()) {
        let (mut account, mut now) = (Account::default(), Time(1_000));
        let mut told = Vec::new();
        for (gap, wanted) in story {
            now = now.plus_millis(gap);
            let Ok(after) = account.charge(&limits, wanted, now) else { continue };
            let reached = after.reached(&account, &limits);
            account = after;
            for standing in account.standings(&limits, now) {
                let ends = now.plus_millis(standing.wait.map_or(0, |wait| {
                    u64::try_from(wait.as_millis()).unwrap()
                }));
                let this = (standing.period, standing.measure, ends);
                let tells = reached.iter().any(|reached| {
                    (reached.period, reached.measure, reached.left)
                        == (standing.period, standing.measure, standing.left)
                });
                if standing.wait.is_some() {
                    let spent = standing.left <= standing.most / 5;
                    prop_assert_eq!(tells, spent && !told.contains(&this));
                }
                if tells {
                    told.push(this);
                }
            }
        }
    }

    #[test]
    fn an_account_is_read_back_as_it_was(limits in limits(), wanted in tally(), at in 0_u64..1 << 50) {
        let account = Account::default().charge(&limits, wanted, Time(at)).unwrap_or_default();
        let text = serde_json::to_string(&account).unwrap();
        let read: Account = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.standings(&limits, Time(at)), account.standings(&limits, Time(at)));
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let text = serde_json::to_string(&limits).unwrap();
        prop_assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), limits);
    }
}

fn day(items: u64) -> Limits {
    only(Period::Day, Measure::Items, items)
}

fn items(items: u64) -> Tally {
    of(Measure::Items, items)
}

/// A clock that was set back begins nothing anew, and takes nothing away.
#[test]
fn a_window_in_the_future_is_the_present_one() {
    let limits = day(10);
    let (yesterday, today) = (Time(0), Time(Period::Day.length()));
    let account = Account::default().charge(&limits, items(8), today).unwrap();
    let account = account.charge(&limits, items(1), yesterday).unwrap();
    let over = account.charge(&limits, items(2), yesterday).unwrap_err();
    assert_eq!(
        (over.left, over.wait),
        (1, Duration::from_secs(2 * 86_400)),
        "until the window is over, by whatever clock"
    );
}

/// What was spent stays spent when the limits change.
#[test]
fn a_raised_quota_counts_what_was_spent() {
    let now = Time(5);
    let account = Account::default().charge(&day(10), items(10), now).unwrap();
    assert!(account.charge(&day(10), items(1), now).is_err());
    let account = account.charge(&day(12), items(2), now).unwrap();
    let over = account.charge(&day(5), items(1), now).unwrap_err();
    assert_eq!(over.left, 0);
}

#[test]
fn waits_are_told_rounded_up() {
    for (millis, told) in [
        (1, "1 s"),
        (59_000, "59 s"),
        (60_000, "1 min"),
        (61_000, "2 min"),
        (3_600_000, "1 h"),
        (3_601_000, "1 h 1 min"),
        (86_399_000, "24 h"),
        (86_400_000, "1 d"),
        (90_000_001, "1 d 2 h"),
        (2_592_000_000, "30 d"),
    ] {
        assert_eq!(span(Duration::from_millis(millis)), told, "{millis}");
    }
}

/// The sentences that a caller reads.
#[test]
fn a_refusal_says_what_to_do() {
    let on: Metered = "spaces/warehouse/edges/link".parse().unwrap();
    let who = "service/pseudonymiser".parse().unwrap();
    let account = Account::default().charge(on.by_default(), items(17_000), Time(0));
    let account = account.unwrap();
    let over = account.charge(on.by_default(), items(10_000), Time(18_000_000));
    let error = over.unwrap_err().error(&on, &who, false);
    assert_eq!(error.kind(), crate::Kind::Exhausted);
    assert_eq!(error.wait(), Some(Duration::from_secs(19 * 3600)));
    assert_eq!(
        error.message(),
        "the quota of service/pseudonymiser on spaces/warehouse/edges/link is 20,000 items a day: \
         3,000 are left, and this call has 10,000; all are free again in 19 h; a \
         space-steward of spaces/warehouse can raise it (kms quota set)"
    );
    let over = account.charge(&day(5), items(10), Time(0)).unwrap_err();
    let error = over.error(&on, &who, false);
    assert_eq!((error.kind(), error.wait()), (crate::Kind::Invalid, None));
    assert!(error.message().contains("make smaller calls"), "{error}");
}

/// The figures in the documentation of the default.
#[test]
fn the_default_lets_lookups_pass_and_an_enumeration_not() {
    let on: Metered = "spaces/warehouse/edges/link".parse().unwrap();
    let most = |period| {
        let items = on.by_default().of(period).items.unwrap();
        f64::from(u32::try_from(items).unwrap())
    };
    let (day, year) = (most(Period::Day), most(Period::Year));
    assert_eq!((day * 5.0, day * 25.0), (most(Period::Month), year));
    let years = 2_f64.powf(37.7) / year;
    assert!((440_000.0..450_000.0).contains(&years), "{years}");
    assert_eq!((1e6 / year, day / 1e6), (2.0, 0.02));
    // Nobody's campaign: the yearly refresh is two million people.
    assert!(2e6 > year);
}
