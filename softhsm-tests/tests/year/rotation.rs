//! When a key is rotated by the service itself, and how often.

use crate::world::{Answer, World};
use kms_core::action::Action;
use kms_core::class::Class;
use kms_core::command::{Change, Command, Plain, Use};
use kms_core::due::Task;
use kms_core::envelope::EncryptionContext;
use kms_core::error::{Error, Kind};
use kms_core::key::Origin;
use kms_core::lifecycle::{ENCRYPTIONS, ENCRYPTIONS_MAX, Lifecycle};
use kms_core::name::KeyName;
use kms_core::space::SpaceKind;
use kms_core::time::{DAY, HOUR};
use kms_server::engine::Round;
use zeroize::Zeroizing;

/// Who encrypts.
pub(crate) const SERVICE: &str =
    "  - principal: service/etl\n    roles: [{role: data-service, spaces: [lab]}]\n";

/// A deployment with a space `lab`.
pub(crate) fn lab(label: &str, environment: &str) -> World {
    let world = World::founded(label, environment, SERVICE);
    world.must(
        "person/stella",
        Change::CreateSpace {
            name: "spaces/lab".parse().unwrap(),
            title: "Laboratory".into(),
            kind: SpaceKind::Project,
            lifecycle: Lifecycle::default(),
        },
    );
    world
}

/// A key of the laboratory.
pub(crate) fn key(world: &World, slug: &str, class: Class, lifecycle: Lifecycle) -> KeyName {
    let name: KeyName = format!("spaces/lab/keys/{slug}").parse().unwrap();
    world.must(
        "person/olga",
        Change::CreateKey {
            name: name.clone(),
            class,
            title: "A key".into(),
            origin: Origin::Generated,
            exportable: false,
            labels: [].into(),
            study: None,
            lifecycle,
            intake: None,
        },
    );
    name
}

fn data_key(world: &World, lifecycle: Lifecycle) -> KeyName {
    key(world, "object", Class::DataAtRest, lifecycle)
}

/// What one round came to.
pub(crate) fn round(world: &World) -> Round {
    match world.rounds(1) {
        Answer::Told(round) => round,
        Answer::Died => panic!("it died without a fault"),
    }
}

fn primary(world: &World, name: &KeyName) -> u32 {
    world.view().key(name).unwrap().0.primary.unwrap()
}

fn encrypt(world: &World, key: &KeyName, bytes: usize) -> Result<(), Error> {
    let item = Plain {
        plaintext: Zeroizing::new(vec![7; bytes]),
        context: Ok(EncryptionContext::default()),
    };
    let usage = Use::Encrypt {
        key: key.clone(),
        items: vec![item],
    };
    match world.ask("service/etl", Command::Use(usage)) {
        Answer::Told(told) => told.map(drop),
        Answer::Died => panic!("it died without a fault"),
    }
}

#[test]
fn a_key_is_rotated_when_its_time_has_come_and_once() {
    let world = lab("rotated-by-time", "development");
    let object = data_key(&world, Lifecycle::default());
    let (due, now) = world.due(400 * DAY);
    let rotations: Vec<_> = due.iter().filter(|(d, _)| d.task == Task::Rotate).collect();
    assert_eq!(rotations.len(), 1, "{due:?}");
    let at = rotations.first().unwrap().0.at.since(now);
    // Spread over the last twentieth of a year.
    assert!((346 * DAY..=365 * DAY).contains(&at), "{at}");
    world.clock.goes_on(at - 1);
    assert_eq!(round(&world), Round::default());
    world.clock.goes_on(1);
    let Answer::Told(met) = world.rounds(3) else {
        panic!("it died without a fault");
    };
    assert_eq!((met.done, met.failed), (1, 0), "three rounds at once");
    assert_eq!(primary(&world, &object), 2);
    assert_eq!(round(&world), Round::default());
}

#[test]
fn keys_that_were_made_together_are_not_rotated_together() {
    let world = lab("rotated-apart", "development");
    for number in 0..12 {
        let slug = format!("object-{number}");
        key(&world, &slug, Class::DataAtRest, Lifecycle::default());
    }
    let (due, _) = world.due(370 * DAY);
    let mut days: Vec<u64> = due.iter().map(|(due, _)| due.at.0 / DAY).collect();
    assert_eq!(days.len(), 12, "{due:?}");
    days.dedup();
    assert!(days.len() > 3, "{days:?}");
}

