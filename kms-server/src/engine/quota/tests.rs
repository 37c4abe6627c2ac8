//! Whatever crashes, fails or is set on the clock: no more is spent than the windows allow that
//! have had the time to pass.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use super::*;
use crate::clock::Clock;
use crate::engine::flaky::{Fault, Flaky};
use crate::engine::ledger::Ledger;
use crate::engine::pace::Pace;
use kms_core::error::Kind;
use kms_core::quota::{Amounts, Period};
use proptest::prelude::*;
use std::sync::Mutex;
use std::time::Duration;

/// A clock that is set by hand, by the wall; the monotonic one goes on as real time does.
#[derive(Debug, Default)]
struct Manual {
    wall: Mutex<u64>,
    monotonic: Mutex<u64>,
}

impl Clock for Manual {
    fn now(&self) -> Time {
        Time(*self.wall.lock().unwrap())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(*self.monotonic.lock().unwrap())
    }
}

impl Manual {
    fn goes_on(&self, millis: u64) {
        *self.wall.lock().unwrap() += millis;
        *self.monotonic.lock().unwrap() += millis;
    }

    fn jumps(&self, millis: i64) {
        let mut wall = self.wall.lock().unwrap();
        *wall = wall.saturating_add_signed(millis);
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Use(u64),
    /// The commit of the next block fails.
    Fails(Fault),
    GoesOn(u64),
    /// The process dies and starts again.
    Restarts,
    /// Somebody sets the machine's clock.
    Jumps(i64),
}

const DAY: u64 = 24 * 3_600_000;
const A_DAY: i64 = 24 * 3_600_000;
const BEGINNING: u64 = 1_000 * DAY;

fn step(jump: impl Strategy<Value = i64>) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..700).prop_map(Step::Use),
        1 => prop_oneof![Just(Fault::NotDone), Just(Fault::DoneAndNotSaid)].prop_map(Step::Fails),
        2 => prop_oneof![0_u64..100_000, 0_u64..DAY].prop_map(Step::GoesOn),
        1 => Just(Step::Restarts),
        1 => jump.prop_map(Step::Jumps),
    ]
}

/// A service that is told a story: how much it granted, and the latest that its windows ever heard
/// of since the first use.
struct Told {
    granted: u64,
    crashes: u64,
    first: Option<Time>,
    last: Time,
}

fn tell(limits: &Limits, story: &[Step]) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (store, clock) = (Flaky::new(), Manual::default());
    clock.goes_on(BEGINNING);
    let on = Charged::Quota("spaces/w/edges/d".parse().unwrap());
    let who: Principal = "service/p".parse().unwrap();
    let (mut ledger, mut pace) = (Ledger::default(), Pace::new(clock.now(), &clock));
    let mut told = Told {
        granted: 0,
        crashes: 0,
        first: None,
        last: clock.now(),
    };
    for step in story {
        match *step {
            Step::Use(items) => {
                let now = pace.now(&clock);
                let tally = Tally {
                    requests: 1,
                    items,
                    bytes: 0,
                };
                let charge = Charge::new(limits, tally, now, &on, &who);
                let keep = Keep::Durable(&store);
                let charged = runtime.block_on(ledger.spend(keep, "name", &charge));
                told.last = told.last.max(now);
                match charged {
                    Ok((_, _)) => {
                        told.granted += items;
                        told.first.get_or_insert(now);
                    }
                    // It may be written down, and then its window has begun.
                    Err(error) if error.kind() == Kind::Unknown => {
                        told.first.get_or_insert(now);
                    }
                    Err(error) => assert!(
                        matches!(
                            error.kind(),
                            Kind::Exhausted | Kind::Invalid | Kind::Unavailable
                        ),
                        "{error:?}"
                    ),
                }
            }
            Step::Fails(fault) => store.next(fault),
            Step::GoesOn(millis) => clock.goes_on(millis),
            Step::Restarts => {
                told.crashes += 1;
                (ledger, pace) = (Ledger::default(), Pace::new(clock.now(), &clock));
            }
            Step::Jumps(millis) => clock.jumps(millis),
        }
    }
    told
}

