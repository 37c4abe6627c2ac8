//! The policy: Cedar, strictly validated, default deny.

#![allow(
    clippy::disallowed_types,
    reason = "Cedar's constructors take HashMap and HashSet; their order reaches nothing of ours"
)]

use crate::action::Action;
use crate::binding::{Binding, Reach};
use crate::caller::{Principal, Sort};
use crate::class::Class;
use crate::deployment::Environment;
use crate::error::{Error, Result};
use crate::name::{DomainName, EdgeName, KeyName, SpaceName};
use crate::role::Role;
use crate::space::SpaceKind;
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request,
    RestrictedExpression, Schema, ValidationMode, Validator,
};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// A policy that was validated against its schema.
pub struct Policy {
    schema: Schema,
    set: PolicySet,
    authorizer: Authorizer,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy {{ {} policies }}", self.set.policies().count())
    }
}

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// Every space: the deployment.
    Deployment,
    /// A space.
    Space(&'a SpaceName, SpaceKind),
    /// An identifier domain.
    Domain(&'a DomainName),
    /// An edge.
    Edge(&'a EdgeName),
    /// A key of a class.
    Key(&'a KeyName, Class),
}

/// May this principal, with these roles, do this to that?
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// With which roles.
    pub binding: Option<&'a Binding>,
    /// What.
    pub action: Action,
    /// To what.
    pub target: Target<'a>,
    /// Where.
    pub environment: Environment,
}

impl Policy {
    /// The policy of these documents.
    ///
    /// # Errors
    /// `Invalid`, with what the validator says, when a text does not parse, when a policy names
    /// what the schema does not know, or when an action of this service is not in the schema.
    pub fn parse(schema: &str, policy: &str) -> Result<Self> {
        let (schema, _) = Schema::from_cedarschema_str(schema)
            .map_err(|e| Error::invalid("schema", format!("the schema does not parse: {e}")))?;
        let set: PolicySet = policy
            .parse()
            .map_err(|e| Error::invalid("policy", format!("the policy does not parse: {e}")))?;
        let set = named(set)?;
        let known: HashSet<String> = schema
            .actions()
            .map(|a| a.id().unescaped().to_owned())
            .collect();
        for action in Action::ALL {
            if *action != Action::Initialise && !known.contains(action.name()) {
                let sentence = format!("the schema does not declare the action {action}");
                return Err(Error::invalid("schema", sentence));
            }
        }
        let validation = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        let findings: Vec<String> = validation
            .validation_errors()
            .map(ToString::to_string)
            .collect();
        if findings.is_empty() {
            Ok(Policy {
                schema,
                set,
                authorizer: Authorizer::new(),
            })
        } else {
            Err(Error::invalid(
                "policy",
                format!("the policy is not valid: {}", findings.join("; ")),
            ))
        }
    }

    /// The names of the policies that say yes, or `None` for no.
    ///
    /// # Errors
    /// `Internal` when the question could not be put, which the schema's validation excludes.
    pub fn allows(&self, question: &Question<'_>) -> Result<Option<Vec<String>>> {
        let fault = |e: &dyn fmt::Display| Error::internal(format!("policy question: {e}"));
        let principal = principal_uid(question.principal)?;
        let resource = resource_entities(question.target)?;
        let asked = resource
            .first()
            .map(Entity::uid)
            .ok_or_else(|| fault(&"no resource"))?;
        let mut entities = resource;
        entities.push(principal_entity(&principal, question.binding)?);
        let entities =
            Entities::from_entities(entities, Some(&self.schema)).map_err(|e| fault(&e))?;
        let environment = RestrictedExpression::new_string(question.environment.name().into());
        let circumstances =
            Context::from_pairs([("environment".into(), environment)]).map_err(|e| fault(&e))?;
        let action = uid("Action", question.action.name())?;
        let request = Request::new(principal, action, asked, circumstances, Some(&self.schema))
            .map_err(|e| fault(&e))?;
        let response = self
            .authorizer
            .is_authorized(&request, &self.set, &entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(fault(error));
        }
        match response.decision() {
            Decision::Deny => Ok(None),
            Decision::Allow => {
                let mut names: Vec<String> = response
                    .diagnostics()
                    .reason()
                    .map(ToString::to_string)
                    .collect();
                names.sort();
                Ok(Some(names))
            }
        }
    }
}

/// The same policies, each called by its `@id`.
fn named(set: PolicySet) -> Result<PolicySet> {
    let mut out = PolicySet::new();
    for policy in set.policies() {
        let id = policy.annotation("id").ok_or_else(|| {
            Error::invalid(
                "policy",
                "each policy needs a name of its own: @id(\"...\")",
            )
        })?;
        let policy = policy.new_id(cedar_policy::PolicyId::new(id));
        out.add(policy).map_err(|e| {
            Error::invalid("policy", format!("two policies have the same @id: {e}"))
        })?;
    }
    Ok(out)
}

fn uid(sort: &str, id: &str) -> Result<EntityUid> {
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
        Target::Edge(edge) => {
            let space = above(edge.target())?;
            let edge = entity(
                uid("Edge", &edge.to_string())?,
                HashMap::new(),
                [space.uid()],
            )?;
            Ok(vec![edge, space, root()?])
        }
        Target::Key(key, class) => {
            let space = above(key.space())?;
            let key = entity(
                uid("Key", &key.to_string())?,
                text("class", class.name()),
                [space.uid()],
            )?;
            Ok(vec![key, space, root()?])
        }
    }
}
