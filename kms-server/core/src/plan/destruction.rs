//! Plans that lead to the end of a version.

use super::space::begun;
use super::version::{primary_lost, step};
use super::{Act, Ground, Plan, over, unchanged, written};
use crate::error::{Error, Result};
use crate::key::{Destruction, Version};
use crate::lifecycle::{InForce, Period, SHORTEST};
use crate::name::VersionName;
use crate::renewal::{Renewal, campaign_of_table, running, stands_on};
use crate::revision::Revision;
use crate::state::State;
use crate::value::Value;

/// Sets the day.
pub(super) fn schedule(
    ground: Ground<'_>,
    (name, etag): (&VersionName, Option<Revision>),
    (waiting, force): (u64, bool),
    reason: &str,
) -> Result<Plan> {
    let (version, revision) = found(ground, name, etag)?;
    if !version.state.may_become(State::Destroyed) {
        let advice = match version.state {
            State::Active => "; deactivate it first",
            State::PreActive
            | State::Suspended
            | State::Deactivated
            | State::Compromised
            | State::Destroyed => "",
        };
        return Err(Error::state(format!(
            "{name} is {} and cannot be destroyed{advice}",
            version.state
        )));
    }
    needed(ground, version)?;
    if let Some(scheduled) = &version.destruction {
        let day = scheduled.at.date();
        return Err(Error::state(format!(
            "{name} will be destroyed on {day} already"
        )));
    }
    // The policy says what is enough in production.
    if waiting < SHORTEST {
        return Err(Error::invalid("waiting", "it waits a minute at least"));
    }
    let quiet = in_force(ground, name)?.quiet;
    let lately = ground
        .uses
        .last(name)
        .filter(|last| ground.now.since(*last) < quiet);
    if let Some(last) = lately.filter(|_| !force) {
        let (day, quiet) = (last.date(), Period(quiet));
        return Err(Error::state(format!(
            "{name} was used on {day}, and what was used within {quiet} is not destroyed: re-wrap \
             what it protects (kms rewrap), or say that it goes all the same (--force)"
        )));
    }
    let scheduled = Version {
        destruction: Some(Destruction {
            at: ground.now.plus_millis(waiting),
            forced: lately.is_some(),
            moved: ground.moved(reason),
        }),
        ..version.clone()
    };
    Ok(written(vec![over(Value::Version(scheduled), revision)]))
}

/// Takes it back.
pub(super) fn cancel(
    ground: Ground<'_>,
    (name, etag): (&VersionName, Option<Revision>),
    reason: &str,
) -> Result<Plan> {
    let (version, revision) = found(ground, name, etag)?;
    if version.destruction.is_none() || version.state == State::Destroyed {
        return Err(Error::state(format!(
            "no destruction of {name} is scheduled"
        )));
    }
    if ground.view.is_burnt(&version.id) {
        return Err(begun(name));
    }
    let kept = Version {
        destruction: None,
        moved: ground.moved(reason),
        ..version.clone()
    };
    Ok(written(vec![over(Value::Version(kept), revision)]))
}

/// Does it, when its day has come.
pub(super) fn destroy(
    ground: Ground<'_>,
    (name, etag): (&VersionName, Option<Revision>),
    reason: &str,
) -> Result<Plan> {
    let (version, revision) = found(ground, name, etag)?;
    needed(ground, version)?;
    let gone = step(version, State::Destroyed, ground, reason);
    let mut writes = vec![over(Value::Version(gone), revision)];
    writes.extend(primary_lost(ground, version)?);
    Ok(Plan {
        act: Act::Destroy(vec![version.id]),
        writes,
        subject: name.to_string(),
    })
}

/// What pseudonyms still hang on is not destroyed: a first stage goes with the version that is
/// evaluated through it, and what a campaign works with when the campaign ends.
fn needed(ground: Ground<'_>, version: &Version) -> Result<()> {
    let name = &version.name;
    if let Some(above) = stands_on(ground.view, version) {
        return Err(Error::state(format!(
            "{name} is the first stage of {}: without it no pseudonym of that version could be made \
             again; the renewal that replaces that version destroys both",
            above.name
        )));
    }
    let (key, _) = ground
        .view
        .key(name.key())
        .ok_or_else(|| Error::not_found(name.key()))?;
    let number = name.number();
    let translates = |r: &Renewal| r.successor == number || r.predecessor == number;
    if running(key).is_some_and(translates) || campaign_of_table(ground.view, key).is_some() {
        return Err(Error::state(format!(
            "a renewal campaign works with {name}: finish the campaign, which destroys what is no \
             longer needed (kms pseudonym renew finish)"
        )));
    }
    Ok(())
}

fn in_force(ground: Ground<'_>, name: &VersionName) -> Result<InForce> {
    let (key, _) = ground
        .view
        .key(name.key())
        .ok_or_else(|| Error::not_found(name.key()))?;
    Ok(ground.view.lifecycle(key))
}

fn found<'a>(
    ground: Ground<'a>,
    name: &VersionName,
    etag: Option<Revision>,
) -> Result<(&'a Version, Revision)> {
    let (version, revision) = ground
        .view
        .version(name)
        .ok_or_else(|| Error::not_found(name))?;
    unchanged(etag, revision, name)?;
    Ok((version, revision))
}