fn a_day(most: u64) -> Limits {
    Limits {
        day: Amounts {
            items: Some(most),
            ..Amounts::default()
        },
        ..Limits::default()
    }
}

fn windows(told: &Told) -> u64 {
    let first = told.first.unwrap_or(told.last);
    (told.last.0 - first.0) / Period::Day.length() + 1
}

proptest! {
    /// Whatever crashes, fails and is set: windows of the day do not overlap, and each is spent
    /// once. Only what the clock was set forward *and* a restart took over begins a window early.
    #[test]
    fn no_story_spends_a_window_twice(
        most in 1_u64..2_000,
        story in proptest::collection::vec(step(-9 * A_DAY..9 * A_DAY), 1..120),
    ) {
        let told = tell(&a_day(most), &story);
        prop_assert!(told.granted <= most * windows(&told), "{}", told.granted);
    }

    /// Set back, however often, it gives nothing: less than two days of real time are two windows
    /// at most.
    #[test]
    fn a_clock_set_back_gives_nothing(
        most in 1_u64..2_000,
        story in proptest::collection::vec(step(-9 * A_DAY..0), 1..120),
    ) {
        let mut real = 0;
        let short = story.into_iter().take_while(|step| {
            if let Step::GoesOn(millis) = step {
                real += millis;
            }
            real < 2 * DAY
        });
        let told = tell(&a_day(most), &short.collect::<Vec<_>>());
        prop_assert!(told.granted <= 2 * most, "{}", told.granted);
    }
}

/// A use that was written down and not said to be has begun its window: the next one begins a day
/// after it, not a day after the first that was granted.
#[test]
fn a_window_begins_with_what_was_written_down() {
    let story = [
        Step::Fails(Fault::DoneAndNotSaid),
        Step::Use(0),
        Step::GoesOn(DAY - 1),
        // The block that was written ahead is spent.
        Step::Use(9),
        Step::Use(1),
        Step::GoesOn(1),
        Step::Use(10),
        Step::Use(1),
    ];
    assert_eq!(tell(&a_day(10), &story).granted, 19);
}

/// As long as nothing crashes the whole of it can be spent; each crash costs a block at most.
#[test]
fn a_crash_costs_a_thousandth_at_most() {
    let all = [Step::Use(1); 3_000];
    assert_eq!(tell(&a_day(2_000), &all).granted, 2_000);
    let mut crashing = Vec::new();
    for chunk in all.chunks(100) {
        crashing.extend_from_slice(chunk);
        crashing.push(Step::Restarts);
    }
    let told = tell(&a_day(2_000), &crashing);
    assert!(told.granted < 2_000, "what was written ahead is spent");
    assert!(told.granted + told.crashes * 2 >= 2_000, "{}", told.granted);
}

/// A clock that jumps forward while the service runs begins no window.
#[test]
fn a_jump_forward_gives_nothing_while_the_service_runs() {
    let jump = [Step::Use(10), Step::Jumps(400 * A_DAY), Step::Use(10)];
    assert_eq!(tell(&a_day(10), &jump).granted, 10);
    let day = [Step::Use(10), Step::GoesOn(DAY), Step::Use(10)];
    assert_eq!(tell(&a_day(10), &day).granted, 20);
}

/// What is not a security control is counted in the process alone.
#[test]
fn a_courtesy_writes_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let store = Flaky::new();
    let on = Charged::Quota("spaces/w/keys/k".parse().unwrap());
    let who = "service/p".parse();
    let (who, limits) = (who.unwrap(), a_day(3));
    let tally = Tally {
        requests: 1,
        items: 2,
        bytes: 0,
    };
    let charge = Charge::new(&limits, tally, Time(BEGINNING), &on, &who);
    for (keep, commits) in [(Keep::Passing, 0), (Keep::Durable(&store), 1)] {
        let ledger = Ledger::default();
        runtime.block_on(ledger.spend(keep, "n", &charge)).unwrap();
        let refused = runtime.block_on(ledger.spend(keep, "n", &charge));
        assert_eq!(refused.unwrap_err().kind(), Kind::Exhausted);
        assert_eq!(store.commits(), commits);
    }
}
