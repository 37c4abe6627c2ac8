//! Plans of a renewal campaign, from its start to its end.

use super::key::{first_version, new_key, open};
use super::version::{next_version, step};
use super::{Act, Ground, Plan, Write, existing, over};
use crate::caller::{Principal, Sort};
use crate::class::Class;
use crate::command::Change;
use crate::error::{Error, Result};
use crate::key::{Key, Origin, Version};
use crate::lifecycle::Period;
use crate::name::{EdgeName, KeyName, TABLE_PREFIX, VersionName};
use crate::quota::EXPECTED_MAX;
use crate::renewal::{Ended, Mode, Renewal, Verified, left_over, running, stages};
use crate::revision::Revision;
use crate::space::Edge;
use crate::state::State;
use crate::value::Value;

pub(super) fn start(ground: Ground<'_>, change: &Change) -> Result<Plan> {
    let Change::StartRenewal {
        name,
        etag,
        mode,
        translators,
        expected,
        lasting,
        reason,
    } = change
    else {
        return Err(Error::internal("start plans StartRenewal alone"));
    };
    let (edge, key, revision) = edge_key(ground, name, *etag)?;
    open(ground, name.target())?;
    if let Some(runs) = running(key) {
        let day = runs.moved.time.date();
        return Err(Error::state(format!(
            "a renewal campaign of {name} runs since {day}; finish it first"
        )));
    }
    let translators = services(translators)?;
    if !(1..=EXPECTED_MAX).contains(expected) {
        let sentence = "say how many rows will be translated: 1 to 10,000,000,000";
        return Err(Error::invalid("expected", sentence));
    }
    if *lasting == 0 || *lasting > Renewal::LONGEST {
        let sentence = format!("translating lasts {} at most", Period(Renewal::LONGEST));
        return Err(Error::invalid("lasting", sentence));
    }
    let predecessor = predecessor(ground, key)?;
    let mut made = next_version(ground, (key, revision), State::PreActive, reason, None)?;
    let successor = ground.view.next_id(key)?.version;
    let table = table(edge, successor)?;
    let renewal = Renewal {
        mode: *mode,
        predecessor: predecessor.name.number(),
        successor,
        table: table.clone(),
        translators,
        expected: *expected,
        until: ground.now.plus_millis(*lasting),
        moved: ground.moved(reason),
        verified: None,
        cutover: None,
        ended: None,
    };
    for write in &mut made.writes {
        if let Value::Version(version) = &mut write.value
            && *mode == Mode::Layered
        {
            version.layered_on = Some(predecessor.name.number());
        }
        if let Value::Key(key) = &mut write.value {
            key.renewal = Some(Box::new(renewal.clone()));
        }
    }
    let title = format!("Translation tables of {name}, version {successor}");
    let origin = Origin::Generated;
    let mut seals = new_key(ground, &table, Class::DataAtRest, title, origin, false);
    seals.seals = Some(name.clone());
    seals.study.clone_from(&key.study);
    let sealing = first_version(ground, seals, vec![])?;
    let act = match (made.act, sealing.act) {
        (Act::Generate(successor), Act::Generate(table)) => {
            Act::GenerateEach(vec![successor, table])
        }
        (_, _) => return Err(Error::internal("a renewal makes two keys")),
    };
    Ok(Plan {
        act,
        writes: made.writes.into_iter().chain(sealing.writes).collect(),
        subject: key.name.to_string(),
    })
}

pub(super) fn verify(
    ground: Ground<'_>,
    (name, etag): (&EdgeName, Option<Revision>),
    (rows, sampled): (u64, u64),
) -> Result<Plan> {
    let (_, key, revision) = edge_key(ground, name, etag)?;
    let campaign = before_cutover(name, key)?;
    if rows == 0 {
        return Err(Error::invalid(
            "rows",
            "a table without rows verifies nothing",
        ));
    }
    let least = rows.min(Renewal::SAMPLE);
    if sampled < least || sampled > rows {
        let sentence = format!("translate {least} of its {rows} rows again at the least");
        return Err(Error::invalid("sampled", sentence));
    }
    let counted = ground.uses.processed(&key.name.version(campaign.successor));
    if rows > counted {
        return Err(Error::state(format!(
            "the service has translated {counted} pseudonyms in this campaign, fewer than the {rows} \
             rows of the table: it is not this campaign's table"
        )));
    }
    let verified = Verified {
        rows,
        sampled,
        counted,
        moved: ground.moved("verified"),
    };
    let renewal = Renewal {
        verified: Some(verified),
        ..campaign.clone()
    };
    Ok(wrote(
        key,
        vec![over(Value::Key(with(ground, key, renewal)), revision)],
    ))
}

