//! What a permitted change will write, and what the HSM has to do for it.

use crate::action::Action;
use crate::caller::Caller;
use crate::class::Class;
use crate::command::Change;
use crate::error::{Error, Result};
use crate::id::{KeyId, KeyUid};
use crate::key::{Imported, Key, KeySpec, Learned, Moved, Origin, Version};
use crate::name::{EDGE_PREFIX, KeyName, SERVICE_SPACE, VersionName};
use crate::revision::Revision;
use crate::space::{Domain, Edge, InputType, Space};
use crate::state::State;
use crate::time::Time;
use crate::value::Value;
use crate::view::View;
use serde::{Deserialize, Serialize};

/// A planned change: values to write, each on an expected revision, and an act of the HSM before.
/// This is what an intention records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the HSM does first.
    pub act: Act,
    /// What the store holds afterwards.
    pub writes: Vec<Write>,
    /// The resource that the caller hears of.
    pub subject: String,
}

/// An act of the HSM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// None.
    Nothing,
    /// Generates a key: done again if a crash left it open.
    Generate(KeySpec),
    /// Unwraps outside material: given up if a crash left it open and the key is not there, because
    /// the wrapped material is in nobody's log.
    Unwrap(KeySpec),
}

/// One value, and the revision that it replaces; `None`: there is none yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The new value, in full.
    pub value: Value,
    /// What it replaces.
    pub replaces: Option<Revision>,
}

impl Plan {
    /// The values with what the HSM told of the new material filled in.
    #[must_use]
    pub fn values(&self, learned: Option<&Learned>) -> Vec<Value> {
        let made = match &self.act {
            Act::Nothing => None,
            Act::Generate(spec) | Act::Unwrap(spec) => Some(spec.id),
        };
        let fill = |value: &Value| {
            let mut value = value.clone();
            if let Value::Version(version) = &mut value
                && Some(version.id) == made
            {
                version.learned = learned.cloned();
            }
            value
        };
        self.writes.iter().map(|w| fill(&w.value)).collect()
    }
}

/// What plans need beside the change.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// All resources, as of now.
    pub view: &'a View,
    /// Who asks.
    pub caller: &'a Caller,
    /// Now.
    pub now: Time,
    /// The HSM's name of a key yet to be made: the one that was decided on.
    pub fresh: KeyUid,
}

