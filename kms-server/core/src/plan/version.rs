//! Plans that make or move a version.

use super::key::open;
use super::{Act, Ground, Plan, Write, existing, new, over, unchanged, written};
use crate::action::Action;
use crate::command::Wrapped;
use crate::error::{Error, Result};
use crate::import_token::ImportToken;
use crate::key::{Imported, Key, KeySpec, Origin, Version};
use crate::name::{KeyName, VersionName};
use crate::renewal::running;
use crate::revision::Revision;
use crate::state::State;
use crate::time::Time;
use crate::value::Value;
use crate::view::View;

pub(super) fn move_version(
    ground: Ground<'_>,
    name: &VersionName,
    etag: Option<Revision>,
    transition: Action,
    reason: &str,
    keep_processing: bool,
) -> Result<Plan> {
    let (version, revision) = ground
        .view
        .version(name)
        .ok_or_else(|| Error::not_found(name))?;
    unchanged(etag, revision, name)?;
    let (key, key_revision) = ground
        .view
        .key(name.key())
        .ok_or_else(|| Error::not_found(name.key()))?;
    let to = transition
        .destination()
        .ok_or_else(|| Error::internal(format!("{transition} moves no version")))?;
    if transition == Action::DestroyVersion {
        return super::destruction::destroy(ground, (name, etag), reason);
    }
    let is_primary = key.primary == Some(name.number());
    if transition == Action::ResumeVersion && !is_primary {
        let sentence = format!(
            "{name} is no longer the primary version; deactivate it, so that it goes on processing"
        );
        return Err(Error::state(sentence));
    }
    if transition == Action::ActivateVersion
        && running(key).is_some_and(|renewal| renewal.successor == name.number())
    {
        let sentence = format!(
            "{name} is the successor in a renewal campaign: the cutover activates it \
             (kms pseudonym renew cutover)"
        );
        return Err(Error::state(sentence));
    }
    let switches = transition == Action::ActivateVersion && key.primary.is_some();
    if let Some(why) = key.class.rotation_refusal().filter(|_| switches) {
        return Err(Error::state(why));
    }
    if to == State::Active && version.destruction.is_some() {
        let sentence = format!("{name} will be destroyed; take that back first (kms version keep)");
        return Err(Error::state(sentence));
    }
    if to == State::Active && ground.view.is_burnt(&version.id) {
        return Err(super::space::begun(name));
    }
    let mut moved = step(version, to, ground, reason);
    moved.suspended_processing = to == State::Suspended && keep_processing;
    let mut writes = vec![over(Value::Version(moved), revision)];
    if to == State::Compromised && is_primary && has_successors(ground, key) {
        // It is not retired: it is compromised.
        let orphaned = Key {
            primary: None,
            ..key.clone()
        };
        let key = (&orphaned, key_revision);
        let mut plan = next_version(ground, key, State::Active, SUCCEEDS, None)?;
        plan.writes.splice(0..0, writes);
        plan.subject = name.to_string();
        return Ok(plan);
    }
    let primary = match to {
        State::Active => Some(name.number()),
        State::Suspended => key.primary,
        State::PreActive | State::Deactivated | State::Compromised | State::Destroyed => {
            key.primary.filter(|_| !is_primary)
        }
    };
    if primary != key.primary {
        if to == State::Active {
            writes.extend(retired(ground, key, reason));
        }
        let key = Key {
            primary,
            updated: ground.now,
            ..key.clone()
        };
        writes.push(over(Value::Key(key), key_revision));
    }
    Ok(written(writes))
}

/// Why there is a new version.
const SUCCEEDS: &str = "succeeds a compromised version";

/// Whether the HSM makes the successor of a compromised version at once. Material from outside must
/// be imported, an edge needs a renewal campaign, and in an archived space nothing is protected.
fn has_successors(ground: Ground<'_>, key: &Key) -> bool {
    let space = ground.view.space(key.name.space()).map(|(space, _)| space);
    key.class.rotation_refusal().is_none()
        && key.origin == Origin::Generated
        && space.is_some_and(|space| space.archived.is_none())
}

/// The key of a version that is destroyed, without it as its primary.
pub(super) fn primary_lost(ground: Ground<'_>, version: &Version) -> Result<Option<Write>> {
    let name = version.name.key();
    let (key, revision) = ground
        .view
        .key(name)
        .ok_or_else(|| Error::not_found(name))?;
    let lost = key.primary == Some(version.name.number());
    Ok(lost.then(|| {
        let key = Key {
            primary: None,
            updated: ground.now,
            ..key.clone()
        };
        over(Value::Key(key), revision)
    }))
}

