//! Plans that make a space, and end it.

use super::{Act, Ground, Plan, absent, new, over, unchanged, written};
use crate::error::{Error, Result};
use crate::key::{Key, Moved, Version};
use crate::lifecycle::Lifecycle;
use crate::name::{SERVICE_SPACE, SpaceName};
use crate::revision::Revision;
use crate::space::{Decommission, KEPT, Space, SpaceKind};
use crate::state::State;
use crate::value::Value;

/// So many versions are destroyed in one change at the most, and no more than fit: the intention
/// holds each of them in full, and their keys.
const AT_ONCE: usize = 40;

/// So much of an intention, in bytes; a version and its key are always less.
const ROOM: usize = 40 * 1024;

pub(super) fn create(
    ground: Ground<'_>,
    name: &SpaceName,
    (title, kind): (&str, SpaceKind),
    lifecycle: Lifecycle,
) -> Result<Plan> {
    absent(ground.view, &name.to_string())?;
    lifecycle.suits(None)?;
    let space = Space {
        lifecycle,
        ..Space::new(name.clone(), title.to_owned(), kind, ground.now)
    };
    Ok(written(vec![new(Value::Space(space))]))
}

pub(super) fn update(
    ground: Ground<'_>,
    (name, etag): (&SpaceName, Option<Revision>),
    title: Option<&String>,
    lifecycle: Option<Lifecycle>,
) -> Result<Plan> {
    let (space, revision) = living(ground, name, etag)?;
    let lifecycle = lifecycle.unwrap_or(space.lifecycle);
    lifecycle.suits(None)?;
    let updated = Space {
        title: title.unwrap_or(&space.title).clone(),
        lifecycle,
        ..space.clone()
    };
    Ok(written(vec![over(Value::Space(updated), revision)]))
}

pub(super) fn archive(
    ground: Ground<'_>,
    (name, etag): (&SpaceName, Option<Revision>),
    reason: &str,
) -> Result<Plan> {
    let (space, revision) = living(ground, name, etag)?;
    if name.to_string() == SERVICE_SPACE {
        return Err(Error::refused(format!(
            "{name} holds the deployment's own keys; it cannot be archived"
        )));
    }
    if space.archived.is_some() {
        return Err(Error::state(format!("{name} is archived already")));
    }
    let archived = Space {
        archived: Some(ground.moved(reason)),
        ..space.clone()
    };
    Ok(written(vec![over(Value::Space(archived), revision)]))
}

pub(super) fn decommission(
    ground: Ground<'_>,
    (name, etag): (&SpaceName, Option<Revision>),
    reason: &str,
) -> Result<Plan> {
    let (space, revision) = living(ground, name, etag)?;
    if space.archived.is_none() {
        return Err(Error::state(format!(
            "{name} is still in use; archive it first (kms space archive)"
        )));
    }
    if let Some(decided) = &space.decommission {
        let (by, day) = (&decided.moved.actor, decided.erase.date());
        return Err(Error::state(format!(
            "{name} will be erased on {day} already, as {by} asked"
        )));
    }
    let decided = Space {
        decommission: Some(Decommission {
            erase: ground.now.plus_millis(KEPT),
            moved: ground.moved(reason),
        }),
        ..space.clone()
    };
    Ok(written(vec![over(Value::Space(decided), revision)]))
}

pub(super) fn keep(
    ground: Ground<'_>,
    (name, etag): (&SpaceName, Option<Revision>),
) -> Result<Plan> {
    let (space, revision) = living(ground, name, etag)?;
    if space.decommission.is_none() {
        return Err(Error::state(format!("{name} is not being decommissioned")));
    }
    let mut versions = ground.view.versions_in(name);
    let burnt = |v: &&Version| v.state != State::Destroyed && ground.view.is_burnt(&v.id);
    if let Some(gone) = versions.find(burnt) {
        return Err(begun(&gone.name));
    }
    let kept = Space {
        decommission: None,
        ..space.clone()
    };
    Ok(written(vec![over(Value::Space(kept), revision)]))
}

/// Destroys the keys of a space whose day has come; those of a large one in several changes.
pub(super) fn erase(ground: Ground<'_>, name: &SpaceName, reason: &str) -> Result<Plan> {
    let (space, revision) = living(ground, name, None)?;
    match &space.decommission {
        Some(decided) if decided.erase <= ground.now => {}
        Some(_) => return Err(Error::state(format!("the day of {name} has not come yet"))),
        None => return Err(Error::state(format!("{name} is not being decommissioned"))),
    }
    let left: Vec<_> = ground
        .view
        .versions_in(name)
        .filter(|version| version.state != State::Destroyed)
        .collect();
    if let Some(used) = left.iter().find(|v| v.state == State::Active) {
        return Err(Error::state(format!(
            "{} is still active; it is deactivated first",
            used.name
        )));
    }
    let (now, later) = left.split_at(fit(ground, &left)?);
    let mut writes = Vec::new();
    let mut ids = Vec::new();
    for version in now {
        let (_, revision) = ground
            .view
            .version(&version.name)
            .ok_or_else(|| Error::not_found(&version.name))?;
        ids.push(version.id);
        let gone = super::version::step(version, State::Destroyed, ground, reason);
        writes.push(over(Value::Version(gone), revision));
    }
    for key in ground.view.keys_in(name) {
        let primary = key.primary.map(|number| key.name.version(number));
        if primary.is_some_and(|p| now.iter().any(|v| v.name == p)) {
            let (_, revision) = ground
                .view
                .key(&key.name)
                .ok_or_else(|| Error::not_found(&key.name))?;
            let key = Key {
                primary: None,
                updated: ground.now,
                ..key.clone()
            };
            writes.push(over(Value::Key(key), revision));
        }
    }
    let erased: Option<Moved> = later.is_empty().then(|| ground.moved(reason));
    let subject = name.to_string();
    let space = Space {
        erased,
        ..space.clone()
    };
    writes.push(over(Value::Space(space), revision));
    let act = if ids.is_empty() {
        Act::Nothing
    } else {
        Act::Destroy(ids)
    };
    Ok(Plan {
        act,
        writes,
        subject,
    })
}

/// How many of these versions one change destroys, each with its key.
fn fit(ground: Ground<'_>, left: &[&Version]) -> Result<usize> {
    let mut room = ROOM;
    for (count, version) in left.iter().enumerate() {
        let key = ground.view.get(&version.name.key().to_string());
        let key = key.map(|key| key.value.encode()).transpose()?;
        let version = Value::Version((*version).clone()).encode()?;
        let needed = version.len().saturating_add(key.map_or(0, |key| key.len()));
        if count > 0 && (needed > room || count == AT_ONCE) {
            return Ok(count);
        }
        room = room.saturating_sub(needed);
    }
    Ok(left.len())
}

/// What a change that gave up half-way leaves.
pub(super) fn begun(name: &impl std::fmt::Display) -> Error {
    Error::state(format!(
        "the destruction of {name} was begun and not finished: the HSM may have lost it already, so \
         it can only be destroyed"
    ))
}

fn living<'a>(
    ground: Ground<'a>,
    name: &SpaceName,
    etag: Option<Revision>,
) -> Result<(&'a Space, Revision)> {
    let (space, revision) = ground
        .view
        .space(name)
        .ok_or_else(|| Error::not_found(name))?;
    unchanged(etag, revision, name)?;
    if let Some(erased) = &space.erased {
        let when = erased.time.date();
        return Err(Error::state(format!("{name} was erased on {when}")));
    }
    Ok((space, revision))
}
