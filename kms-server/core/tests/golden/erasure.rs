//! The erasure of a space that is too large for one record.

use crate::sample::{NOW, deployment, ground, key, put};
use kms_core::caller::Caller;
use kms_core::class::Class;
use kms_core::command::Change;
use kms_core::deployment::Environment;
use kms_core::due::{Steady, Task};
use kms_core::id::KeyUid;
use kms_core::key::{Key, Moved};
use kms_core::name::{KeyName, SpaceName};
use kms_core::plan::{Ground, plan};
use kms_core::record::INTENTION_MAX;
use kms_core::revision::Revision;
use kms_core::space::{Decommission, Space};
use kms_core::state::State;
use kms_core::value::Value;

/// An intention holds every version and key that it changes, in full, and a record holds no more
/// than so much: a space is erased in parts.
#[test]
fn a_large_space_is_erased_in_parts_that_fit_into_the_log() {
    let mut view = deployment(Environment::Development);
    let lab: SpaceName = "spaces/lab".parse().unwrap();
    for number in 0..60 {
        let name: KeyName = format!("spaces/lab/keys/k{number}").parse().unwrap();
        let held = [(State::Suspended, false)];
        key(&mut view, &name, Class::DataAtRest, &held);
        let (plain, _) = view.key(&name).unwrap();
        let large = Key {
            labels: [("note".to_owned(), "x".repeat(4_000))].into(),
            ..plain.clone()
        };
        put(&mut view, Value::Key(large));
    }
    let moved = Moved {
        time: NOW,
        actor: "someone".into(),
        reason: "a test".into(),
    };
    let (space, _) = view.space(&lab).unwrap();
    let over = Space {
        archived: Some(moved.clone()),
        decommission: Some(Decommission { erase: NOW, moved }),
        ..space.clone()
    };
    put(&mut view, Value::Space(over));
    let erase = Change::EraseSpace {
        name: lab.clone(),
        reason: Task::Erase.reason().into(),
    };
    let mut parts = 0;
    while view.space(&lab).unwrap().0.erased.is_none() {
        let steady = Steady {
            started: NOW,
            now: NOW,
        };
        let ground = Ground {
            steady,
            ..ground(&view, &Caller::Scheduler, KeyUid([9; 16]))
        };
        let planned = plan(ground, &erase).unwrap();
        let size = serde_json::to_vec(&planned).unwrap().len();
        assert!(
            size < INTENTION_MAX - 4 * 1024,
            "part {parts}: {size} bytes"
        );
        let revision = Revision(view.revision().0 + 1);
        for value in planned.values(&[]) {
            view.put(value, revision);
        }
        parts += 1;
        assert!(parts <= 60, "each part destroys something");
    }
    assert!(parts > 5, "{parts}");
    for version in view.versions_in(&lab) {
        assert_eq!(version.state, State::Destroyed, "{}", version.name);
    }
}
