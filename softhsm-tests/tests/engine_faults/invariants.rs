//! What must hold whenever nothing is under way, whatever failed before.

use crate::world::World;
use kms_core::class::Algorithm;
use kms_core::id::KeyId;
use kms_core::key::{Key, KeySpec, Learned};
use kms_core::permit::{Permit, SystemOp};
use kms_core::record::{Detail, Record, Settled};
use kms_core::replay::Replay;
use kms_core::revision::Revision;
use kms_core::state::State;
use kms_core::value::{Stamped, Value};
use kms_core::view::View;
use kms_server::audit::Journal;
use kms_server::hsm::Hsm;
use kms_server::store::Store;
pub(crate) use softhsm_tests::sound::nothing_was_taken_back;
use softhsm_tests::sound::{keys, no_key_has_two_primaries};
use std::collections::{BTreeMap, BTreeSet};

/// Whether keys may be in the token that no record names: only where taking one away failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orphans {
    None,
    Allowed,
}

/// Every invariant, each by its name.
pub(crate) fn hold(world: &World, orphans: Orphans) {
    let view = world.view();
    let burnt = the_log_replays_and_the_store_agrees(world, &view);
    no_key_has_two_primaries(&view);
    no_number_is_missing_or_used_twice(&view, &burnt);
    the_token_has_each_key_once(world, &view, orphans);
}

/// Returns the numbers that the log burns.
fn the_log_replays_and_the_store_agrees(world: &World, view: &View) -> BTreeSet<KeyId> {
    let life = world.life();
    let (entries, stored) = life.runtime.block_on(async {
        let entries = life.changes.read(0, usize::MAX).await.unwrap();
        let stored = life.store.scan("", None, 100_000).await.unwrap();
        (entries, stored)
    });
    let mut replay = Replay::default();
    let mut burnt = BTreeSet::new();
    for (index, bytes) in entries {
        let record = Record::decode(&bytes).unwrap();
        assert_eq!(record.index(), index);
        if let Detail::Outcome(outcome) = record.detail()
            && let Settled::Abandoned { left, .. } = &outcome.settled
        {
            burnt.extend(left.iter().copied());
        }
        if let Err(broken) = replay.feed(record) {
            panic!("the log does not replay: {:?}", broken.cause());
        }
    }
    assert!(replay.open().is_none(), "a change is not settled");
    let stored: BTreeMap<String, (Value, Revision)> = stored
        .into_iter()
        .filter(|entry| !entry.key.starts_with("local/"))
        .map(|entry| {
            let value = Value::decode(&entry.value).unwrap();
            (entry.key, (value, entry.revision))
        })
        .collect();
    assert_eq!(replay.differences(&stored), Vec::<String>::new());
    let all = |view: &View| view.all().cloned().collect::<Vec<Stamped<Value>>>();
    assert_eq!(
        all(replay.view()),
        all(view),
        "what is served is not the log"
    );
    for key in keys(view) {
        let next = view.next_id(key).unwrap();
        assert_eq!(replay.view().next_id(key).unwrap(), next, "{}", key.name);
        assert!(!burnt.contains(&next), "{}", key.name);
    }
    burnt
}

fn no_number_is_missing_or_used_twice(view: &View, burnt: &BTreeSet<KeyId>) {
    for key in keys(view) {
        let versions = view.versions(&key.name);
        let numbers: Vec<u32> = versions.iter().map(|v| v.name.number()).collect();
        let uid = key.uid;
        let expected: Vec<u32> = (1..=key.latest)
            .filter(|number| {
                let version = *number;
                // What is burnt and there was to be destroyed, and was not, or not for certain.
                numbers.contains(number) || !burnt.contains(&KeyId { uid, version })
            })
            .collect();
        assert_eq!(numbers, expected, "{}", key.name);
        for version in versions {
            let id = KeyId {
                uid: key.uid,
                version: version.name.number(),
            };
            assert_eq!(version.id, id, "{}", version.name);
            assert!(version.learned.is_some(), "{}", version.name);
        }
    }
}

fn the_token_has_each_key_once(world: &World, view: &View, orphans: Orphans) {
    let mut objects = world.objects();
    for key in keys(view) {
        for version in view.versions(&key.name) {
            let there = objects.remove(&version.id.to_string());
            if version.state == State::Destroyed {
                assert_eq!(there, None, "{} is still in the token", version.name);
                continue;
            }
            if view.is_burnt(&version.id) {
                continue;
            }
            let expected = match version.algorithm {
                Algorithm::Aes256 | Algorithm::Aes256Kw | Algorithm::HmacSha256 => 1,
                Algorithm::Rsa3072 | Algorithm::EcdsaP256 => 2,
            };
            assert_eq!(there, Some(expected), "objects of {}", version.name);
        }
    }
    if orphans == Orphans::None {
        assert_eq!(objects, BTreeMap::new(), "keys that no record names");
    }
}

/// That the token's key is the one that was recorded. It asks the token, so of one key at a time.
pub(crate) fn material_is_what_was_recorded(world: &World, key: &Key) {
    let permit = Permit::system(SystemOp::Recovery);
    for version in world.view().versions(&key.name).into_iter().cloned() {
        let spec = KeySpec {
            id: version.id,
            label: version.name.clone(),
            class: key.class,
            exportable: key.exportable,
            intake: key.intake.clone(),
        };
        let found = world
            .life()
            .runtime
            .block_on(world.pool().find(&permit, &spec))
            .unwrap();
        let told = version
            .learned
            .filter(|_| version.state != State::Destroyed);
        // What recognises imported material is made by two keys, not by the token alone.
        let told = told.map(|told| Learned {
            recognised: None,
            ..told
        });
        assert_eq!(found, told, "material of {}", version.name);
    }
}
