//! What the service carries out by itself, with every outside call failing: it is done, and once,
//! and what was begun to be destroyed can only be destroyed.

use crate::invariants::{self, Orphans};
use crate::kind::{Kind, cancel, opens, seal};
use crate::world::{Answer, Token, World};
use kms_core::action::Action;
use kms_core::class::Class;
use kms_core::command::Change;
use kms_core::error::Kind as ErrorKind;
use kms_core::key::Origin;
use kms_core::lifecycle::Lifecycle;
use kms_core::name::{KeyName, SpaceName};
use kms_core::record::{Detail, Settled};
use kms_core::space::KEPT;
use kms_core::state::State;
use kms_core::view::View;
use kms_server::engine::Round;
use softhsm_tests::script::Fault;
use uuid::Uuid;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Rotate,
    Destroy,
    Erase,
}

#[test]
fn rotating_by_itself() {
    every_fault_in(Work::Rotate, "rotating_by_itself");
}

#[test]
fn destroying_by_itself() {
    every_fault_in(Work::Destroy, "destroying_by_itself");
}

#[test]
fn erasing_by_itself() {
    every_fault_in(Work::Erase, "erasing_by_itself");
}

impl Work {
    fn action(self) -> Action {
        match self {
            Work::Rotate => Action::RotateKey,
            Work::Destroy => Action::DestroyVersion,
            Work::Erase => Action::EraseSpace,
        }
    }

    /// Makes it due, on things of its own, and nothing else.
    fn prepare(self, world: &World, slug: &str) {
        let key = object(slug);
        match self {
            Work::Rotate => {
                let lifecycle = Lifecycle {
                    protecting: Some(60_000),
                    ..Lifecycle::default()
                };
                world.must(create(&key, lifecycle));
                world.clock().goes_on(60_000);
            }
            Work::Destroy => {
                let scheduled = Kind::ScheduleDestruction.prepare(world, slug);
                world.must(scheduled);
                world.clock().goes_on(60_000);
            }
            Work::Erase => {
                let archive = Kind::ArchiveSpace.prepare(world, slug);
                for name in two(slug) {
                    world.must(create(&name, Lifecycle::default()));
                }
                world.must(archive);
                world.must(Change::DecommissionSpace {
                    name: space(slug),
                    etag: None,
                    reason: "a test".into(),
                });
                assert_eq!(done(world), 2, "both end to protect");
                world.clock().goes_on(KEPT);
            }
        }
    }

    fn is_done(self, view: &View, slug: &str) -> bool {
        let first = || view.version(&object(slug).version(1)).unwrap().0.state;
        match self {
            Work::Rotate => {
                let key = view.key(&object(slug)).unwrap().0;
                assert!(key.latest <= 3, "a number may be burnt");
                key.primary != Some(1) && view.versions(&key.name).len() == 2
            }
            Work::Destroy => first() == State::Destroyed,
            Work::Erase => {
                let erased = view.space(&space(slug)).unwrap().0.erased.is_some();
                let gone = |name: KeyName| view.version(&name.version(1)).unwrap().0.state;
                erased
                    && two(slug)
                        .into_iter()
                        .all(|name| gone(name) == State::Destroyed)
            }
        }
    }

    /// It is never due again.
    fn retire(self, world: &World, slug: &str) {
        if self == Work::Rotate {
            let (key, _) = world
                .view()
                .key(&object(slug))
                .map(|(k, r)| (k.clone(), r))
                .unwrap();
            world.must(Change::MoveVersion {
                name: key.name.version(key.primary.unwrap()),
                etag: None,
                transition: Action::DeactivateVersion,
                reason: "a test".into(),
                keep_processing: false,
            });
        }
    }
}

fn object(slug: &str) -> KeyName {
    format!("spaces/lab/keys/{slug}").parse().unwrap()
}

fn space(slug: &str) -> SpaceName {
    format!("spaces/{slug}").parse().unwrap()
}

