//! The life of keys under random changes: what `decide` permits and `plan` writes never breaks it.

use crate::sample::{NOW, bench, binding, caller, deployment, ground, key, learned, put};
use kms_core::action::Action;
use kms_core::class::Class;
use kms_core::command::{Change, Command};
use kms_core::decide::{Bench, Verdict, decide};
use kms_core::deployment::Environment;
use kms_core::error::Kind;
use kms_core::id::{KeyId, KeyUid};
use kms_core::key::{Origin, Version};
use kms_core::lifecycle::Lifecycle;
use kms_core::name::KeyName;
use kms_core::plan::{Ground, plan};
use kms_core::revision::Revision;
use kms_core::role::Role;
use kms_core::state::{State, Use};
use kms_core::time::Time;
use kms_core::value::Value;
use kms_core::view::View;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Debug, Clone)]
enum Step {
    Create(u8, Class),
    Rotate(u8, bool),
    /// A rotation that is given up, and nobody knows whether its key is gone.
    Burn(u8),
    Move(u8, u32, Action, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..3_u8;
    let class = prop::sample::select(Class::OFFERED.to_vec());
    let transition = prop::sample::select(vec![
        Action::ActivateVersion,
        Action::SuspendVersion,
        Action::ResumeVersion,
        Action::DeactivateVersion,
        Action::CompromiseVersion,
        Action::ScheduleDestruction,
    ]);
    prop_oneof![
        1 => (key.clone(), class).prop_map(|(key, class)| Step::Create(key, class)),
        3 => (key.clone(), any::<bool>()).prop_map(|(key, held)| Step::Rotate(key, held)),
        1 => key.clone().prop_map(Step::Burn),
        6 => (key, 1..6_u32, transition, any::<bool>())
            .prop_map(|(key, number, moved, kept)| Step::Move(key, number, moved, kept)),
    ]
}

fn name(key: u8) -> KeyName {
    format!("spaces/lab/keys/k{key}").parse().unwrap()
}

fn change(step: &Step) -> Change {
    let reason = "a test".to_owned();
    match step {
        Step::Create(key, class) => Change::CreateKey {
            name: name(*key),
            class: *class,
            title: String::new(),
            origin: Origin::Generated,
            exportable: false,
            labels: [].into(),
            study: None,
            lifecycle: Lifecycle::default(),
        },
        Step::Rotate(key, pre_active) => Change::RotateKey {
            name: name(*key),
            etag: None,
            reason,
            pre_active: *pre_active,
        },
        Step::Burn(key) => Change::RotateKey {
            name: name(*key),
            etag: None,
            reason,
            pre_active: false,
        },
        Step::Move(key, number, transition, keep_processing) => Change::MoveVersion {
            name: name(*key).version(*number),
            etag: None,
            transition: *transition,
            reason,
            keep_processing: *keep_processing,
        },
    }
}

/// The world after a change, or none if it was refused; what it burnt is added to `burnt`.
fn after(view: &View, step: &Step, at: u8, burnt: &mut BTreeSet<KeyId>) -> Option<View> {
    let asker = caller("person/p");
    let change = change(step);
    let fresh = KeyUid([at.wrapping_add(100); 16]);
    let now = Time(NOW.0 + u64::from(at));
    let bench = Bench {
        now,
        ..bench(view, fresh)
    };
    let ground = Ground {
        now,
        ..ground(view, &asker, fresh)
    };
    let planned = decide(bench, &asker, &Command::Change(change.clone()))
        .and_then(Verdict::permit)
        .and_then(|permit| Ok((permit, plan(ground, &change)?)));
    let planned = match planned {
        Ok((permit, planned)) => {
            if let Some(made) = planned.act.makes() {
                assert!(
                    permit.covers(&made),
                    "{step:?} makes what was not permitted"
                );
                assert!(!burnt.contains(&made), "{step:?} gives a burnt number out");
            }
            planned
        }
        Err(error) => {
            assert_ne!(error.kind(), Kind::Internal, "{step:?}: {error:?}");
            return None;
        }
    };
    let mut next = view.clone();
    if let Step::Burn(_) = step {
        let left = planned.act.makes().unwrap();
        next.burn(left);
        burnt.insert(left);
        return Some(next);
    }
    let revision = Revision(view.revision().0 + 1);
    for write in &planned.writes {
        let there = view.get(&write.value.name()).map(|s| s.revision);
        assert_eq!(there, write.replaces, "a write on what was not read");
    }
    for value in planned.values(Some(&learned(u32::from(at)))) {
        next.put(value, revision);
    }
    Some(next)
}

fn sound(view: &View, key: &KeyName, burnt: &BTreeSet<KeyId>) {
    let Some((declared, _)) = view.key(key) else {
        return;
    };
    let versions = view.versions(key);
    let numbers: Vec<u32> = versions.iter().map(|v| v.name.number()).collect();
    let uid = declared.uid;
    let given = (1..=declared.latest).filter(|version| {
        let version = *version;
        !burnt.contains(&KeyId { uid, version })
    });
    assert_eq!(numbers, given.collect::<Vec<u32>>());
    let active: Vec<u32> = versions
        .iter()
        .filter(|v| v.state == State::Active)
        .map(|v| v.name.number())
        .collect();
    let primary = view.primary(declared);
    match (active.as_slice(), primary) {
        ([one], Some(primary)) => assert_eq!(*one, primary.name.number()),
        ([], None) => {}
        ([], Some(primary)) => assert_eq!(primary.state, State::Suspended),
        (several, primary) => panic!("{several:?} active, primary {primary:?}"),
    }
    for version in versions {
        let may = |usage| version.state.allows(usage, version.suspended_processing);
        let over = matches!(
            version.state,
            State::PreActive | State::Compromised | State::Destroyed
        );
        assert!(!over || !(may(Use::Protect) || may(Use::Process)));
        assert!(
            !version.suspended_processing || version.state == State::Suspended,
            "{} keeps what its suspension said",
            version.name
        );
    }
}

fn went_forward(old: &Version, new: &Version) {
    let name = &old.name;
    let moved = old.state != new.state;
    assert!(
        !moved || old.state.may_become(new.state),
        "{name}: {} to {}",
        old.state,
        new.state
    );
    assert_eq!((old.id, &old.learned), (new.id, &new.learned), "{name}");
    if old.compromised.is_some() {
        assert_eq!(old.compromised, new.compromised, "{name} un-compromised");
    }
    let reached = new.state == State::Compromised && moved;
    assert!(!reached || new.compromised.is_some(), "{name} forgot when");
    assert!(
        !moved || new.moved.actor.ends_with("person/p"),
        "{name}: by whom"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_live_as_they_should(
        first in vec((prop::sample::select(State::ALL.to_vec()), any::<bool>()), 0..3),
        steps in vec(step(), 1..30),
    ) {
        let mut view = deployment(Environment::Development);
        let roles = [Role::SpaceSteward, Role::KeyOperator];
        put(&mut view, Value::Binding(binding("person/p", &roles).unwrap()));
        // A key with a past, of which at most one version is active or suspended.
        let mut held = false;
        let mut burnt = BTreeSet::new();
        let past: Vec<(State, bool)> = first
            .into_iter()
            .filter(|(state, _)| {
                let holds = matches!(state, State::Active | State::Suspended);
                !holds || !std::mem::replace(&mut held, true)
            })
            .collect();
        key(&mut view, &name(0), Class::DataAtRest, &past);
        for (at, step) in (0..=u8::MAX).zip(&steps) {
            let Some(next) = after(&view, step, at, &mut burnt) else { continue };
            for key in 0..3 {
                sound(&next, &name(key), &burnt);
                for old in view.versions(&name(key)) {
                    let (new, _) = next.version(&old.name).unwrap();
                    went_forward(old, new);
                }
            }
            view = next;
        }
    }
}
