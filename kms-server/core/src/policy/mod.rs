//! The policy: Cedar, strictly validated, default deny.

mod entities;
mod question;
mod regardless;
mod schema;
mod sitting;
mod speaking;

pub use question::{Answer, Circumstances, Coming, Question, Target, Traits};
pub use regardless::Regardless;
pub use sitting::Sitting;

use crate::action::Action;
use crate::error::{Error, Result};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};
use entities::{context, entities, fault, named_resource, request};
use miette::Diagnostic;
use regardless::regardless;
use schema::{applies, conforms};
use speaking::{Speaking, speaking};
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

    /// Whether a question is answered with yes, whatever these circumstances are: where they would
    /// make the difference, it is.
    ///
    /// # Errors
    /// `Internal` when a policy is in error over it.
    fn regardless(&self, of: Regardless, question: &Question<'_>) -> Result<bool>;

    /// What to do about a no, for whoever has the right and is only in the wrong circumstances:
    /// the forbidding policies' `@advice`. `None`: nothing permits it.
    fn forbidden(&self, question: &Question<'_>) -> Option<String>;
}

/// A policy that was validated against its schema.
pub struct Policy {
    /// On which sorts of resource each action is asked.
    applies: BTreeMap<&'static str, BTreeSet<String>>,
    set: PolicySet,
    /// The policies that speak of each action: a decision is linear in their number.
    speaking: BTreeMap<&'static str, Speaking>,
    /// The same where circumstances are left open.
    of_coming: BTreeMap<&'static str, Speaking>,
    of_everything: BTreeMap<&'static str, Speaking>,
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
            Ok(Policy {
                applies,
                speaking: speaking(&set)?,
                of_coming: speaking(&regardless(&set, Regardless::OfComing)?)?,
                of_everything: speaking(&regardless(&set, Regardless::OfEverything)?)?,
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

    /// The resources that the policies name: spaces, domains, edges and keys. What they do not name
    /// they tell apart by attributes alone.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let literals = self.set.policies().flat_map(|p| p.entity_literals());
        literals.filter_map(|uid| named_resource(&uid)).collect()
    }

    /// This policy, for many questions about what stays as it is meanwhile.
    #[must_use]
    pub fn sitting(&self) -> Sitting<'_> {
        Sitting::new(self)
    }

    /// Whether the action is asked of such a resource at all.
    fn is_asked(&self, question: &Question<'_>) -> Result<()> {
        let applies = self.applies.get(question.action.name());
        if applies.is_some_and(|sorts| sorts.contains(question.target.sort())) {
            Ok(())
        } else {
            Err(fault(&"the action is not asked of such a resource"))
        }
    }

    fn about(&self, action: Action) -> Result<&Speaking> {
        about(&self.speaking, action)
    }

    /// The policies that speak of this action where these circumstances are left open.
    fn open(&self, of: Regardless, action: Action) -> Result<&PolicySet> {
        let speaking = match of {
            Regardless::OfComing => &self.of_coming,
            Regardless::OfEverything => &self.of_everything,
        };
        about(speaking, action).map(|speaking| &speaking.all)
    }

    fn ask(&self, set: &PolicySet, question: &Question<'_>) -> Result<Answer> {
        self.is_asked(question)?;
        let context = context(&question.circumstances)?;
        self.put(set, question, context, &entities(question, None)?)
    }

    fn put(
        &self,
        set: &PolicySet,
        question: &Question<'_>,
        context: Context,
        entities: &Entities,
    ) -> Result<Answer> {
        let request = request(question, context, None)?;
        let response = self.authorizer.is_authorized(&request, set, entities);
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

fn about<'a>(
    speaking: &'a BTreeMap<&'static str, Speaking>,
    action: Action,
) -> Result<&'a Speaking> {
    let speaking = speaking.get(action.name());
    speaking.ok_or_else(|| fault(&"an action that no schema has"))
}

impl Judge for Policy {
    fn answer(&self, question: &Question<'_>) -> Result<Answer> {
        self.ask(&self.about(question.action)?.all, question)
    }

    fn regardless(&self, of: Regardless, question: &Question<'_>) -> Result<bool> {
        if self.is_asked(question).is_err() {
            return Ok(false);
        }
        let open = self.open(of, question.action)?;
        self.ask(open, question).map(|answer| answer.allowed)
    }

    fn forbidden(&self, question: &Question<'_>) -> Option<String> {
        let answer = self.answer(question).ok()?;
        let permits = &self.about(question.action).ok()?.permits;
        let permitted = self.ask(permits, question).ok()?.allowed;
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
