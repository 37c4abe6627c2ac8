//! Plans that make or update a key.

use super::version::next_version;
use super::{Ground, Plan, Write, absent, existing, new, over, written};
use crate::class::Class;
use crate::command::Change;
use crate::error::{Error, Result};
use crate::key::{Key, Origin};
use crate::lifecycle::Lifecycle;
use crate::name::{EDGE_PREFIX, KeyName, SERVICE_SPACE, SpaceName, TABLE_PREFIX};
use crate::revision::Revision;
use crate::space::SpaceKind;
use crate::state::State;
use crate::value::Value;

pub(super) fn create_key(ground: Ground<'_>, change: &Change) -> Result<Plan> {
    let Change::CreateKey {
        name,
        class,
        title,
        origin,
        exportable,
        labels,
        study,
        lifecycle,
        intake,
    } = change
    else {
        return Err(Error::internal("create_key plans CreateKey alone"));
    };
    let space = name.space();
    if space.to_string() == SERVICE_SPACE {
        return Err(Error::refused(format!(
            "{space} holds the deployment's own keys; callers make none there"
        )));
    }
    open(ground, space)?;
    let (declared, _) = ground
        .view
        .space(space)
        .ok_or_else(|| Error::not_found(space))?;
    if declared.kind == SpaceKind::Outside {
        return Err(Error::invalid(
            "name",
            format!("{space} is outside and keeps its own keys; only edges lead into it"),
        ));
    }
    lifecycle.suits(Some(*class))?;
    absent(ground.view, &name.to_string())?;
    let wrong = match class {
        Class::ServiceImportToken
        | Class::ServiceAttestation
        | Class::ServiceDigest
        | Class::ServiceImportParameters => {
            Some(("class", "service keys are the deployment's own"))
        }
        Class::Pseudonymisation => Some((
            "class",
            "a pseudonymisation key belongs to an edge: create the edge, it makes its key",
        )),
        _ if name.slug().as_str().starts_with(EDGE_PREFIX) => Some((
            "name",
            "names that begin with edge- are those of the edges' own keys",
        )),
        _ if name.slug().as_str().starts_with(TABLE_PREFIX) => Some((
            "name",
            "names that begin with renewal- are those of the keys of renewal campaigns",
        )),
        _ if *exportable && !class.exportable() => Some((
            "exportable",
            "keys of this class never leave the HSM; rotate on the new one and re-wrap",
        )),
        _ if *origin == Origin::External && !class.importable() => Some((
            "origin",
            "keys of this class are generated in the HSM, never imported",
        )),
        Class::ServiceExchange if *origin == Origin::Generated => Some((
            "origin",
            "an exchange key is shared with a partner: declare it with origin external, and import it",
        )),
        Class::ServiceExchange if intake.is_none() => Some((
            "intake",
            "an exchange key says what it takes in: AES-KW or AES-KWP, and data-at-rest",
        )),
        Class::DataAtRest if intake.is_some() => Some((
            "intake",
            "only import-wrapping and exchange keys take keys in",
        )),
        Class::DataAtRest | Class::ImportWrapping | Class::ServiceExchange => None,
    };
    if let Some((field, sentence)) = wrong {
        return Err(Error::invalid(field, sentence));
    }
    if let Some(intake) = intake {
        intake.suits(*class)?;
    }
    let mut key = new_key(ground, name, *class, title.clone(), *origin, *exportable);
    key.intake.clone_from(intake);
    key.labels.clone_from(labels);
    key.study.clone_from(study);
    key.lifecycle = *lifecycle;
    match origin {
        Origin::Generated => first_version(ground, key, vec![]),
        Origin::External => Ok(written(vec![new(Value::Key(key))])),
    }
}

pub(super) fn update_key(ground: Ground<'_>, change: &Change) -> Result<Plan> {
    let Change::UpdateKey {
        name,
        etag,
        title,
        labels,
        study,
        lifecycle,
    } = change
    else {
        return Err(Error::internal("update_key plans UpdateKey alone"));
    };
    let (key, revision) = existing(ground.view, name, *etag)?;
    let lifecycle = lifecycle.unwrap_or(key.lifecycle);
    lifecycle.suits(Some(key.class))?;
    let updated = Key {
        study: study.clone().unwrap_or_else(|| key.study.clone()),
        title: title.clone().unwrap_or_else(|| key.title.clone()),
        labels: labels.clone().unwrap_or_else(|| key.labels.clone()),
        lifecycle,
        updated: ground.now,
        ..key.clone()
    };
    Ok(written(vec![over(Value::Key(updated), revision)]))
}

/// Makes sure that something new may be made in this space.
pub(super) fn open(ground: Ground<'_>, name: &SpaceName) -> Result<()> {
    let (space, _) = ground
        .view
        .space(name)
        .ok_or_else(|| Error::not_found(name))?;
    match space.archived {
        Some(_) => Err(Error::state(format!(
            "{name} is archived: no key is made there any more"
        ))),
        None => Ok(()),
    }
}

pub(super) fn new_key(
    ground: Ground<'_>,
    name: &KeyName,
    class: Class,
    title: String,
    origin: Origin,
    exportable: bool,
) -> Key {
    Key {
        name: name.clone(),
        uid: ground.fresh,
        class,
        title,
        origin,
        exportable,
        primary: None,
        latest: 0,
        labels: [].into(),
        study: None,
        lifecycle: Lifecycle::default(),
        rewrap: None,
        renewal: None,
        seals: None,
        intake: None,
        created: ground.now,
        updated: ground.now,
    }
}

/// A key that is not there yet, with its first version, active and primary.
pub(super) fn first_version(ground: Ground<'_>, key: Key, before: Vec<Write>) -> Result<Plan> {
    absent(ground.view, &key.name.to_string())?;
    let subject = before
        .first()
        .map_or_else(|| key.name.to_string(), |w| w.value.name());
    let made = next_version(
        ground,
        (&key, Revision::default()),
        State::Active,
        "created",
        None,
    )?;
    let writes = before
        .into_iter()
        .chain(made.writes.into_iter().map(|w| Write {
            replaces: None,
            ..w
        }))
        .collect();
    Ok(Plan {
        act: made.act,
        writes,
        subject,
    })
}
