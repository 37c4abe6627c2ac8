//! What holds of all resources whenever nothing is under way, and between any two such moments.

use kms_core::key::{Key, Version};
use kms_core::state::State;
use kms_core::view::View;

/// At most one version of a key protects, and it is the primary one.
///
/// # Panics
/// When that does not hold.
pub fn no_key_has_two_primaries(view: &View) {
    for key in keys(view) {
        let versions = view.versions(&key.name);
        let active: Vec<u32> = versions
            .iter()
            .filter(|v| v.state == State::Active)
            .map(|v| v.name.number())
            .collect();
        match (active.as_slice(), view.primary(key)) {
            ([one], Some(primary)) => assert_eq!(*one, primary.name.number(), "{}", key.name),
            ([], Some(primary)) => assert_eq!(primary.state, State::Suspended, "{}", key.name),
            ([], None) => {}
            (several, primary) => panic!("{}: {several:?} active, {primary:?}", key.name),
        }
    }
}

/// What may never be taken back.
///
/// # Panics
/// When something was.
pub fn nothing_was_taken_back(before: &View, after: &View) {
    for old in before.all() {
        let name = old.value.name();
        let new = after.get(&name).unwrap_or_else(|| panic!("{name} is lost"));
        assert!(new.revision >= old.revision, "{name} went back");
        if let (Some(old), Some(new)) = (old.value.as_version(), new.value.as_version()) {
            version_went_forward(old, new);
        }
        if let (Some(old), Some(new)) = (old.value.as_key(), new.value.as_key()) {
            assert_eq!((old.uid, old.class), (new.uid, new.class), "{name}");
            assert!(new.latest >= old.latest, "{name} forgot a version");
        }
        if let (Some(old), Some(new)) = (old.value.as_space(), new.value.as_space()) {
            let kept = old.archived.is_none() || old.archived == new.archived;
            assert!(kept, "{name} is archived no more");
            let gone = old.erased.is_none() || old.erased == new.erased;
            assert!(gone, "{name} came back");
        }
    }
}

fn version_went_forward(old: &Version, new: &Version) {
    let name = &old.name;
    assert_eq!(old.learned, new.learned, "{name} has other material");
    if old.compromised.is_some() {
        assert_eq!(old.compromised, new.compromised, "{name} un-compromised");
        let stays = matches!(new.state, State::Compromised | State::Destroyed);
        assert!(stays, "{name} un-compromised");
    }
    if old.state == State::Destroyed {
        assert_eq!(new.state, State::Destroyed, "{name} came back");
        assert_eq!(old.moved, new.moved, "{name} was destroyed twice");
    }
    if old.retired.is_some() {
        assert_eq!(old.retired, new.retired, "{name} retired twice");
        assert_ne!(new.state, State::Active, "{name} protects again");
    }
}

/// Every key.
pub fn keys(view: &View) -> impl Iterator<Item = &Key> {
    view.all().filter_map(|stamped| stamped.value.as_key())
}
