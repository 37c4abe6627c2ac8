//! What is destroyed, after how many people agreed, and what is not.

use crate::people::{CUSTODIANS, agreed, approval, proposed, waiting_as};
use crate::rotation::{key, lab, round};
use crate::world::World;
use kms_core::action::Action;
use kms_core::class::Class;
use kms_core::command::{Change, Command};
use kms_core::error::Kind;
use kms_core::lifecycle::Lifecycle;
use kms_core::name::SERVICE_SPACE;
use kms_core::name::{KeyName, VersionName};
use kms_core::proposal::LIFETIME;
use kms_core::state::State;
use kms_core::time::DAY;
use kms_server::engine::Round;

fn moved(name: VersionName, transition: Action) -> Change {
    Change::MoveVersion {
        name,
        etag: None,
        transition,
        reason: "a test".into(),
        keep_processing: false,
    }
}

fn rotate(name: &KeyName) -> Change {
    Change::RotateKey {
        name: name.clone(),
        etag: None,
        reason: "a test".into(),
        pre_active: false,
    }
}

fn schedule(name: VersionName, days: u64) -> Change {
    Change::ScheduleDestruction {
        name,
        etag: None,
        waiting: days * DAY,
        force: false,
        reason: "a test".into(),
    }
}

fn state(world: &World, name: &VersionName) -> State {
    world.view().version(name).unwrap().0.state
}

/// A key whose first version two custodians agreed to destroy in thirty days.
fn doomed(world: &World) -> VersionName {
    let object = key(world, "object", Class::DataAtRest, Lifecycle::default());
    world.must("person/olga", rotate(&object));
    agreed(world, "person/olga", schedule(object.version(1), 30));
    object.version(1)
}

/// What the service asks custodians for when the day has come.
fn asks(name: &VersionName) -> Change {
    Change::MoveVersion {
        name: name.clone(),
        etag: None,
        transition: Action::DestroyVersion,
        reason: kms_core::due::Task::Destroy.reason().into(),
        keep_processing: false,
    }
}

#[test]
fn a_destruction_takes_two_people_thirty_days_and_one_more_person() {
    let world = lab("destroyed", "production");
    let first = doomed(&world);
    world.clock.goes_on(29 * DAY);
    assert_eq!(round(&world), Round::default());
    world.clock.goes_on(DAY);
    assert_eq!(round(&world).waiting, 1);
    for _ in 0..3 {
        assert_eq!(round(&world).waiting, 1, "it asks once");
    }
    assert_eq!(
        world
            .view()
            .proposals()
            .filter(|p| p.ended.is_none())
            .count(),
        1
    );
    let terms = waiting_as(&world.view(), &asks(&first));
    assert!(terms.proposer.is_scheduler());
    world.must("person/carl", approval(&terms, "person/carl"));
    assert_eq!(round(&world).done, 1);
    assert_eq!(state(&world, &first), State::Destroyed);
    assert_eq!(round(&world), Round::default());
    // Nobody else may, whatever the day.
    let alone = world.refused("person/olga", Command::Change(asks(&first)));
    assert_eq!(alone.kind(), Kind::Refused, "{alone}");
}

/// Somebody sets the clock forward by years: a custodian is asked, and what was agreed to is taken
/// back in time.
#[test]
fn a_clock_that_jumps_by_years_destroys_nothing() {
    let mut world = lab("not-destroyed", "production");
    let first = doomed(&world);
    world.clock.jumps(i64::try_from(5 * 365 * DAY).unwrap());
    for _ in 0..3 {
        round(&world);
        assert_eq!(state(&world, &first), State::Deactivated);
    }
    world.starts();
    round(&world);
    assert_eq!(state(&world, &first), State::Deactivated);
    let terms = waiting_as(&world.view(), &asks(&first));
    world.must(
        "person/carl",
        Change::CancelDestruction {
            name: first.clone(),
            etag: None,
            reason: "the clock is wrong".into(),
        },
    );
    // Who agrees too late agrees to nothing.
    let late = Command::Change(approval(&terms, "person/carol"));
    assert_eq!(world.refused("person/carol", late).kind(), Kind::State);
    assert_eq!(round(&world).done, 0);
    assert_eq!(state(&world, &first), State::Deactivated);
    assert!(
        world
            .view()
            .version(&first)
            .unwrap()
            .0
            .destruction
            .is_none()
    );
}

/// Nothing else changes meanwhile: time alone makes it ask again.
#[test]
fn a_proposal_that_nobody_answered_is_filed_again() {
    let world = lab("filed-again", "production");
    let first = doomed(&world);
    world.clock.goes_on(30 * DAY);
    assert_eq!(round(&world).waiting, 1);
    let forgotten = waiting_as(&world.view(), &asks(&first));
    world.clock.goes_on(LIFETIME + 1);
    assert_eq!(round(&world).waiting, 1);
    let view = world.view();
    let again = view
        .proposals()
        .filter(|p| p.terms.command == forgotten.command);
    assert_eq!(again.count(), 2);
    let again = view.proposals().find(|p| p.waits(world.now())).unwrap();
    world.must("person/carol", approval(&again.terms, "person/carol"));
    assert_eq!(round(&world).done, 1);
    assert_eq!(state(&world, &first), State::Destroyed);
}

