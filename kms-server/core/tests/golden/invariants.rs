//! What holds of keys after every change, each by its name.

use crate::life::{Life, lab};
use crate::sample::{bench, caller};
use kms_core::command::{Command, Use as Usage};
use kms_core::decide::{Bench, Verdict, decide};
use kms_core::id::{KeyId, KeyUid};
use kms_core::key::Version;
use kms_core::name::KeyName;
use kms_core::state::{State, Use};
use kms_core::time::Time;
use kms_core::view::View;

pub(crate) fn numbers_are_never_given_out_again(life: &Life, key: &KeyName) {
    let Some((declared, _)) = life.view.key(key) else {
        return;
    };
    let versions = life.view.versions(key);
    let numbers: Vec<u32> = versions.iter().map(|v| v.name.number()).collect();
    let uid = declared.uid;
    let given = (1..=declared.latest).filter(|number| {
        let version = *number;
        // What was to be destroyed is there, and burnt.
        numbers.contains(number) || !life.burnt.contains(&KeyId { uid, version })
    });
    assert_eq!(numbers, given.collect::<Vec<u32>>());
}

pub(crate) fn there_are_never_two_primaries(view: &View, key: &KeyName) {
    let Some((declared, _)) = view.key(key) else {
        return;
    };
    let versions = view.versions(key);
    let active: Vec<u32> = versions
        .iter()
        .filter(|v| v.state == State::Active)
        .map(|v| v.name.number())
        .collect();
    match (active.as_slice(), view.primary(declared)) {
        ([one], Some(primary)) => assert_eq!(*one, primary.name.number()),
        ([], None) => {}
        ([], Some(primary)) => assert_eq!(primary.state, State::Suspended),
        (several, primary) => panic!("{several:?} active, primary {primary:?}"),
    }
}

/// What `decide` permits of a key, version by version, is what its state says.
pub(crate) fn nothing_is_used_that_may_not_be(life: &Life, key: &KeyName) {
    for version in life.view.versions(key) {
        let may = |usage| version.allows(usage);
        let over = matches!(
            version.state,
            State::PreActive | State::Compromised | State::Destroyed
        ) || version.destruction.is_some();
        assert!(
            !over || !(may(Use::Protect) || may(Use::Process)),
            "{}",
            version.name
        );
        assert!(
            !version.suspended_processing || version.state == State::Suspended,
            "{} keeps what its suspension said",
            version.name
        );
    }
    let Some((declared, _)) = life.view.key(key) else {
        return;
    };
    let archived = life.view.space(&lab()).unwrap().0.archived.is_some();
    let (encrypt, decrypt, re_wrap) = (
        Usage::Encrypt {
            key: key.clone(),
            items: vec![],
        },
        Usage::Decrypt {
            key: key.clone(),
            items: vec![],
        },
        Usage::ReEncrypt {
            key: key.clone(),
            items: vec![],
        },
    );
    for (usage, protects, campaign) in [
        (encrypt, true, false),
        (decrypt, false, false),
        (re_wrap, true, true),
    ] {
        let fresh = KeyUid([0; 16]);
        let bench = Bench {
            now: life.now,
            ..bench(&life.view, fresh)
        };
        let asker = caller("service/etl");
        let Ok(Verdict::Permit(permit)) = decide(bench, &asker, &Command::Use(usage)) else {
            continue;
        };
        assert!(
            campaign || !(protects && archived),
            "{key} protects in an archived space"
        );
        for version in life
            .view
            .versions(key)
            .into_iter()
            .filter(|v| permit.covers(&v.id))
        {
            let primary = declared.primary == Some(version.name.number());
            let rewrap = declared.rewrap.as_ref().filter(|_| campaign);
            let covered = version.state == State::Compromised
                && rewrap.is_some_and(|r| r.covers(version.name.number(), life.now));
            let fit = (protects && primary && version.allows(Use::Protect))
                || version.allows(Use::Process)
                || covered;
            assert!(fit, "{} is {}", version.name, version.state);
            let whole = !life.burnt.contains(&version.id);
            assert!(whole, "{}: nobody knows what is left of it", version.name);
        }
    }
}

pub(crate) fn what_is_erased_is_gone(view: &View) {
    let erased = view.space(&lab()).unwrap().0.erased.is_some();
    for version in view.versions_in(&lab()).filter(|_| erased) {
        assert_eq!(version.state, State::Destroyed, "{}", version.name);
    }
}

pub(crate) fn went_forward(old: &Version, new: &Version, now: Time) {
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
        old.retired.is_none() || old.retired == new.retired,
        "{name} retired twice"
    );
    assert!(
        old.retired.is_none() || new.state != State::Active,
        "{name} protects again"
    );
    let actor = &new.moved.actor;
    assert!(
        !moved || actor.ends_with("person/p") || actor == "scheduler",
        "{name}: by whom"
    );
    if moved && new.state == State::Destroyed {
        assert_eq!(actor, "scheduler", "{name}");
        let day = old.destruction.as_ref().map(|scheduled| scheduled.at);
        assert!(
            day.is_none_or(|day| day <= now) || old.state != State::Active,
            "{name}"
        );
    }
}
