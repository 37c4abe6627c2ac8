//! Whatever order, repeats, crashes and faults: never more is evaluated than was charged, and
//! nothing is charged twice.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use super::*;
use crate::engine::flaky::{Fault, Flaky};
use kms_core::caller::Principal;
use kms_core::quota::{Limits, RUN_LIFE, RUNS_MAX};
use kms_core::time::{HOUR, Time};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A call of one of the runs.
    Call {
        run: u8,
        offset: u64,
        count: u8,
        content: u8,
    },
    /// The next commit fails.
    Fails(Fault),
    /// The process dies and starts again.
    Restarts,
    GoesOn(u64),
}

const EXPECTED: u64 = 30;
const MOST: u64 = 1_000;

fn step() -> impl Strategy<Value = Step> {
    let call = (0_u8..3, 0_u64..EXPECTED, 1_u8..9, 0_u8..2);
    let call = call.prop_map(|(run, offset, count, content)| Step::Call {
        run,
        offset,
        count,
        content,
    });
    prop_oneof![
        12 => call,
        2 => prop_oneof![Just(Fault::NotDone), Just(Fault::DoneAndNotSaid)].prop_map(Step::Fails),
        2 => Just(Step::Restarts),
        1 => prop_oneof![0..HOUR, 0..RUN_LIFE].prop_map(Step::GoesOn),
    ]
}

/// A service that is told a story, and what must be true of it.
struct World {
    store: Flaky,
    runs: Runs,
    spent: Ledger<Account>,
    now: Time,
    limits: Limits,
    on: Charged,
    who: Principal,
}

/// A run as it must be: when it began, and what is checked off.
type Begun = (Time, BTreeMap<u64, (u8, u8)>);

