//! A request that the solver found, put to Cedar's ordinary authorizer.

use crate::claim::Claim;
use crate::prover::everything_but;
use cedar_policy::{
    Authorizer, Decision, Entities, EntityUid, EvalResult, PolicySet, Request, Response, Schema,
};
use cedar_policy_symcc::Env;
use std::fmt;

/// A request, with the entities that it is about.
pub(crate) struct Found(pub(crate) Env);

impl Found {
    /// What is asked.
    pub(crate) fn action(&self) -> &EntityUid {
        self.0.request.action().unwrap()
    }

    /// Whether these rules permit it.
    pub(crate) fn permitted_by(&self, rules: &PolicySet, schema: &Schema) -> bool {
        self.answer(rules, schema).decision() == Decision::Allow
    }

    /// The names of the claims that forbid it.
    pub(crate) fn refutes<'a>(&self, claims: &[&'a Claim], schema: &Schema) -> Vec<&'a str> {
        let claims = claims.iter().filter(|claim| claim.speaks_of(self.action()));
        let bound = everything_but(claims.clone().map(|claim| claim.forbid.clone()));
        let answer = self.answer(&bound, schema);
        let forbids = |claim: &&&Claim| {
            answer
                .diagnostics()
                .reason()
                .any(|id| id == claim.forbid.id())
        };
        match answer.decision() {
            Decision::Allow => vec![],
            Decision::Deny => claims
                .filter(forbids)
                .map(|claim| claim.name.as_str())
                .collect(),
        }
    }

    /// What the ordinary authorizer answers. Fails where this is not a request that the schema
    /// knows, or a policy is in error.
    fn answer(&self, rules: &PolicySet, schema: &Schema) -> Response {
        let Env { request, entities } = &self.0;
        let [principal, action, resource] = self.parties();
        let context = request.context().unwrap().clone();
        let request = Request::new(principal, action, resource, context, Some(schema)).unwrap();
        let ours = entities.iter().filter(|e| !is_action(&e.uid())).cloned();
        let entities = Entities::from_entities(ours, Some(schema)).unwrap();
        let response = Authorizer::new().is_authorized(&request, rules, &entities);
        let errors: Vec<_> = response.diagnostics().errors().collect();
        assert!(errors.is_empty(), "{errors:?}\n{self}");
        response
    }

    fn parties(&self) -> [EntityUid; 3] {
        let Env { request, .. } = &self.0;
        [request.principal(), request.action(), request.resource()].map(|uid| uid.unwrap().clone())
    }
}

fn is_action(uid: &EntityUid) -> bool {
    uid.type_name().basename() == "Action"
}

/// `PRINCIPAL does ACTION to RESOURCE`, the circumstances, and what there is of each entity: what
/// stands above it and its attributes, but for empty sets.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [principal, action, resource] = self.parties();
        writeln!(f, "{principal} does {action} to {resource}")?;
        if let Some(context) = self.0.request.context() {
            writeln!(f, "  where {context}")?;
        }
        let entities = &self.0.entities;
        for entity in entities.iter().filter(|e| !is_action(&e.uid())) {
            write!(f, "  {}", entity.uid())?;
            for above in entities.ancestors(&entity.uid()).into_iter().flatten() {
                write!(f, " in {above}")?;
            }
            for (name, value) in entity.attrs() {
                let value = value.unwrap();
                if !matches!(&value, EvalResult::Set(set) if set.is_empty()) {
                    write!(f, ", {name} {value}")?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