#[test]
fn what_is_due_while_the_hsm_is_away_or_the_disk_is_full_is_done_afterwards() {
    let mut world = lab("rotated-late", "development");
    let object = data_key(&world, Lifecycle::default());
    world.clock.goes_on(366 * DAY);
    world.hsm_away = true;
    world.life().hsm.goes(true);
    for _ in 0..3 {
        let tried = round(&world);
        assert_eq!((tried.done, tried.failed), (0, 1), "it says so each time");
    }
    // Nothing of it fills the log.
    assert!(world.log().iter().all(|r| r.actor() != "scheduler"));
    world.starts();
    assert_eq!(round(&world).failed, 1);
    world.hsm_away = false;
    world.life().hsm.goes(false);
    world.life().store.fills(true);
    assert_eq!(round(&world).failed, 1);
    assert_eq!(primary(&world, &object), 1);
    world.life().store.fills(false);
    assert_eq!(round(&world).done, 1);
    assert_eq!(primary(&world, &object), 2);
    // The next one is a year after it was done, not after it was due.
    world.clock.goes_on(345 * DAY);
    assert_eq!(round(&world), Round::default());
    world.clock.goes_on(20 * DAY);
    assert_eq!(round(&world).done, 1);
}

/// While the HSM is away, what needs none goes on.
#[test]
fn an_archived_space_ends_to_protect_while_the_hsm_is_away() {
    let world = lab("archived-without-hsm", "development");
    let object = data_key(&world, Lifecycle::default());
    world.clock.goes_on(366 * DAY);
    world.must(
        "person/stella",
        Change::CreateSpace {
            name: "spaces/other".parse().unwrap(),
            title: "Another".into(),
            kind: SpaceKind::Project,
            lifecycle: Lifecycle::default(),
        },
    );
    let over: KeyName = "spaces/other/keys/object".parse().unwrap();
    world.must(
        "person/olga",
        Change::CreateKey {
            name: over.clone(),
            class: Class::DataAtRest,
            title: "A key".into(),
            origin: Origin::Generated,
            exportable: false,
            labels: [].into(),
            study: None,
            lifecycle: Lifecycle::default(),
            intake: None,
        },
    );
    world.must(
        "person/stella",
        Change::ArchiveSpace {
            name: "spaces/other".parse().unwrap(),
            etag: None,
            reason: "the study is over".into(),
        },
    );
    world.life().hsm.goes(true);
    let tried = round(&world);
    assert_eq!((tried.done, tried.failed), (1, 1));
    assert_eq!(primary(&world, &object), 1);
    assert_eq!(world.view().key(&over).unwrap().0.primary, None);
}

#[test]
fn a_key_is_rotated_when_it_has_protected_enough() {
    let world = lab("rotated-by-use", "development");
    let often = Lifecycle {
        encryptions: Some(4),
        ..Lifecycle::default()
    };
    let much = Lifecycle {
        bytes: Some(100),
        ..Lifecycle::default()
    };
    let often = key(&world, "often", Class::DataAtRest, often);
    let much = key(&world, "much", Class::DataAtRest, much);
    let tasks = || {
        let (due, _) = world.due(0);
        due.into_iter().map(|(due, _)| due.task).collect::<Vec<_>>()
    };
    encrypt(&world, &often, 1).unwrap();
    encrypt(&world, &much, 49).unwrap();
    assert_eq!(tasks(), vec![]);
    encrypt(&world, &often, 1).unwrap();
    encrypt(&world, &much, 1).unwrap();
    assert_eq!(tasks(), vec![Task::HalfSpent, Task::HalfSpent]);
    assert_eq!(
        round(&world),
        Round::default(),
        "that is for people to know"
    );
    encrypt(&world, &often, 1).unwrap();
    encrypt(&world, &much, 49).unwrap();
    assert_eq!(round(&world), Round::default());
    encrypt(&world, &often, 1).unwrap();
    encrypt(&world, &much, 1).unwrap();
    assert_eq!(tasks(), vec![Task::RotateByUse, Task::RotateByUse]);
    // It goes on protecting until then: nobody waits for a rotation.
    encrypt(&world, &often, 1).unwrap();
    let Answer::Told(met) = world.rounds(2) else {
        panic!("it died without a fault");
    };
    assert_eq!((met.done, met.failed), (2, 0), "two rounds at once");
    assert_eq!((primary(&world, &often), primary(&world, &much)), (2, 2));
    assert_eq!(tasks(), vec![]);
}