pub(super) fn cutover(
    ground: Ground<'_>,
    (name, etag): (&EdgeName, Option<Revision>),
    reason: &str,
) -> Result<Plan> {
    let (_, key, revision) = edge_key(ground, name, etag)?;
    open(ground, name.target())?;
    let campaign = before_cutover(name, key)?;
    if campaign.verified.is_none() {
        return Err(Error::state(format!(
            "nothing was verified of the translation along {name}: translate, then verify a sample \
             (kms pseudonym renew verify)"
        )));
    }
    let (new, new_revision) = version(ground, &key.name.version(campaign.successor))?;
    if new.state != State::PreActive || new.destruction.is_some() {
        return Err(Error::state(format!(
            "{} is {}, so it cannot become primary; give the campaign up (kms pseudonym renew finish \
             --abandon) and start another one",
            new.name, new.state
        )));
    }
    let (old, old_revision) = version(ground, &key.name.version(campaign.predecessor))?;
    let mut former = match old.state {
        State::Active | State::Suspended => step(old, State::Deactivated, ground, reason),
        State::PreActive | State::Deactivated | State::Compromised | State::Destroyed => {
            old.clone()
        }
    };
    if campaign.mode == Mode::Layered {
        if old.state == State::Destroyed || ground.view.is_burnt(&old.id) {
            return Err(super::space::begun(&old.name));
        }
        former.stage_of = Some(campaign.successor);
    }
    let renewal = Renewal {
        cutover: Some(ground.moved(reason)),
        ..campaign.clone()
    };
    let mut updated = with(ground, key, renewal);
    updated.primary = Some(campaign.successor);
    let active = step(new, State::Active, ground, reason);
    let mut writes = vec![
        over(Value::Key(updated), revision),
        over(Value::Version(active), new_revision),
    ];
    if former != *old {
        writes.push(over(Value::Version(former), old_revision));
    }
    Ok(wrote(key, writes))
}

pub(super) fn finish(
    ground: Ground<'_>,
    (name, etag): (&EdgeName, Option<Revision>),
    abandon: bool,
    reason: &str,
) -> Result<Plan> {
    let (_, key, revision) = edge_key(ground, name, etag)?;
    let campaign = running(key).ok_or_else(|| none_runs(name))?;
    match (&campaign.cutover, abandon) {
        (None, false) => {
            let successor = key.name.version(campaign.successor);
            return Err(Error::state(format!(
                "{name} was not cut over yet: finishing now destroys {successor} and every table; say \
                 so if it is meant (--abandon), or cut over first"
            )));
        }
        (Some(cutover), true) => {
            let day = cutover.time.date();
            return Err(Error::state(format!(
                "{name} was cut over on {day}: there is nothing to give up any more; finish it without \
                 --abandon"
            )));
        }
        (None, true) | (Some(_), false) => {}
    }
    let gone = left_over(ground.view, key);
    let destroyed = gone.iter().map(|version| version.name.clone()).collect();
    let (old, _) = version(ground, &key.name.version(campaign.predecessor))?;
    let kept = match (&campaign.cutover, campaign.mode) {
        (Some(_), Mode::Layered) => {
            let kept = stages(ground.view, old).into_iter();
            kept.map(|stage| stage.name.clone()).collect()
        }
        (None, _) | (Some(_), Mode::Recompute) => vec![],
    };
    let renewal = Renewal {
        ended: Some(Ended {
            destroyed,
            kept,
            moved: ground.moved(reason),
        }),
        ..campaign.clone()
    };
    let mut writes = vec![over(Value::Key(with(ground, key, renewal)), revision)];
    for left in &gone {
        let (left, revision) = version(ground, &left.name)?;
        writes.push(over(
            Value::Version(destroyed_at_last(left, ground, reason)),
            revision,
        ));
    }
    let table = ground.view.key(&campaign.table);
    if let Some((table, revision)) = table.filter(|(table, _)| table.primary.is_some()) {
        let table = Key {
            primary: None,
            updated: ground.now,
            ..table.clone()
        };
        writes.push(over(Value::Key(table), revision));
    }
    let ids: Vec<_> = gone.iter().map(|version| version.id).collect();
    let act = if ids.is_empty() {
        Act::Nothing
    } else {
        Act::Destroy(ids)
    };
    Ok(Plan {
        act,
        ..wrote(key, writes)
    })
}