/// The plan of a change that `decide` permits.
///
/// # Errors
/// `Conflict` when something exists already or changed since the caller looked; `NotFound` when
/// something that it builds on is missing; `Invalid` or `State` when it cannot be.
pub fn plan(ground: Ground<'_>, change: &Change) -> Result<Plan> {
    match change {
        Change::Found(value) => found(ground, value),
        Change::FoundKey { name, class } => {
            let key = new_key(
                ground,
                name,
                *class,
                String::new(),
                Origin::Generated,
                false,
            );
            first_version(ground, key, vec![])
        }
        Change::CreateSpace { name, title, kind } => {
            absent(ground.view, &name.to_string())?;
            let space = Space {
                name: name.clone(),
                title: title.clone(),
                kind: *kind,
                created: ground.now,
            };
            Ok(written(vec![new(Value::Space(space))]))
        }
        Change::CreateDomain {
            name,
            title,
            source,
        } => {
            absent(ground.view, &name.to_string())?;
            if let Some(source) = source {
                ground
                    .view
                    .space(source)
                    .ok_or_else(|| Error::not_found(source))?;
            }
            let domain = Domain {
                name: name.clone(),
                title: title.clone(),
                source: source.clone(),
                created: ground.now,
            };
            Ok(written(vec![new(Value::Domain(domain))]))
        }
        Change::CreateEdge { .. } => create_edge(ground, change),
        Change::CreateKey { .. } => create_key(ground, change),
        Change::UpdateKey {
            name,
            etag,
            title,
            labels,
        } => {
            let (key, revision) = existing(ground.view, name, *etag)?;
            let updated = Key {
                title: title.clone().unwrap_or_else(|| key.title.clone()),
                labels: labels.clone().unwrap_or_else(|| key.labels.clone()),
                updated: ground.now,
                ..key.clone()
            };
            Ok(written(vec![over(Value::Key(updated), revision)]))
        }
        Change::RotateKey {
            name,
            etag,
            reason,
            pre_active,
        } => {
            let (key, revision) = existing(ground.view, name, *etag)?;
            if let Some(why) = key.class.rotation_refusal() {
                return Err(Error::state(why));
            }
            if key.origin == Origin::External {
                let sentence = "the material of this key comes from outside: import a new version instead of rotating it";
                return Err(Error::state(sentence));
            }
            let state = if *pre_active {
                State::PreActive
            } else {
                State::Active
            };
            next_version(ground, (key, revision), state, reason, None)
        }
        Change::MoveVersion {
            name,
            etag,
            transition,
            reason,
            keep_processing,
        } => move_version(ground, name, *etag, *transition, reason, *keep_processing),
        Change::ImportKey {
            name,
            etag,
            token,
            reason,
            ..
        } => {
            let (key, revision) = existing(ground.view, name, *etag)?;
            if token.expires <= ground.now {
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
            if token.target.version != key.latest.saturating_add(1) {
                return Err(Error::conflict(
                    "the import token was used, or another version was made since; get new import parameters",
                ));
            }
            let imported = Imported {
                wrapping: token.wrapping.clone(),
                mechanism: token.mechanism,
            };
            next_version(
                ground,
                (key, revision),
                State::Active,
                reason,
                Some(imported),
            )
        }
    }
}

fn found(ground: Ground<'_>, value: &Value) -> Result<Plan> {
    let before = ground.view.get(&value.name()).map(|s| s.revision);
    Ok(written(vec![Write {
        value: value.clone(),
        replaces: before,
    }]))
}

fn create_edge(ground: Ground<'_>, change: &Change) -> Result<Plan> {
    let Change::CreateEdge {
        name,
        code,
        input,
        exportable,
    } = change
    else {
        return Err(Error::internal("create_edge plans CreateEdge alone"));
    };
    let view = ground.view;
    absent(view, &name.to_string())?;
    view.space(name.target())
        .ok_or_else(|| Error::not_found(name.target()))?;
    let (domain, _) = view
        .domain(name.domain())
        .ok_or_else(|| Error::not_found(name.domain()))?;
    if domain.source.as_ref() == Some(name.target()) {
        return Err(Error::invalid(
            "name",
            "an edge cannot lead from a space's own pseudonyms back into it",
        ));
    }
    let fits = match (&domain.source, input) {
        (Some(_), InputType::Pseudonym) | (None, InputType::Opaque) => true,
        (Some(_), InputType::Opaque) | (None, InputType::Pseudonym) => false,
    };
    if !fits {
        let sentence = "an edge from a domain that is a space's pseudonyms evaluates pseudonyms; from any other it evaluates opaque identifiers";
        return Err(Error::invalid("input", sentence));
    }
    if let Some(other) = view.edge_of_code(code) {
        return Err(Error::conflict(format!(
            "the code {code} is that of {}; codes are never used again",
            other.name
        )));
    }
    let key_name = name.key()?;
    absent(view, &key_name.to_string())?;
    let edge = Edge {
        name: name.clone(),
        code: code.clone(),
        input: *input,
        exportable: *exportable,
        key: key_name.clone(),
        created: ground.now,
    };
    let title = format!("Edge from {} to {}", name.domain(), name.target());
    let key = new_key(
        ground,
        &key_name,
        Class::Pseudonymisation,
        title,
        Origin::Generated,
        *exportable,
    );
    first_version(ground, key, vec![new(Value::Edge(edge))])
}

fn create_key(ground: Ground<'_>, change: &Change) -> Result<Plan> {
    let Change::CreateKey {
        name,
        class,
        title,
        origin,
        exportable,
        labels,
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
    ground
        .view
        .space(space)
        .ok_or_else(|| Error::not_found(space))?;
    absent(ground.view, &name.to_string())?;
    let wrong = match class {
        Class::ServiceImportToken | Class::ServiceExchange => {
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
        _ if *exportable && !class.exportable() => Some((
            "exportable",
            "keys of this class never leave the HSM; rotate on the new one and re-wrap",
        )),
        _ if *origin == Origin::External && !class.importable() => Some((
            "origin",
            "keys of this class are generated in the HSM, never imported",
        )),
        Class::DataAtRest | Class::ImportWrapping => None,
    };
    if let Some((field, sentence)) = wrong {
        return Err(Error::invalid(field, sentence));
    }
    let mut key = new_key(ground, name, *class, title.clone(), *origin, *exportable);
    key.labels.clone_from(labels);
    match origin {
        Origin::Generated => first_version(ground, key, vec![]),
        Origin::External => Ok(written(vec![new(Value::Key(key))])),
    }
}

fn move_version(
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
    let is_primary = key.primary == Some(name.number());
    if transition == Action::ResumeVersion && !is_primary {
        let sentence = format!(
            "{name} is no longer the primary version; deactivate it, so that it goes on processing"
        );
        return Err(Error::state(sentence));
    }
    let switches = transition == Action::ActivateVersion && key.primary.is_some();
    if let Some(why) = key.class.rotation_refusal().filter(|_| switches) {
        return Err(Error::state(why));
    }
    let mut moved = step(version, to, ground, reason);
    moved.suspended_processing = to == State::Suspended && keep_processing;
    let mut writes = vec![over(Value::Version(moved), revision)];
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

/// A new version of a key that exists. An active one becomes primary and retires the former.
fn next_version(
    ground: Ground<'_>,
    (key, revision): (&Key, Revision),
    state: State,
    reason: &str,
    imported: Option<Imported>,
) -> Result<Plan> {
    let number = key
        .latest
        .checked_add(1)
        .ok_or_else(|| Error::state("this key has had as many versions as there can be"))?;
    let origin = key.origin;
    let version = Version {
        name: key.name.version(number),
        id: KeyId {
            uid: key.uid,
            version: number,
        },
        state,
        compromised: None,
        suspended_processing: false,
        algorithm: key.class.algorithm(),
        origin,
        created: ground.now,
        moved: moved(ground, reason),
        learned: None,
        imported,
    };
    let spec = KeySpec {
        id: version.id,
        label: version.name.clone(),
        class: key.class,
        exportable: key.exportable,
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

fn step(version: &Version, to: State, ground: Ground<'_>, reason: &str) -> Version {
    let compromised = version
        .compromised
        .or_else(|| (to == State::Compromised).then_some(ground.now));
    Version {
        state: to,
        compromised,
        suspended_processing: false,
        moved: moved(ground, reason),
        ..version.clone()
    }
}

fn moved(ground: Ground<'_>, reason: &str) -> Moved {
    Moved {
        time: ground.now,
        actor: ground.caller.to_string(),
        reason: reason.to_owned(),
    }
}

fn new_key(
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
        created: ground.now,
        updated: ground.now,
    }
}

/// A key that is not there yet, with its first version, active and primary.
fn first_version(ground: Ground<'_>, key: Key, before: Vec<Write>) -> Result<Plan> {
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

fn new(value: Value) -> Write {
    Write {
        value,
        replaces: None,
    }
}

fn over(value: Value, replaces: Revision) -> Write {
    Write {
        value,
        replaces: Some(replaces),
    }
}

/// Writes without an act; the caller hears of the first.
fn written(writes: Vec<Write>) -> Plan {
    let subject = writes.first().map(|w| w.value.name()).unwrap_or_default();
    Plan {
        act: Act::Nothing,
        writes,
        subject,
    }
}

fn absent(view: &View, name: &str) -> Result<()> {
    match view.get(name) {
        None => Ok(()),
        Some(_) => Err(Error::conflict(format!(
            "{name} exists already; names are never used again"
        ))),
    }
}

fn existing<'a>(
    view: &'a View,
    name: &KeyName,
    etag: Option<Revision>,
) -> Result<(&'a Key, Revision)> {
    let (key, revision) = view.key(name).ok_or_else(|| Error::not_found(name))?;
    unchanged(etag, revision, name)?;
    Ok((key, revision))
}

fn unchanged(
    etag: Option<Revision>,
    revision: Revision,
    name: &impl std::fmt::Display,
) -> Result<()> {
    match etag {
        Some(seen) if seen != revision => Err(Error::conflict(format!(
            "{name} changed since you read it; read it again"
        ))),
        Some(_) | None => Ok(()),
    }
}
