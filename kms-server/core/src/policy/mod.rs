//! The policy: Cedar, strictly validated, default deny.

mod entities;
mod question;
mod schema;

pub use question::{Answer, Circumstances, Question, Target};

use crate::error::{Error, Result};
use cedar_policy::{
    Authorizer, Decision, Effect, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};
use entities::{entities, fault, request};
use miette::Diagnostic;
use schema::{applies, conforms};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

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

impl Policy {
    /// The policy of these documents.
    ///
    /// # Errors
    /// `Invalid`, with what the validator says, when a text does not parse, when a policy names
    /// what the schema does not know, or when an action of this service is not in the schema.
    pub fn parse(schema: &str, policy: &str) -> Result<Self> {
        let (schema, _) = Schema::from_cedarschema_str(schema).map_err(|e| {
            let wrong = placed(schema, &e);
            Error::invalid("schema", format!("the schema does not parse: {wrong}"))
        })?;
        let set: PolicySet = policy.parse().map_err(|e| {
            let wrong = placed(policy, &e);
            Error::invalid("policy", format!("the policy does not parse: {wrong}"))
        })?;
        let set = named(set)?;
        let applies = applies(&schema)?;
        conforms(&schema, &applies)?;
        let validation = Validator::new(schema).validate(&set, ValidationMode::Strict);
        let findings: Vec<String> = validation
            .validation_errors()
            .map(|finding| placed(policy, finding))
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
        let (request, entities) = (request(question, None)?, entities(question, None)?);
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

/// What is wrong, and in which line of the text.
fn placed(text: &str, finding: &(impl Diagnostic + fmt::Display)) -> String {
    let at = finding.labels().and_then(|mut labels| labels.next());
    let before = at.and_then(|at| text.get(..at.offset()));
    match before {
        Some(before) => format!("line {}: {finding}", before.matches('\n').count() + 1),
        None => finding.to_string(),
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