/// What seals tables is still active: it retires and goes in one change.
fn destroyed_at_last(version: &Version, ground: Ground<'_>, reason: &str) -> Version {
    let retired = match version.state {
        State::Active => step(version, State::Deactivated, ground, reason),
        State::PreActive
        | State::Suspended
        | State::Deactivated
        | State::Compromised
        | State::Destroyed => version.clone(),
    };
    let mut gone = step(&retired, State::Destroyed, ground, reason);
    gone.destruction = None;
    gone
}

/// The key that seals the tables of a campaign: an edge's code is its own for ever, and so is the
/// number of a version.
fn table(edge: &Edge, successor: u32) -> Result<KeyName> {
    let slug = format!("{TABLE_PREFIX}{}-{successor}", edge.code).parse()?;
    Ok(edge.name.target().key(slug))
}

/// The version that made the pseudonyms that there are.
fn predecessor<'a>(ground: Ground<'a>, key: &Key) -> Result<&'a Version> {
    let versions = ground.view.versions(&key.name);
    let made = |version: &&Version| version.activated.is_some();
    let latest = versions.iter().copied().rfind(made);
    let number = key.primary.or(latest.map(|latest| latest.name.number()));
    let number = number.ok_or_else(|| {
        Error::state(format!(
            "{} never made a pseudonym: there is nothing to renew",
            key.name
        ))
    })?;
    let (old, _) = version(ground, &key.name.version(number))?;
    if old.state == State::Destroyed || ground.view.is_burnt(&old.id) {
        return Err(Error::state(format!(
            "{} is gone, so nothing can be translated from it; declare a new edge",
            old.name
        )));
    }
    if let Some(scheduled) = &old.destruction {
        return Err(Error::state(format!(
            "{} will be destroyed on {}; take that back first (kms version keep)",
            old.name,
            scheduled.at.date()
        )));
    }
    Ok(old)
}

/// Each once, in order.
fn services(translators: &[Principal]) -> Result<Vec<Principal>> {
    let mut all = translators.to_vec();
    all.sort();
    all.dedup();
    let wrong = |sentence: &str| Err(Error::invalid("translators", sentence));
    if all.is_empty() || all.len() > Renewal::TRANSLATORS_MAX {
        return wrong("name 1 to 16 services that translate");
    }
    if all
        .iter()
        .any(|who| who.sort() != Sort::Service || who.is_scheduler())
    {
        return wrong("services translate, not people: service/{id}");
    }
    Ok(all)
}

fn before_cutover<'a>(name: &EdgeName, key: &'a Key) -> Result<&'a Renewal> {
    let campaign = running(key).ok_or_else(|| none_runs(name))?;
    match &campaign.cutover {
        None => Ok(campaign),
        Some(cutover) => Err(Error::state(format!(
            "{name} was cut over on {} already",
            cutover.time.date()
        ))),
    }
}

fn none_runs(name: &EdgeName) -> Error {
    Error::state(format!("no renewal campaign of {name} runs"))
}

fn edge_key<'a>(
    ground: Ground<'a>,
    name: &EdgeName,
    etag: Option<Revision>,
) -> Result<(&'a Edge, &'a Key, Revision)> {
    let (edge, _) = ground
        .view
        .edge(name)
        .ok_or_else(|| Error::not_found(name))?;
    let (key, revision) = existing(ground.view, &edge.key, etag)?;
    Ok((edge, key, revision))
}

fn version<'a>(ground: Ground<'a>, name: &VersionName) -> Result<(&'a Version, Revision)> {
    let found = ground.view.version(name);
    found.ok_or_else(|| Error::not_found(name))
}

fn with(ground: Ground<'_>, key: &Key, renewal: Renewal) -> Key {
    Key {
        renewal: Some(Box::new(renewal)),
        updated: ground.now,
        ..key.clone()
    }
}

/// Writes of which the caller hears of the key.
fn wrote(key: &Key, writes: Vec<Write>) -> Plan {
    Plan {
        act: Act::Nothing,
        writes,
        subject: key.name.to_string(),
    }
}