/// A space whose day has come goes with everything in it: versions that are active because of a
/// compromised one, on hold, or held back.
#[test]
fn a_space_is_erased_whatever_state_its_keys_are_in() {
    let world = lab("erased", "production");
    let name: kms_core::name::SpaceName = "spaces/lab".parse().unwrap();
    let harmed = key(&world, "harmed", Class::DataAtRest, Lifecycle::default());
    agreed(
        &world,
        "person/olga",
        moved(harmed.version(1), Action::CompromiseVersion),
    );
    assert_eq!(
        state(&world, &harmed.version(2)),
        State::Active,
        "its successor"
    );
    let held = key(&world, "held", Class::DataAtRest, Lifecycle::default());
    world.must(
        "person/olga",
        moved(held.version(1), Action::SuspendVersion),
    );
    let back = key(&world, "back", Class::DataAtRest, Lifecycle::default());
    world.must(
        "person/olga",
        Change::RotateKey {
            name: back.clone(),
            etag: None,
            reason: "a test".into(),
            pre_active: true,
        },
    );
    let reason = || "the study is over".to_owned();
    world.must(
        "person/stella",
        Change::ArchiveSpace {
            name: name.clone(),
            etag: None,
            reason: reason(),
        },
    );
    let decommission = Change::DecommissionSpace {
        name: name.clone(),
        etag: None,
        reason: reason(),
    };
    agreed(&world, "person/stella", decommission);
    // What is compromised is still re-wrapped to its successor.
    assert_eq!(round(&world).done, 1);
    assert_eq!(state(&world, &harmed.version(2)), State::Active);
    assert_eq!(state(&world, &back.version(1)), State::Deactivated);
    world.clock.goes_on(364 * DAY);
    assert_eq!(round(&world), Round::default());
    world.clock.goes_on(DAY);
    round(&world);
    assert_eq!(round(&world).waiting, 1);
    let erase = Change::EraseSpace {
        name: name.clone(),
        reason: kms_core::due::Task::Erase.reason().into(),
    };
    let terms = waiting_as(&world.view(), &erase);
    world.must(CUSTODIANS[0], approval(&terms, CUSTODIANS[0]));
    assert_eq!(round(&world).done, 1);
    let view = world.view();
    assert!(view.space(&name).unwrap().0.erased.is_some());
    assert_eq!(view.versions_in(&name).count(), 5);
    for version in view.versions_in(&name) {
        assert_eq!(version.state, State::Destroyed, "{}", version.name);
        let harmed = version.name == harmed.version(1);
        assert_eq!(version.compromised.is_some(), harmed, "{}", version.name);
    }
    let objects = world
        .wait(kms_server::hsm::Hsm::objects(&*world.pool))
        .unwrap();
    let left: Vec<&str> = objects
        .iter()
        .map(|object| object.label.as_str())
        .filter(|label| !label.starts_with(&format!("{SERVICE_SPACE}/")))
        .collect();
    assert_eq!(left, [""; 0], "more than the deployment's own keys");
    // It is over: nothing is made there, and nothing is due.
    let more = world.refused("person/olga", Command::Change(rotate(&held)));
    assert_eq!(more.kind(), Kind::State, "{more}");
    assert_eq!(world.due(4000 * DAY).0, vec![]);
    let again = world.refused(
        "person/stella",
        Command::Change(Change::DecommissionSpace {
            name,
            etag: None,
            reason: reason(),
        }),
    );
    assert_eq!(again.kind(), Kind::State, "{again}");
}

#[test]
fn what_protects_is_not_destroyed_and_what_is_to_be_destroyed_does_not_protect() {
    let world = lab("not-yet-destroyed", "production");
    let object = key(&world, "object", Class::DataAtRest, Lifecycle::default());
    let early = world.refused(
        "person/olga",
        Command::Change(schedule(object.version(1), 30)),
    );
    assert_eq!(early.kind(), Kind::State, "{early}");
    world.must(
        "person/olga",
        moved(object.version(1), Action::SuspendVersion),
    );
    let short = world.refused(
        "person/olga",
        Command::Change(schedule(object.version(1), 6)),
    );
    assert_eq!(short.kind(), Kind::Refused, "{short}");
    let terms = proposed(&world, "person/olga", &schedule(object.version(1), 7));
    for custodian in CUSTODIANS {
        world.must(custodian, approval(&terms, custodian));
    }
    world.execute("person/olga", &terms.name);
    let resume = Command::Change(moved(object.version(1), Action::ResumeVersion));
    assert_eq!(world.refused("person/olga", resume).kind(), Kind::State);
    let twice = Command::Change(schedule(object.version(1), 7));
    assert_eq!(world.refused("person/olga", twice).kind(), Kind::State);
}