impl World {
    fn new(most: u64) -> Self {
        let limits = format!(r#"{{"year":{{"items":{most}}}}}"#);
        World {
            store: Flaky::new(),
            runs: Runs::default(),
            spent: Ledger::default(),
            now: Time(1_000),
            limits: serde_json::from_str(&limits).unwrap(),
            on: Charged::Quota("spaces/w/edges/d".parse().unwrap()),
            who: "service/p".parse().unwrap(),
        }
    }

    fn restarts(&mut self) {
        (self.runs, self.spent) = (Runs::default(), Ledger::default());
    }

    fn calls(&self, batch: Batch, items: u64, content: u8) -> Result<CheckedOff> {
        let tally = Tally {
            requests: 1,
            items,
            bytes: 0,
        };
        let charge = Charge::new(&self.limits, tally, self.now, &self.on, &self.who);
        let mut charge = charge.of_a_run();
        let part = Part {
            batch,
            version: 1,
            mark: [content; 16],
        };
        let checked = self
            .runs
            .check_off(&self.store, &self.spent, &mut charge, part);
        runtime().block_on(checked)
    }

    /// Whether the store has it.
    fn has_begun(&self, run: u8) -> bool {
        let of = self.on.runs(&self.who);
        let runs = runtime().block_on(read(&self.store, &of)).unwrap();
        runs.get(&id(run))
            .is_some_and(|run| !run.is_over(RUN_LIFE, self.now))
    }

    /// Identifiers that were charged, and those that were counted ahead.
    fn charged(&self) -> u64 {
        let name = self.on.account(&self.who);
        let spent = self.spent.spent(Keep::Durable(&self.store), &name);
        let account: Account = runtime().block_on(spent).unwrap();
        let standings = account.standings(&self.limits, self.now);
        standings.first().map_or(0, |year| year.most - year.left)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.build().unwrap()
}

fn id(run: u8) -> Uuid {
    Uuid::from_u128(u128::from(run))
}

proptest! {
    #[test]
    fn never_more_is_evaluated_than_charged_and_nothing_charged_twice(
        story in proptest::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new(MOST);
        let mut model: BTreeMap<u8, Begun> = BTreeMap::new();
        let mut evaluated: BTreeSet<(u8, Time, u64, u8)> = BTreeSet::new();
        let (mut begun, mut ahead) = (0, 0);
        for step in story {
            let Step::Call { run, offset, count, content } = step else {
                match step {
                    Step::Call { .. } => {}
                    Step::Fails(fault) => world.store.next(fault),
                    Step::Restarts => {
                        ahead += 1;
                        world.restarts();
                    }
                    Step::GoesOn(millis) => world.now = world.now.plus_millis(millis),
                }
                continue;
            };
            let Ok(batch) = Batch::new(id(run), EXPECTED, offset, usize::from(count)) else {
                continue;
            };
            let over = |begun: &Begun| begun.0.plus_millis(RUN_LIFE) <= world.now;
            let known = model.get(&run).filter(|begun| !over(begun)).cloned();
            let (since, mut calls) = known.clone().unwrap_or((world.now, BTreeMap::new()));
            let there = calls.get(&offset) == Some(&(count, content));
            let told = world.calls(batch, u64::from(count), content);
            let done = match told {
                Ok(CheckedOff { again, .. }) => {
                    prop_assert_eq!(again, there);
                    for position in offset..offset + u64::from(count) {
                        evaluated.insert((run, since, position, content));
                    }
                    true
                }
                Err(error) => {
                    let kind = error.kind();
                    let unknown = kind == Kind::Unknown;
                    // What is written ahead counts as spent then.
                    ahead += u64::from(unknown);
                    let none = [Kind::Invalid, Kind::Unavailable, Kind::Exhausted];
                    prop_assert!(unknown || none.contains(&kind), "{error:?}");
                    // What failed may have been to forget a run, before anything was begun.
                    unknown && world.has_begun(run)
                }
            };
            if done {
                begun += if known.is_none() { EXPECTED } else { 0 };
                calls.insert(offset, (count, content));
                model.insert(run, (since, calls));
            }
            let charged = world.charged();
            let evaluated = u64::try_from(evaluated.len()).unwrap();
            prop_assert!(evaluated <= charged, "{evaluated} of {charged}");
            prop_assert!(begun <= charged && charged <= begun + ahead, "{charged}, {begun} begun");
        }
    }
}

#[test]
fn a_run_is_refused_whole_and_its_calls_cost_nothing_more() {
    let mut world = World::new(50);
    let over = Batch::new(id(1), 51, 0, 5).unwrap();
    let refused = world.calls(over, 5, 1).unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid);
    assert!(refused.message().contains("budget"), "{refused}");
    assert_eq!((world.charged(), world.store.under("local/runs/")), (0, 0));
    let first = Batch::new(id(1), 40, 0, 5).unwrap();
    let reached = world.calls(first, 5, 1).unwrap().reached;
    assert_eq!((world.charged(), reached.len()), (40, 1), "80 of 100");
    world.restarts();
    assert!(world.calls(first, 5, 1).unwrap().again);
    let left = Batch::new(id(2), 11, 0, 1).unwrap();
    assert_eq!(world.calls(left, 1, 1).unwrap_err().kind(), Kind::Exhausted);
    for offset in 1..8 {
        let next = Batch::new(id(1), 40, offset * 5, 5).unwrap();
        let told = world.calls(next, 5, 1).unwrap();
        assert_eq!((told.again, told.reached.len()), (false, 0));
    }
    assert_eq!(
        world.charged(),
        41,
        "with what was written ahead of the restart"
    );
}

/// What is over makes room; what is under way does not.
#[test]
fn so_many_runs_are_remembered() {
    let mut world = World::new(MOST);
    let runs = u8::try_from(RUNS_MAX).unwrap();
    let begin = |world: &World, run: u8, expected: u64| {
        world.calls(Batch::new(id(run), expected, 0, 1).unwrap(), 1, 1)
    };
    for run in 0..runs {
        begin(&world, run, 2).unwrap();
    }
    assert_eq!(begin(&world, runs, 2).unwrap_err().kind(), Kind::Exhausted);
    world.now = world.now.plus_millis(RUN_LIFE);
    world.store.next(Fault::NotDone);
    assert_eq!(
        begin(&world, runs, 2).unwrap_err().kind(),
        Kind::Unavailable
    );
    begin(&world, runs, 2).unwrap();
    assert_eq!(world.store.under("local/runs/"), 1);
}
