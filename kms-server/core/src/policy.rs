//! The policy: Cedar, strictly validated, default deny.

#![allow(
    clippy::disallowed_types,
    reason = "Cedar's constructors take HashMap; its order reaches nothing of ours"
)]

use crate::action::Action;
use crate::binding::{Binding, Reach};
use crate::caller::{Principal, Sort};
use crate::class::Class;
use crate::deployment::Environment;
use crate::error::{Error, Result};
use crate::key::Study;
use crate::name::{DomainName, EdgeName, KeyName, Slug, SpaceName};
use crate::role::Role;
use crate::space::SpaceKind;
use crate::time::Time;
use cedar_policy::{
    Authorizer, Context, Decision, Effect, Entities, Entity, EntityUid, PolicyId, PolicySet,
    Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;

/// Whoever answers the questions of `decide`: the policy, or what remembers its answers.
pub trait Judge: fmt::Debug + Send + Sync {
    /// What the policy says to a question.
    ///
    /// # Errors
    /// `Internal` when the question could not be put: an action that does not apply to a sort of
    /// resource is no question.
    fn answer(&self, question: &Question<'_>) -> Result<Answer>;

    /// What to do about a no, for whoever has the right and is only in the wrong circumstances:
    /// the forbidding policies' `@advice`. `None`: nothing permits it.
    fn forbidden(&self, question: &Question<'_>) -> Option<String>;
}

/// A policy that was validated against its schema.
pub struct Policy {
    /// On which sorts of resource each action is asked.
    applies: BTreeMap<&'static str, BTreeSet<String>>,
    set: PolicySet,
    /// Only what permits.
    permits: PolicySet,
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
    /// An edge, and the study that its key serves.
    Edge(&'a EdgeName, Option<&'a Study>),
    /// A key of a class, and the study that it serves.
    Key(&'a KeyName, Class, Option<&'a Study>),
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
    /// In which circumstances.
    pub circumstances: Circumstances<'a>,
}

/// What the policy may look at beside who, what and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances<'a> {
    /// What the deployment is.
    pub environment: Environment,
    /// How many distinct people have approved this very command.
    pub approvals: u8,
    /// Whether a declared emergency is under way.
    pub emergency: bool,
    /// Now.
    pub now: Time,
    /// Where the connection comes from.
    pub source: Option<IpAddr>,
    /// What the caller says that this is for.
    pub purpose: Option<&'a Slug>,
    /// Whether the deployment has an OpenID provider.
    pub provider: bool,
    /// When the person signed in there.
    pub authenticated: Option<Time>,
    /// Whether with strong authentication.
    pub strong: bool,
    /// For an approval or a rejection: the action that waits.
    pub proposed: Option<Action>,
}

/// What the policy says, and the policies that made it say so: those that permit, or for no those
/// that forbid (none: nothing permits).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Yes or no.
    pub allowed: bool,
    /// The names of the policies, in order.
    pub policies: Vec<String>,
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
        let applies = applies(&schema)?;
        conforms(&schema, &applies)?;
        let validation = Validator::new(schema).validate(&set, ValidationMode::Strict);
        let findings: Vec<String> = validation
            .validation_errors()
            .map(ToString::to_string)
            .collect();
        if findings.is_empty() {
            let mut permits = PolicySet::new();
            for policy in set.policies().filter(|p| p.effect() == Effect::Permit) {
                permits
                    .add(policy.clone())
                    .map_err(|e| Error::internal(format!("policy: {e}")))?;
            }
            Ok(Policy {
                applies,
                set,
                permits,
                authorizer: Authorizer::new(),
            })
        } else {
            Err(Error::invalid(
                "policy",
                format!("the policy is not valid: {}", findings.join("; ")),
            ))
        }
    }

    fn put(&self, set: &PolicySet, question: &Question<'_>) -> Result<Answer> {
        let applies = self.applies.get(question.action.name());
        if !applies.is_some_and(|sorts| sorts.contains(question.target.sort())) {
            return Err(fault(&"the action is not asked of such a resource"));
        }
        let (request, entities) = asked(question, None)?;
        let response = self.authorizer.is_authorized(&request, set, &entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(fault(error));
        }
        let reasons = response.diagnostics().reason();
        let mut policies: Vec<String> = reasons.map(ToString::to_string).collect();
        policies.sort();
        Ok(Answer {
            allowed: response.decision() == Decision::Allow,
            policies,
        })
    }
}

fn fault(e: &dyn fmt::Display) -> Error {
    Error::internal(format!("policy question: {e}"))
}

/// A question as Cedar takes it; held against the schema, if one is given.
fn asked(question: &Question<'_>, schema: Option<&Schema>) -> Result<(Request, Entities)> {
    let principal = principal_uid(question.principal)?;
    let resource = resource_entities(question.target)?;
    let asked = resource
        .first()
        .map(Entity::uid)
        .ok_or_else(|| fault(&"no resource"))?;
    let mut entities = resource;
    entities.push(principal_entity(&principal, question.binding)?);
    let entities = Entities::from_entities(entities, schema).map_err(|e| fault(&e))?;
    let circumstances =
        Context::from_pairs(pairs(&question.circumstances)?).map_err(|e| fault(&e))?;
    let action = uid("Action", question.action.name())?;
    let request =
        Request::new(principal, action, asked, circumstances, schema).map_err(|e| fault(&e))?;
    Ok((request, entities))
}

