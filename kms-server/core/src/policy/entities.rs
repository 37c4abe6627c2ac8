//! A question as Cedar takes it: a request, and the entities that it is about.

#![allow(
    clippy::disallowed_types,
    reason = "Cedar's constructors take HashMap; its order reaches nothing of ours"
)]

use super::question::{Circumstances, Question, Target, Traits};
use crate::binding::{Binding, Reach};
use crate::caller::{Principal, Sort};
use crate::error::{Error, Result};
use crate::name::SpaceName;
use crate::role::Role;
use crate::time::Time;
use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression, Schema};
use std::collections::HashMap;
use std::fmt;

/// What is asked; held against the schema, if one is given.
pub(super) fn request(
    question: &Question<'_>,
    circumstances: Context,
    schema: Option<&Schema>,
) -> Result<Request> {
    let resource = resource_entities(question.target)?;
    let asked = resource
        .first()
        .map(Entity::uid)
        .ok_or_else(|| fault(&"no resource"))?;
    let principal = principal_uid(question.principal)?;
    let action = uid("Action", question.action.name())?;
    Request::new(principal, action, asked, circumstances, schema).map_err(|e| fault(&e))
}

/// The circumstances of a question.
pub(super) fn context(circumstances: &Circumstances<'_>) -> Result<Context> {
    Context::from_pairs(pairs(circumstances)?).map_err(|e| fault(&e))
}

/// Whom and what it is about; held against the schema, if one is given.
pub(super) fn entities(question: &Question<'_>, schema: Option<&Schema>) -> Result<Entities> {
    let mut entities = resource_entities(question.target)?;
    let principal = principal_uid(question.principal)?;
    entities.push(principal_entity(&principal, question.binding)?);
    Entities::from_entities(entities, schema).map_err(|e| fault(&e))
}

/// The resource that a policy names so, by its own name.
pub(super) fn named_resource(uid: &EntityUid) -> Option<String> {
    let id = uid.id().unescaped();
    match uid.type_name().basename() {
        "Space" => Some(format!("spaces/{id}")),
        "Domain" => Some(format!("domains/{id}")),
        "Edge" | "Key" => Some(id.to_owned()),
        _ => None,
    }
}

pub(super) fn fault(e: &dyn fmt::Display) -> Error {
    Error::internal(format!("policy question: {e}"))
}