/// A new version, generated in the HSM.
pub(super) fn rotate(
    ground: Ground<'_>,
    (name, etag): (&KeyName, Option<Revision>),
    reason: &str,
    pre_active: bool,
) -> Result<Plan> {
    let (key, revision) = existing(ground.view, name, etag)?;
    if let Some(why) = key.class.rotation_refusal() {
        return Err(Error::state(why));
    }
    if key.origin == Origin::External {
        let sentence = "the material of this key comes from outside: import a new version instead of rotating it";
        return Err(Error::state(sentence));
    }
    let state = if pre_active {
        State::PreActive
    } else {
        State::Active
    };
    next_version(ground, (key, revision), state, reason, None)
}

/// A new version, of material that comes from outside.
pub(super) fn import(
    ground: Ground<'_>,
    (name, etag): (&KeyName, Option<Revision>),
    (token, wrapped): (&ImportToken, &Wrapped),
    reason: &str,
) -> Result<Plan> {
    let (key, revision) = existing(ground.view, name, etag)?;
    open(ground, name.space())?;
    let holder = receives(ground.view, key, token, ground.now)?;
    let imported = Imported {
        wrapping: token.wrapping.clone(),
        mechanism: token.mechanism,
        two_steps: holder.in_two_steps(),
        source: holder.source().cloned(),
        sha256: wrapped.sha256(),
        by: Some(ground.caller.to_string()),
    };
    let state = State::Active;
    next_version(ground, (key, revision), state, reason, Some(imported))
}

/// Whether this key receives what comes in with this import token now. Gives the wrapping key.
///
/// # Errors
/// `Invalid` when it is for another key, or has expired; `Conflict` when it is spent.
pub fn receives<'a>(view: &'a View, key: &Key, token: &ImportToken, now: Time) -> Result<&'a Key> {
    if token.expires <= now {
        return Err(Error::invalid(
            "import_token",
            "the import token has expired; get new import parameters",
        ));
    }
    if token.target.uid != key.uid {
        return Err(Error::invalid(
            "import_token",
            "the import token is for another key",
        ));
    }
    if token.target != view.next_id(key)? {
        return Err(Error::conflict(
            "the import token is spent: it was used, its import was given up, or another version was made since; get new import parameters",
        ));
    }
    let by = token.wrapping.key();
    let (holder, _) = view.key(by).ok_or_else(|| Error::not_found(by))?;
    holder.takes_in(key.class, token.mechanism)?;
    Ok(holder)
}

/// A new version of a key that exists. An active one becomes primary and retires the former.
pub(super) fn next_version(
    ground: Ground<'_>,
    (key, revision): (&Key, Revision),
    state: State,
    reason: &str,
    imported: Option<Imported>,
) -> Result<Plan> {
    let space = ground.view.space(key.name.space());
    if let Some(erased) = space.and_then(|(space, _)| space.erased.as_ref()) {
        let (space, day) = (key.name.space(), erased.time.date());
        return Err(Error::state(format!(
            "{space} was erased on {day}: nothing is made there any more"
        )));
    }
    let id = ground.view.next_id(key)?;
    let number = id.version;
    let origin = key.origin;
    let version = Version {
        name: key.name.version(number),
        id,
        state,
        compromised: None,
        suspended_processing: false,
        algorithm: key.class.algorithm(),
        origin,
        created: ground.now,
        activated: (state == State::Active).then_some(ground.now),
        retired: None,
        moved: ground.moved(reason),
        destruction: None,
        learned: None,
        imported,
        exports: vec![],
        layered_on: None,
        stage_of: None,
    };
    let spec = KeySpec {
        id: version.id,
        label: version.name.clone(),
        class: key.class,
        exportable: key.exportable,
        intake: key.intake.clone(),
    };
    let subject = version.name.to_string();
    let mut writes = vec![new(Value::Version(version))];
    let mut updated = Key {
        latest: number,
        updated: ground.now,
        ..key.clone()
    };
    if state == State::Active {
        updated.primary = Some(number);
        writes.extend(retired(ground, key, reason));
    }
    writes.push(over(Value::Key(updated), revision));
    let act = match origin {
        Origin::Generated => Act::Generate(spec),
        Origin::External => Act::Unwrap(spec),
    };
    Ok(Plan {
        act,
        writes,
        subject,
    })
}

/// The former primary version, deactivated, if it is active.
fn retired(ground: Ground<'_>, key: &Key, reason: &str) -> Option<Write> {
    let name = key.name.version(key.primary?);
    let (version, revision) = ground.view.version(&name)?;
    (version.state == State::Active).then(|| {
        over(
            Value::Version(step(version, State::Deactivated, ground, reason)),
            revision,
        )
    })
}

/// A version after a transition.
pub(super) fn step(version: &Version, to: State, ground: Ground<'_>, reason: &str) -> Version {
    let first = |before: Option<Time>, now: bool| before.or(now.then_some(ground.now));
    let retires = matches!(
        to,
        State::Deactivated | State::Compromised | State::Destroyed
    );
    Version {
        state: to,
        compromised: first(version.compromised, to == State::Compromised),
        activated: first(version.activated, to == State::Active),
        retired: first(version.retired, retires),
        suspended_processing: false,
        moved: ground.moved(reason),
        ..version.clone()
    }
}
