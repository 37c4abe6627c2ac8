//! The plan of what `rebuild` does beside building the store.

use super::version::step;
use super::{Act, Ground, Plan, new, over};
use crate::error::{Error, Result};
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
