//! A year.

use crate::callers::Vault;
use crate::dice::Dice;
use crate::estate::{self, PROJECTS};
use crate::people;
use crate::story;
use crate::tally::Tally;
use crate::weather::{Weather, through};
use crate::world::{Answer, World};
use kms_core::command::Change;
use kms_core::id::KeyId;
use kms_core::name::SpaceName;
use kms_core::permit::{Permit, SystemOp};
use kms_core::state::State;
use kms_core::view::View;
use kms_server::clock::Clock;
use kms_server::doctor::{Finding, compare};
use kms_server::hsm::Hsm;
use softhsm_tests::setting::seed;
use softhsm_tests::sound::{no_key_has_two_primaries, nothing_was_taken_back};
use std::time::Instant;

/// At least so many days: what is decommissioned in the first weeks is erased a year later.
const DAYS: usize = 370;

/// At most so many, until custodians have agreed to the last erasure.
const MOST: usize = 450;

#[test]
fn a_hundred_keys_look_after_themselves() {
    let seed = seed();
    eprintln!("KMS_TEST_SEED={seed} throws the same dice again");
    let begun = Instant::now();
    let mut world = World::founded("a-year", "production", &estate::services());
    let keys = estate::make(&world);
    assert!((115..=125).contains(&keys), "{keys} keys");
    eprintln!("{keys} keys after {:?}", begun.elapsed());
    let (mut dice, mut tally) = (Dice::of(seed), Tally::default());
    let (mut vault, mut weather) = (Vault::default(), Weather::default());
    let mut days = 0;
    while days < DAYS || !is_over(&world.view()) {
        days += 1;
        assert!(days < MOST, "{:?}", world.due(0));
        if days == 200 {
            estate::imports(&mut world);
        }
        let before = world.view();
        weather.dawns(&mut world, &mut dice, &mut tally);
        steward(&mut world, days, &mut dice, &mut tally);
        // Time stands still until the next day.
        let now = world.now();
        people::day(&mut world, now, &mut dice, &mut tally);
        vault.day(&mut world, now, &mut dice, &mut tally);
        clockwork(&mut world, &mut dice, &mut tally);
        let after = world.view();
        no_key_has_two_primaries(&after);
        nothing_was_taken_back(&before, &after);
        what_is_erased_is_gone(&after);
    }
    weather.clears(&mut world);
    world.starts();
    settles(&world);
    nothing_is_left(&world);
    vault.all_is_as_it_should(&world, &mut tally);
    let story = story::read(&world);
    is_well(&world);
    eprintln!("{tally}");
    eprintln!("{story}");
    let (versions, held) = (
        world
            .view()
            .all()
            .filter(|s| s.value.as_version().is_some())
            .count(),
        vault.len(),
    );
    eprintln!(
        "{days} days, {versions} versions, {held} texts, in {:?}",
        begun.elapsed()
    );
    // A year in which nothing happened would prove nothing.
    assert!(story.erasures >= 3, "{story}");
    let dull = [
        story.by_itself,
        story.compromised,
        story.suspended,
        story.scheduled,
        story.destroyed,
        story.pairs,
        tally.uses,
        tally.faults,
        tally.deaths,
        tally.days_without_hsm,
        tally.jumps,
    ];
    assert!(!dull.contains(&0), "{story}; {tally}");
}

fn ending() -> impl Iterator<Item = SpaceName> {
    let names = PROJECTS.iter().take(3).map(|name| format!("spaces/{name}"));
    names.map(|name| name.parse().unwrap())
}

fn is_over(view: &View) -> bool {
    ending().all(|name| view.space(&name).unwrap().0.erased.is_some())
}

/// Three projects end: they are archived, and some days later decommissioned.
fn steward(world: &mut World, days: usize, dice: &mut Dice, tally: &mut Tally) {
    for (at, name) in ending().enumerate() {
        let (view, reason) = (world.view(), "the study is over".to_owned());
        let (space, _) = view.space(&name).unwrap();
        let ends = 2 + 2 * at;
        let change = if days >= ends && space.archived.is_none() {
            Change::ArchiveSpace {
                name,
                etag: None,
                reason,
            }
        } else if days >= ends + 2 && space.decommission.is_none() {
            Change::DecommissionSpace {
                name,
                etag: None,
                reason,
            }
        } else if days == 10 && at == 1 {
            Change::KeepSpace {
                name,
                etag: None,
                reason: "not yet".into(),
            }
        } else {
            continue;
        };
        if let Change::KeepSpace { .. } = change {
            people::asked(world, dice, tally, "person/olga", &change);
        } else {
            people::asked(world, dice, tally, "person/stella", &change);
        }
    }
}

/// The service carries out what is due; now and then two of its rounds meet.
fn clockwork(world: &mut World, dice: &mut Dice, tally: &mut Tally) {
    let at_once = if dice.one_in(4) { 2 } else { 1 };
    let (round, calm) = through(world, dice, tally, |w| w.rounds(at_once));
    tally.rounds += at_once;
    tally.done += round.map_or(0, |round| round.done);
    if calm {
        tally.done += settles(world);
        if dice.one_in(4) {
            nothing_is_left(world);
        }
    }
}

/// Nothing is amiss: a few rounds do everything that is due.
fn settles(world: &World) -> usize {
    let mut done = 0;
    for _ in 0..4 {
        let Answer::Told(round) = world.rounds(1) else {
            panic!("it died without a fault");
        };
        done += round.done;
        if round.done == 0 && round.failed == 0 {
            return done;
        }
    }
    panic!(
        "there is no end to it: {:?}: {:#?}",
        world.due(0),
        world.told_lately()
    );
}

/// Nothing is due that the service does by itself, but what waits for custodians.
fn nothing_is_left(world: &World) {
    let (due, now) = world.due(0);
    assert!(now >= world.clock.now(), "time went back");
    let left: Vec<_> = due
        .into_iter()
        .filter(|(due, waits)| due.task.by_itself() && waits.is_none())
        .collect();
    assert!(
        left.is_empty(),
        "at {now}: {left:?}: {:#?}",
        world.told_lately()
    );
}

fn what_is_erased_is_gone(view: &View) {
    for space in view.spaces().filter(|space| space.erased.is_some()) {
        for version in view.versions_in(&space.name) {
            assert_eq!(version.state, State::Destroyed, "{}", version.name);
        }
    }
}

/// `doctor` finds nothing but what the log says may be left, and nothing when that is destroyed.
fn is_well(world: &World) {
    let view = world.view();
    let examine = || world.wait(compare(&view, &*world.pool)).unwrap();
    for finding in examine().findings() {
        let Finding::Orphan(object) = finding else {
            panic!("{finding:?}");
        };
        let id: KeyId = object.id.unwrap();
        assert!(view.is_burnt(&id), "{finding:?}");
        let permit = Permit::system(SystemOp::Recovery);
        world.wait(world.pool.destroy(&permit, &id)).unwrap();
    }
    assert!(examine().is_well(), "{}", examine());
}