/// On which sorts of resource the schema lets each action be asked.
fn applies(schema: &Schema) -> Result<BTreeMap<&'static str, BTreeSet<String>>> {
    let asked = Action::ALL.iter().filter(|a| **a != Action::Initialise);
    let sorts = asked.map(|action| {
        let name = action.name();
        let sorts = schema.resources_for_action(&uid("Action", name)?);
        let sorts = sorts.ok_or_else(|| {
            let sentence = format!("the schema does not declare the action {action}");
            Error::invalid("schema", sentence)
        })?;
        Ok((name, sorts.map(|sort| sort.basename().to_owned()).collect()))
    });
    sorts.collect()
}

/// Makes sure, once, that whatever is asked is what the schema says: then it need not be held
/// against the schema each time.
fn conforms(schema: &Schema, applies: &BTreeMap<&'static str, BTreeSet<String>>) -> Result<()> {
    let (space, domain): (SpaceName, DomainName) = ("spaces/a".parse()?, "domains/a".parse()?);
    let (edge, key): (EdgeName, KeyName) =
        ("spaces/a/edges/a".parse()?, "spaces/a/keys/a".parse()?);
    let study = Study {
        purpose: "a".parse()?,
        ends: Time::default(),
    };
    let targets = [
        Target::Deployment,
        Target::Space(&space, SpaceKind::Project),
        Target::Domain(&domain),
        Target::Edge(&edge, None),
        Target::Edge(&edge, Some(&study)),
        Target::Key(&key, Class::DataAtRest, None),
        Target::Key(&key, Class::DataAtRest, Some(&study)),
    ];
    let everything = Circumstances {
        environment: Environment::Production,
        approvals: 1,
        emergency: true,
        now: Time::default(),
        source: Some(IpAddr::from([127, 0, 0, 1])),
        purpose: Some(&study.purpose),
        provider: true,
        authenticated: Some(Time::default()),
        strong: true,
        proposed: Some(Action::PutPolicy),
    };
    let nothing = Circumstances {
        source: None,
        purpose: None,
        authenticated: None,
        proposed: None,
        ..everything
    };
    let principals: [Principal; 2] = ["person/a".parse()?, "service/a".parse()?];
    for action in Action::ALL.iter().copied() {
        let sorts = applies.get(action.name());
        for target in targets {
            if !sorts.is_some_and(|sorts| sorts.contains(target.sort())) {
                continue;
            }
            for principal in &principals {
                for circumstances in [everything, nothing] {
                    let question = Question {
                        principal,
                        binding: None,
                        action,
                        target,
                        circumstances,
                    };
                    asked(&question, Some(schema)).map_err(|e| {
                        let sentence = format!(
                            "the schema is not one for this service: it has another idea of \
                             {action} than the service asks about"
                        );
                        Error::invalid("schema", sentence).because(e.cause().unwrap_or_default())
                    })?;
                }
            }
        }
    }
    Ok(())
}

impl Target<'_> {
    /// Its sort in the schema.
    fn sort(&self) -> &'static str {
        match self {
            Target::Deployment | Target::Space(..) => "Space",
            Target::Domain(_) => "Domain",
            Target::Edge(..) => "Edge",
            Target::Key(..) => "Key",
        }
    }
}

impl Judge for Policy {
    fn answer(&self, question: &Question<'_>) -> Result<Answer> {
        self.put(&self.set, question)
    }

    fn forbidden(&self, question: &Question<'_>) -> Option<String> {
        let answer = self.answer(question).ok()?;
        let permitted = self.put(&self.permits, question).ok()?.allowed;
        if answer.allowed || !permitted {
            return None;
        }
        let advice = answer.policies.iter().map(|name| {
            let policy = self.set.policy(&PolicyId::new(name));
            let advice = policy.and_then(|p| p.annotation("advice"));
            advice.map_or_else(
                || format!("the policy {name} forbids it"),
                ToOwned::to_owned,
            )
        });
        Some(advice.collect::<Vec<_>>().join("; "))
    }
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

fn studied(study: Option<&Study>) -> Result<HashMap<String, RestrictedExpression>> {
    let Some(study) = study else {
        return Ok(HashMap::new());
    };
    let mut attributes = text("purpose", study.purpose.as_str());
    attributes.insert("purposeEnds".into(), datetime(study.ends)?);
    Ok(attributes)
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
        let policy = policy.new_id(PolicyId::new(id));
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
        Target::Edge(edge, study) => {
            let space = above(edge.target())?;
            let edge = entity(
                uid("Edge", &edge.to_string())?,
                studied(study)?,
                [space.uid()],
            )?;
            Ok(vec![edge, space, root()?])
        }
        Target::Key(key, class, study) => {
            let space = above(key.space())?;
            let mut attributes = studied(study)?;
            attributes.extend(text("class", class.name()));
            let key = entity(uid("Key", &key.to_string())?, attributes, [space.uid()])?;
            Ok(vec![key, space, root()?])
        }
    }
}
