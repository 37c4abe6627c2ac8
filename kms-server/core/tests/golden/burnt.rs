//! Numbers that are never given out again: a change was given up, and whether its key is gone from
//! the token is not known.

use crate::sample::{NOW, bench, binding, caller, deployment, ground, key, put};
use kms_core::action::Action;
use kms_core::class::Class;
use kms_core::command::{Change, Command, LogName, Wrapped};
use kms_core::decide::decide;
use kms_core::deployment::Environment;
use kms_core::error::{Error, Kind, Result};
use kms_core::id::{KeyId, KeyUid};
use kms_core::import_token::ImportToken;
use kms_core::key::{Key, Origin, Wrapping};
use kms_core::name::KeyName;
use kms_core::permit::Permit;
use kms_core::plan::{Plan, plan};
use kms_core::record::{Detail, Event, Intention, Outcome, Record, Settled};
use kms_core::replay::Replay;
use kms_core::role::Role;
use kms_core::state::State;
use kms_core::time::Time;
use kms_core::value::Value;
use kms_core::view::View;

fn name() -> KeyName {
    "spaces/lab/keys/object".parse().unwrap()
}

/// A view with a key of two versions.
fn view() -> View {
    let mut view = deployment(Environment::Development);
    let roles = [Role::SpaceSteward, Role::KeyOperator];
    put(
        &mut view,
        Value::Binding(binding("person/p", &roles).unwrap()),
    );
    let past = [(State::Deactivated, false), (State::Active, false)];
    key(&mut view, &name(), Class::DataAtRest, &past);
    view
}

fn named(view: &View) -> Key {
    view.key(&name()).unwrap().0.clone()
}

fn numbered(view: &View, version: u32) -> KeyId {
    KeyId {
        uid: named(view).uid,
        version,
    }
}

fn judged(view: &View, change: &Change) -> Result<(Permit, Plan)> {
    let (asker, fresh) = (caller("person/p"), KeyUid([1; 16]));
    let verdict = decide(bench(view, fresh), &asker, &Command::Change(change.clone()))?;
    Ok((
        verdict.permit()?,
        plan(ground(view, &asker, fresh), change)?,
    ))
}

fn rotation() -> Change {
    Change::RotateKey {
        name: name(),
        etag: None,
        reason: "a test".into(),
        pre_active: false,
    }
}

/// `decide` and `plan` skip it, and agree on the number after it.
#[test]
fn a_burnt_number_is_skipped() {
    let mut view = view();
    let (permit, planned) = judged(&view, &rotation()).unwrap();
    let third = numbered(&view, 3);
    assert_eq!(planned.act.makes(), [third]);
    assert!(permit.covers(&third));

    view.burn(third);
    view.burn(numbered(&view, 4));
    let (permit, planned) = judged(&view, &rotation()).unwrap();
    let fifth = numbered(&view, 5);
    assert_eq!(planned.act.makes(), [fifth]);
    assert!(permit.covers(&fifth) && !permit.covers(&third));
    assert_eq!(planned.subject, "spaces/lab/keys/object/versions/5");
    let latest = planned.values(&[]).iter().find_map(|value| {
        let key = value.as_key()?;
        Some((key.latest, key.primary))
    });
    assert_eq!(latest, Some((5, Some(5))));
}

/// Another key's burnt number is no matter.
#[test]
fn it_is_burnt_for_its_key_alone() {
    let mut view = view();
    view.burn(KeyId {
        uid: KeyUid([1; 16]),
        version: 3,
    });
    let next = view.next_id(&named(&view)).unwrap();
    assert_eq!(next, numbered(&view, 3));
}

#[test]
fn numbers_end() {
    let mut view = view();
    let last = Key {
        latest: u32::MAX - 1,
        ..named(&view)
    };
    assert_eq!(view.next_id(&last).unwrap().version, u32::MAX);
    view.burn(numbered(&view, u32::MAX));
    assert_eq!(view.next_id(&last).unwrap_err().kind(), Kind::State);
}

