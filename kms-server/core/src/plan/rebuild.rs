//! The plan of what `rebuild` does beside building the store.

use super::version::step;
use super::{Act, Ground, Plan, Write, new, over};
use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::key::{Key, Learned, Version};
use crate::name::VersionName;
use crate::rebuild::{Found, Rebuild};
use crate::state::State;
use crate::value::Value;

pub(super) fn record(ground: Ground<'_>, found: &Found) -> Result<Plan> {
    let subject = found.name.to_string();
    super::absent(ground.view, &subject)?;
    let mut writes = Vec::new();
    for (name, why) in &found.unproved {
        let (version, revision) = ground
            .view
            .version(name)
            .ok_or_else(|| Error::not_found(name))?;
        if !version.state.may_become(State::Suspended) {
            return Err(Error::state(format!(
                "{name} is {} and cannot be suspended",
                version.state
            )));
        }
        let held = step(version, State::Suspended, ground, why);
        writes.push(over(Value::Version(held), revision));
    }
    for (name, learned) in &found.later {
        writes.extend(later(ground, name, learned, &found.later)?);
    }
    let rebuild = Rebuild {
        name: found.name.clone(),
        time: ground.now,
        found: found.evidence,
        destroyed: found.again.clone(),
        suspended: found
            .unproved
            .iter()
            .map(|(name, _)| name.clone())
            .collect(),
        later: found.later.iter().map(|(name, _)| name.clone()).collect(),
    };
    writes.push(new(Value::Rebuild(rebuild)));
    let gone = found.gone(ground.view)?;
    Ok(Plan {
        act: if gone.is_empty() {
            Act::Nothing
        } else {
            Act::Destroy(gone)
        },
        writes,
        subject,
    })
}

/// A version that the token has and the log does not know: its number is never given out again, and
/// it does nothing before somebody says what it is.
fn later(
    ground: Ground<'_>,
    name: &VersionName,
    learned: &Learned,
    all: &[(VersionName, Learned)],
) -> Result<Vec<Write>> {
    let (key, revision) = ground
        .view
        .key(name.key())
        .ok_or_else(|| Error::not_found(name.key()))?;
    if name.number() <= key.latest || ground.view.version(name).is_some() {
        return Err(Error::conflict(format!("{name} is known to the log")));
    }
    let version = Version {
        name: name.clone(),
        id: KeyId {
            uid: key.uid,
            version: name.number(),
        },
        state: State::Suspended,
        compromised: None,
        suspended_processing: false,
        algorithm: key.class.algorithm(),
        origin: key.origin,
        created: ground.now,
        activated: None,
        retired: None,
        moved: ground.moved("the token has it, and the log ends before it was made"),
        destruction: None,
        learned: Some(learned.clone()),
        imported: None,
        exports: vec![],
        layered_on: None,
        stage_of: None,
    };
    let mut writes = vec![new(Value::Version(version))];
    let numbers = all.iter().filter(|(other, _)| other.key() == name.key());
    let latest = numbers.map(|(other, _)| other.number()).max();
    // Once for each key, with the last of its versions.
    if latest == Some(name.number()) {
        let key = Key {
            latest: name.number(),
            updated: ground.now,
            ..key.clone()
        };
        writes.push(over(Value::Key(key), revision));
    }
    Ok(writes)
}