fn two(slug: &str) -> [KeyName; 2] {
    ["object", "volume"].map(|key| format!("spaces/{slug}/keys/{key}").parse().unwrap())
}

fn create(name: &KeyName, lifecycle: Lifecycle) -> Change {
    Change::CreateKey {
        name: name.clone(),
        class: Class::DataAtRest,
        title: "A key".into(),
        origin: Origin::Generated,
        exportable: false,
        labels: [].into(),
        study: None,
        lifecycle,
        intake: None,
    }
}

fn done(world: &World) -> usize {
    world.round().expect("no fault, no death").done
}

/// More outside calls than a round makes.
const MOST: usize = 24;

fn every_fault_in(work: Work, label: &str) {
    let mut world = World::founded(&Token::empty(label));
    let mut number = 0;
    for fault in Fault::ALL {
        for restart in [false, true] {
            if fault.is_crash() && !restart {
                continue;
            }
            let mut index = 0;
            while reached(
                &mut world,
                work,
                &format!("c{number}"),
                (index, fault, restart),
            ) {
                number += 1;
                index += 1;
                assert!(index < MOST, "a round has an end");
            }
            number += 1;
            assert!(
                index >= 4,
                "an intention, an act, a commit and an outcome at least"
            );
        }
    }
}

/// One round with one fault. Whether it made that many calls.
fn reached(
    world: &mut World,
    work: Work,
    slug: &str,
    (index, fault, restart): (usize, Fault, bool),
) -> bool {
    work.prepare(world, slug);
    let before = world.view();
    world.life().script.start([(index, fault)]);
    let round = world.round();
    let calls = world.life().script.stop();
    let story = format!("{work:?}, {fault:?} at call {index}, restart: {restart}: {calls:?}");
    let reached = calls.len() > index;
    match round {
        None => assert!(reached && fault.is_crash(), "{story}"),
        Some(round) if reached => {
            // What was done, and not heard of, was not in vain: it is told in the next round.
            assert_eq!((round.done, round.failed), (0, 1), "{story}");
        }
        Some(round) => assert_eq!((round.done, round.failed), (1, 0), "{story}"),
    }
    // A log in doubt takes nothing more before a restart.
    if round.is_none() || restart || fault == Fault::InDoubt {
        world.reopen();
    }
    for _ in 0..3 {
        let next = world.round().expect("no fault, no death");
        assert_eq!((next.failed, next.waiting), (0, 0), "{story}");
    }
    assert_eq!(world.round(), Some(Round::default()), "{story}");
    let after = world.view();
    assert!(work.is_done(&after, slug), "{story}");
    assert_eq!(committed(world, work, slug), 1, "{story}");
    invariants::hold(world, Orphans::None);
    invariants::nothing_was_taken_back(&before, &after);
    work.retire(world, slug);
    reached
}

/// How often the log says that it was done.
fn committed(world: &World, work: Work, slug: &str) -> usize {
    let mine = format!("/{slug}");
    let records = world.log();
    let done = records.iter().filter(|record| {
        let about = record
            .resource()
            .is_some_and(|(_, name)| name.ends_with(&mine) || name.contains(&format!("{mine}/")));
        let committed = match record.detail() {
            Detail::Outcome(outcome) => match outcome.settled {
                Settled::Committed { .. } => true,
                Settled::Abandoned { .. } => false,
            },
            Detail::Intention(_) | Detail::Use(_) => false,
        };
        about && committed && record.operation() == work.action().name()
    });
    done.count()
}

/// What is due is told from the store, then intention, act, commit, outcome.
#[test]
fn the_order_of_the_calls_of_a_round_is_golden() {
    let world = World::founded(&Token::empty("the_order_of_a_round"));
    let mut lines = String::new();
    for work in [Work::Rotate, Work::Destroy, Work::Erase] {
        let slug = format!("{work:?}").to_lowercase();
        work.prepare(&world, &slug);
        world.life().script.start([]);
        assert_eq!(done(&world), 1, "{work:?}");
        let calls = world.life().script.stop().join(" > ");
        lines.push_str(&format!("{slug:<8} {calls}\n"));
        work.retire(&world, &slug);
    }
    insta::assert_snapshot!(lines);
}