fn pairs(circumstances: &Circumstances<'_>) -> Result<Vec<(String, RestrictedExpression)>> {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let mut pairs = vec![
        ("environment", text(circumstances.environment.name())),
        (
            "approvals",
            RestrictedExpression::new_long(circumstances.approvals.into()),
        ),
        (
            "emergency",
            RestrictedExpression::new_bool(circumstances.emergency),
        ),
        ("now", datetime(circumstances.now)?),
        (
            "provider",
            RestrictedExpression::new_bool(circumstances.provider),
        ),
        (
            "strong",
            RestrictedExpression::new_bool(circumstances.strong),
        ),
    ];
    if let Some(source) = circumstances.source {
        pairs.push((
            "source",
            RestrictedExpression::new_ip(source.to_canonical().to_string()),
        ));
    }
    if let Some(purpose) = circumstances.purpose {
        pairs.push(("purpose", text(purpose.as_str())));
    }
    if let Some(authenticated) = circumstances.authenticated {
        pairs.push(("authenticated", datetime(authenticated)?));
    }
    if let Some(proposed) = circumstances.proposed {
        pairs.push(("proposed", text(proposed.name())));
    }
    if let Some(waiting) = circumstances.waiting {
        let waiting = RestrictedExpression::new_duration(format!("{waiting}ms"));
        pairs.push(("waiting", waiting));
    }
    if let Some(coming) = circumstances.intake {
        pairs.push(("mechanism", text(coming.mechanism.name())));
        let two_steps = RestrictedExpression::new_bool(coming.two_steps);
        pairs.push(("twoSteps", two_steps));
        if let Some(source) = coming.source {
            pairs.push(("partner", text(source.as_str())));
        }
    }
    Ok(pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// Cedar takes a time as text, to the millisecond.
fn datetime(time: Time) -> Result<RestrictedExpression> {
    let stamp = i64::try_from(time.0)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let stamp = stamp.ok_or_else(|| Error::internal("the clock is beyond all calendars"))?;
    Ok(RestrictedExpression::new_datetime(format!("{stamp:.3}")))
}

fn said(of: Traits<'_>) -> Result<HashMap<String, RestrictedExpression>> {
    let translators = of.translators.iter().map(principal_uid);
    let translators: Vec<EntityUid> = translators.collect::<Result<_>>()?;
    let translators = translators
        .into_iter()
        .map(RestrictedExpression::new_entity_uid);
    let translators = RestrictedExpression::new_set(translators);
    let mut attributes = HashMap::from([("translators".to_owned(), translators)]);
    if let Some(study) = of.study {
        attributes.extend(text("purpose", study.purpose.as_str()));
        attributes.insert("purposeEnds".into(), datetime(study.ends)?);
    }
    Ok(attributes)
}

pub(super) fn uid(sort: &str, id: &str) -> Result<EntityUid> {
    let name = format!("Kms::{sort}")
        .parse()
        .map_err(|e| Error::internal(format!("{e}")))?;
    Ok(EntityUid::from_type_name_and_id(
        name,
        cedar_policy::EntityId::new(id),
    ))
}

fn principal_uid(principal: &Principal) -> Result<EntityUid> {
    let sort = match principal.sort() {
        Sort::Person => "Person",
        Sort::Service => "Service",
    };
    uid(sort, principal.id().as_str())
}

fn everywhere() -> Result<EntityUid> {
    uid("Space", "*")
}

fn space_uid(space: &SpaceName) -> Result<EntityUid> {
    uid("Space", space.slug().as_str())
}

fn entity(
    uid: EntityUid,
    attributes: HashMap<String, RestrictedExpression>,
    parents: impl IntoIterator<Item = EntityUid>,
) -> Result<Entity> {
    Entity::new(uid, attributes, parents.into_iter().collect())
        .map_err(|e| Error::internal(format!("policy entity: {e}")))
}

fn text(name: &str, value: &str) -> HashMap<String, RestrictedExpression> {
    [(name.into(), RestrictedExpression::new_string(value.into()))].into()
}

fn principal_entity(principal: &EntityUid, binding: Option<&Binding>) -> Result<Entity> {
    let mut attributes = HashMap::new();
    let bound = binding.is_some_and(|b| !b.grants().is_empty());
    attributes.insert("bound".to_owned(), RestrictedExpression::new_bool(bound));
    for role in Role::ALL {
        let mut granted = Vec::new();
        for grant in binding
            .into_iter()
            .flat_map(Binding::grants)
            .filter(|g| g.role == role)
        {
            for space in &grant.spaces {
                granted.push(match space {
                    Reach::All => everywhere()?,
                    Reach::Space(space) => space_uid(space)?,
                });
            }
            for edge in &grant.edges {
                granted.push(uid("Edge", &edge.to_string())?);
            }
            if grant.spaces.is_empty() && grant.edges.is_empty() {
                granted.push(everywhere()?);
            }
        }
        let set = granted
            .into_iter()
            .map(RestrictedExpression::new_entity_uid);
        attributes.insert(
            role.attribute().to_owned(),
            RestrictedExpression::new_set(set),
        );
    }
    entity(principal.clone(), attributes, [])
}

/// The resource first, then what stands above it.
fn resource_entities(target: Target<'_>) -> Result<Vec<Entity>> {
    let root = || entity(everywhere()?, text("kind", "deployment"), []);
    let above =
        |space: &SpaceName| entity(space_uid(space)?, text("kind", "space"), [everywhere()?]);
    match target {
        Target::Deployment => Ok(vec![root()?]),
        Target::Space(space, kind) => Ok(vec![
            entity(
                space_uid(space)?,
                text("kind", kind.name()),
                [everywhere()?],
            )?,
            root()?,
        ]),
        Target::Domain(domain) => {
            let domain = entity(
                uid("Domain", domain.slug().as_str())?,
                HashMap::new(),
                [everywhere()?],
            )?;
            Ok(vec![domain, root()?])
        }
        Target::Edge(edge, traits) => {
            let space = above(edge.target())?;
            let edge = entity(
                uid("Edge", &edge.to_string())?,
                said(traits)?,
                [space.uid()],
            )?;
            Ok(vec![edge, space, root()?])
        }
        Target::Key(key, class, traits) => {
            let space = above(key.space())?;
            let mut attributes = said(traits)?;
            attributes.extend(text("class", class.name()));
            let edge = traits.seals.map(|edge| uid("Edge", &edge.to_string()));
            let parents = [space.uid()].into_iter().chain(edge.transpose()?);
            let key = entity(uid("Key", &key.to_string())?, attributes, parents)?;
            Ok(vec![key, space, root()?])
        }
    }
}
