//! Plans that declare, end and review emergencies.

use super::{Ground, Plan, new, over, written};
use crate::emergency::{Emergency, LONGEST};
use crate::error::{Error, Result};
use crate::name::EmergencyName;
use crate::revision::Revision;
use crate::value::Value;

pub(super) fn declare(ground: Ground<'_>, minutes: u32, reason: &str) -> Result<Plan> {
    let millis = u64::from(minutes).saturating_mul(60_000);
    if millis == 0 || millis > LONGEST {
        return Err(Error::invalid(
            "minutes",
            "an emergency lasts from one minute to four hours (240)",
        ));
    }
    let unreviewed = ground.view.emergencies().find(|e| e.reviewed.is_none());
    if let Some(earlier) = unreviewed {
        return Err(Error::state(format!(
            "{} has not been reviewed; a key-custodian must review it before another emergency \
             can be declared",
            earlier.name
        )));
    }
    let approvers = match ground.carried.and_then(|name| ground.view.proposal(name)) {
        Some((proposal, _)) => proposal
            .agreed(ground.view, ground.view.founded()?)
            .into_iter()
            .cloned()
            .collect(),
        None => vec![],
    };
    let emergency = Emergency {
        name: EmergencyName::fresh(&ground.fresh)?,
        declarer: ground.who()?,
        approvers,
        reason: reason.to_owned(),
        from: ground.now,
        until: ground.now.plus_millis(millis),
        ended: None,
        reviewed: None,
    };
    super::absent(ground.view, &emergency.name.to_string())?;
    Ok(written(vec![new(Value::Emergency(emergency))]))
}

pub(super) fn end(ground: Ground<'_>, name: &EmergencyName, reason: &str) -> Result<Plan> {
    let (emergency, revision) = declared(ground, name)?;
    if !emergency.runs(ground.now) {
        return Err(Error::state(format!("{name} is over already")));
    }
    let ended = Emergency {
        ended: Some(ground.moved(reason)),
        ..emergency.clone()
    };
    Ok(written(vec![over(Value::Emergency(ended), revision)]))
}

pub(super) fn review(ground: Ground<'_>, name: &EmergencyName, findings: &str) -> Result<Plan> {
    let (emergency, revision) = declared(ground, name)?;
    if emergency.runs(ground.now) {
        return Err(Error::state(format!(
            "{name} is under way; it is reviewed when it is over"
        )));
    }
    if emergency.reviewed.is_some() {
        return Err(Error::conflict(format!("{name} was reviewed already")));
    }
    let reviewer = ground.who()?;
    if reviewer == emergency.declarer || emergency.approvers.contains(&reviewer) {
        return Err(Error::refused(format!(
            "you declared or approved {name}; somebody else must review it"
        )));
    }
    let reviewed = Emergency {
        reviewed: Some(ground.moved(findings)),
        ..emergency.clone()
    };
    Ok(written(vec![over(Value::Emergency(reviewed), revision)]))
}

fn declared<'a>(ground: Ground<'a>, name: &EmergencyName) -> Result<(&'a Emergency, Revision)> {
    let found = ground.view.emergency(name);
    found.ok_or_else(|| Error::not_found(name))
}