fn kind(answer: Answer) -> ErrorKind {
    match answer {
        Answer::Told(Err(error)) => error.kind(),
        other @ (Answer::Told(Ok(_)) | Answer::Died) => panic!("{other:?}"),
    }
}

/// The HSM may have lost it already.
#[test]
fn a_destruction_that_was_begun_is_not_taken_back() {
    for fault in [Fault::NotDone, Fault::InDoubt] {
        let mut world = World::founded(&Token::empty("a_destruction_begun"));
        Work::Destroy.prepare(&world, "object");
        begun(&world, fault, 1);
        for restart in [false, true] {
            if restart {
                world.reopen();
            }
            let back = world.change(Uuid::new_v4(), &cancel(&object("object")));
            assert_eq!(kind(back), ErrorKind::State, "{fault:?}");
        }
        assert_eq!(done(&world), 1, "{fault:?}");
        assert!(Work::Destroy.is_done(&world.view(), "object"));
        invariants::hold(&world, Orphans::None);
    }
}

/// Half of a space is gone: what is left of it is of no use, and the space is not kept.
#[test]
fn an_erasure_that_was_begun_is_not_taken_back() {
    let mut world = World::founded(&Token::empty("an_erasure_begun"));
    let [first, second] = two("lab2");
    let archive = Kind::ArchiveSpace.prepare(&world, "lab2");
    let sealed = [&first, &second].map(|name| {
        world.must(create(name, Lifecycle::default()));
        seal(&world, name)
    });
    world.must(archive);
    world.must(Change::DecommissionSpace {
        name: space("lab2"),
        etag: None,
        reason: "a test".into(),
    });
    assert_eq!(done(&world), 2, "both end to protect");
    let [one, other] = sealed;
    assert!(opens(&world, &first, one.clone()), "it still processes");
    world.clock().goes_on(KEPT);
    begun(&world, Fault::NotDone, 2);
    for restart in [false, true] {
        if restart {
            world.reopen();
        }
        let keep = Change::KeepSpace {
            name: space("lab2"),
            etag: None,
            reason: "a test".into(),
        };
        assert_eq!(kind(world.change(Uuid::new_v4(), &keep)), ErrorKind::State);
        assert!(!opens(&world, &first, one.clone()));
        assert!(!opens(&world, &second, other.clone()));
    }
    assert_eq!(done(&world), 1);
    assert!(
        world
            .view()
            .space(&space("lab2"))
            .unwrap()
            .0
            .erased
            .is_some()
    );
    invariants::hold(&world, Orphans::None);
}

/// A round in which the HSM does not do its part: the so-manieth destruction fails.
fn begun(world: &World, fault: Fault, which: usize) {
    let calls = |faults: &[(usize, Fault)]| {
        world.life().script.start(faults.iter().copied());
        let round = world.round().expect("no death");
        (round, world.life().script.stop())
    };
    // The store is read to tell what is due, once for itself and once to judge by.
    for index in 0..MOST {
        let (round, made) = calls(&[(index, Fault::NotDone)]);
        assert_eq!(round.done, 0, "{made:?}");
        if made
            .last()
            .is_some_and(|call| call == "changes.append intention")
        {
            // Nothing was begun yet; the next is the HSM's first.
            let (round, made) = calls(&[(index + which, fault)]);
            assert_eq!((round.done, round.failed), (0, 1), "{made:?}");
            let asked = made.iter().filter(|call| *call == "hsm.destroy").count();
            assert_eq!(asked, which, "{made:?}");
            return;
        }
    }
    panic!("no intention was written");
}