#[test]
fn an_import_token_for_a_burnt_number_is_spent() {
    let mut view = view();
    let external: KeyName = "spaces/lab/keys/partner".parse().unwrap();
    key(&mut view, &external, Class::DataAtRest, &[]);
    let (declared, _) = view.key(&external).unwrap();
    let declared = Key {
        origin: Origin::External,
        ..declared.clone()
    };
    let wrapping: KeyName = "spaces/lab/keys/import".parse().unwrap();
    let active = [(State::Active, false)];
    key(&mut view, &wrapping, Class::ImportWrapping, &active);
    let service: KeyName = kms_core::name::IMPORT_TOKEN_KEY.parse().unwrap();
    key(&mut view, &service, Class::ServiceImportToken, &active);
    put(&mut view, Value::Key(declared.clone()));
    let target = view.next_id(&declared).unwrap();
    let import = Change::ImportKey {
        name: external,
        etag: None,
        token: ImportToken {
            target,
            wrapping: wrapping.version(1),
            mechanism: Wrapping::OaepSha256,
            expires: Time(NOW.0 + 1),
        },
        wrapped: Wrapped::Material {
            mac: [0; 32],
            bytes: vec![],
        },
        reason: "a test".into(),
    };
    let (_, planned) = judged(&view, &import).unwrap();
    assert_eq!(planned.act.makes(), [target]);

    view.burn(target);
    let spent = judged(&view, &import).unwrap_err();
    assert_eq!(spent.kind(), Kind::Conflict);
    assert!(spent.message().contains("get new import parameters"));
}

fn event(detail: Detail, result: Result<()>) -> Event {
    Event {
        time: NOW,
        caller: caller("person/p"),
        call: "a-call".into(),
        action: Action::RotateKey,
        resource: ("key".into(), name().to_string()),
        result,
        duration: None,
        emergency: false,
        detail,
    }
}

/// A rotation that was given up, fed to a replay as it is read from a log.
fn replayed(left: &[KeyId]) -> Result<Replay> {
    let (_, planned) = judged(&view(), &rotation()).unwrap();
    let intention = Detail::Intention(Box::new(Intention {
        plan: planned,
        policies: vec![],
        proposal: None,
        request: None,
    }));
    let outcome = Detail::Outcome(Box::new(Outcome {
        intention: 0,
        settled: Settled::Abandoned {
            why: "the HSM does not answer".into(),
            left: left.to_vec(),
        },
    }));
    let away = Err(Error::unavailable("the HSM does not answer"));
    let mut replay = Replay::default();
    for (index, event) in [event(intention, Ok(())), event(outcome, away)]
        .into_iter()
        .enumerate()
    {
        let record = Record::new(event, LogName::Changes, u64::try_from(index).unwrap());
        replay.feed(Record::decode(&record.encode()?)?)?;
    }
    Ok(replay)
}

/// It is in the log and nowhere else.
#[test]
fn the_log_remembers_what_is_burnt() {
    let (key, third) = (named(&view()), numbered(&view(), 3));
    let sure = replayed(&[]).unwrap();
    assert_eq!(sure.view().next_id(&key).unwrap(), third);
    let unsure = replayed(&[third]).unwrap();
    assert_eq!(unsure.view().next_id(&key).unwrap().version, 4);
    assert!(unsure.open().is_none());
}

#[test]
fn a_log_that_leaves_what_was_not_intended_does_not_replay() {
    let other = numbered(&view(), 7);
    assert_eq!(replayed(&[other]).unwrap_err().kind(), Kind::Internal);
}

/// The bytes of older records, which do not speak of it, are read and written as they were.
#[test]
fn an_older_record_reads_as_nothing_left() {
    let older = r#"{"abandoned":{"why":"the HSM does not answer"}}"#;
    let settled: Settled = serde_json::from_str(older).unwrap();
    let nothing = Settled::Abandoned {
        why: "the HSM does not answer".into(),
        left: vec![],
    };
    assert_eq!(settled, nothing);
    assert_eq!(serde_json::to_string(&settled).unwrap(), older);
}