/// As an earlier process left it: a count, in the words of this version of the service or of the one
/// before.
#[test]
fn a_count_is_durable_rotates_at_half_and_refuses_at_the_end() {
    let mut world = lab("rotated-by-count", "development");
    let object = data_key(&world, Lifecycle::default());
    let id = |world: &World, number| world.view().version(&object.version(number)).unwrap().0.id;
    let place = |id| format!("local/encryptions/{id}");
    let first = place(id(&world, 1));
    world.leaves(&first, &(ENCRYPTIONS - 1).to_string());
    assert_eq!(round(&world), Round::default());
    encrypt(&world, &object, 1).unwrap();
    assert_eq!(round(&world).done, 1, "2^31");
    assert_eq!(primary(&world, &object), 2);

    let second = place(id(&world, 2));
    let near = format!(r#"{{"encryptions":{},"bytes":0}}"#, ENCRYPTIONS_MAX - 2);
    world.leaves(&second, &near);
    encrypt(&world, &object, 1).unwrap();
    encrypt(&world, &object, 1).unwrap();
    let over = encrypt(&world, &object, 1).unwrap_err();
    assert_eq!(over.kind(), Kind::State, "{over}");
    // A process that dies has at most counted too much.
    world.starts();
    assert_eq!(encrypt(&world, &object, 1).unwrap_err().kind(), Kind::State);
    assert_eq!(round(&world).done, 1);
    for _ in 0..3 {
        encrypt(&world, &object, 1).unwrap();
        world.starts();
    }
    let third = place(id(&world, 3));
    let stored = world.stored();
    let written = stored.iter().find(|entry| entry.key == third).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&written.value).unwrap();
    let counted = written.get("encryptions").unwrap().as_u64().unwrap();
    assert!(counted >= 3, "{counted}");
    assert!(
        counted < ENCRYPTIONS,
        "{counted}: a few starts spend nothing much"
    );
}

#[test]
fn a_pair_for_imports_goes_by_itself_and_not_because_somebody_sets_the_clock() {
    let mut world = lab("a-pair-goes", "production");
    let pair = key(
        &world,
        "import",
        Class::ImportWrapping,
        Lifecycle::default(),
    );
    world.must(
        "person/olga",
        Change::RotateKey {
            name: pair.clone(),
            etag: None,
            reason: "a test".into(),
            pre_active: false,
        },
    );
    let gone = |world: &World| {
        let view = world.view();
        let (version, _) = view.version(&pair.version(1)).unwrap();
        version.state == kms_core::state::State::Destroyed
    };
    // Forward by a month, and a rotation is due; nothing else is.
    world.clock.jumps(i64::try_from(30 * DAY).unwrap());
    assert_eq!(round(&world).done, 1);
    assert!(!gone(&world), "one clock says so");
    // Nor after a start, which knows nothing of the time before it.
    world.starts();
    round(&world);
    assert!(!gone(&world));
    world.clock.goes_on(23 * HOUR);
    round(&world);
    assert!(!gone(&world));
    world.clock.goes_on(HOUR);
    let Answer::Told(met) = world.rounds(2) else {
        panic!("it died without a fault");
    };
    assert_eq!((met.done, met.failed), (2, 0), "both former pairs, once");
    assert!(gone(&world));
    let destroyed = world
        .log()
        .iter()
        .filter(|record| {
            record.operation() == Action::DestroyVersion.name() && record.actor() == "scheduler"
        })
        .count();
    assert_eq!(destroyed, 4, "an intention and an outcome for each");
}
