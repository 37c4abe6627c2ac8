//! Plans that let compromised versions process, to be re-wrapped.

use super::{Ground, Plan, existing, over, written};
use crate::error::{Error, Result};
use crate::key::{Key, Rewrap};
use crate::lifecycle::Period;
use crate::name::KeyName;
use crate::revision::Revision;
use crate::state::State;
use crate::value::Value;

pub(super) fn start(
    ground: Ground<'_>,
    (name, etag): (&KeyName, Option<Revision>),
    versions: &[u32],
    lasting: u64,
    reason: &str,
) -> Result<Plan> {
    let (key, revision) = existing(ground.view, name, etag)?;
    if ground.view.primary(key).map(|primary| primary.state) != Some(State::Active) {
        return Err(Error::state(format!(
            "{name} has no active version to re-wrap to; rotate it first"
        )));
    }
    if lasting == 0 || lasting > Rewrap::LONGEST {
        let most = Period(Rewrap::LONGEST);
        return Err(Error::invalid(
            "lasting",
            format!("a re-wrap campaign lasts {most} at most"),
        ));
    }
    if versions.is_empty() {
        let sentence = "name the compromised versions whose data keys are re-wrapped; others need \
                        no campaign";
        return Err(Error::invalid("versions", sentence));
    }
    let mut versions = versions.to_vec();
    versions.sort_unstable();
    versions.dedup();
    for number in &versions {
        let name = key.name.version(*number);
        let (version, _) = ground
            .view
            .version(&name)
            .ok_or_else(|| Error::not_found(&name))?;
        if version.state != State::Compromised {
            return Err(Error::state(format!(
                "{name} is {}: only a compromised version needs a campaign",
                version.state
            )));
        }
    }
    let rewrap = Rewrap {
        versions,
        until: ground.now.plus_millis(lasting),
        moved: ground.moved(reason),
    };
    Ok(updated(ground, (key, revision), Some(rewrap)))
}

pub(super) fn finish(
    ground: Ground<'_>,
    (name, etag): (&KeyName, Option<Revision>),
) -> Result<Plan> {
    let (key, revision) = existing(ground.view, name, etag)?;
    if key.rewrap.is_none() {
        return Err(Error::state(format!("no re-wrap campaign of {name} runs")));
    }
    Ok(updated(ground, (key, revision), None))
}

fn updated(ground: Ground<'_>, (key, revision): (&Key, Revision), rewrap: Option<Rewrap>) -> Plan {
    let key = Key {
        rewrap,
        updated: ground.now,
        ..key.clone()
    };
    written(vec![over(Value::Key(key), revision)])
}
