//! Policy and bindings judged themselves: what they may not be.

use super::places::{places, some_key};
use super::support::MOST;
use crate::action::{Action, Effect};
use crate::binding::Binding;
use crate::caller::{Principal, Sort};
use crate::class::Class;
use crate::command::Rules;
use crate::deployment::Environment;
use crate::error::{Error, Result};
use crate::key::Destruction;
use crate::policy::{Circumstances, Judge, Policy, Question, Target};
use crate::role::Role;
use crate::time::Time;
use crate::value::{Document, DocumentName, Value};
use crate::view::View;
use std::collections::BTreeSet;

/// The policy of a view's documents; `None` while there are none.
///
/// # Errors
/// `Invalid` when they are not a policy.
pub fn in_force(view: &View) -> Result<Option<Policy>> {
    match (
        view.document(DocumentName::Schema),
        view.document(DocumentName::Policy),
    ) {
        (Some(schema), Some(policy)) => Policy::parse(schema, policy).map(Some),
        (Some(_) | None, _) => Ok(None),
    }
}

/// The view as it would be with these documents.
#[must_use]
pub fn with(view: &View, rules: &Rules) -> View {
    let mut view = view.clone();
    let revision = view.revision();
    let documents = [
        (DocumentName::Schema, &rules.schema),
        (DocumentName::Policy, &rules.policy),
    ];
    for (document, text) in documents {
        if let Some(text) = text.clone() {
            view.put(Value::Document(Document { document, text }), revision);
        }
    }
    for binding in &rules.bindings {
        view.put(Value::Binding(binding.clone()), revision);
    }
    view
}

/// The policy of this view, if it and the bindings can be lived with: it is valid, no name is two
/// people's, somebody can still change it, and nobody may by any combination of roles what no one
/// person may (SecNumCloud 9.3.f).
///
/// # Errors
/// `Invalid`, with what is wrong.
pub fn sound(view: &View, environment: Environment, now: Time) -> Result<Policy> {
    let policy = in_force(view)?.ok_or_else(|| Error::invalid("policy", "there is no policy"))?;
    one_name_one_person(view)?;
    let sitting = policy.sitting();
    let bench = Rulebook::new(view, &sitting, environment, now);
    for action in [Action::PutPolicy, Action::PutBindings] {
        bench.can_still_be_asked(action)?;
    }
    let names = policy.names();
    for binding in view.bindings().filter(|b| !b.grants().is_empty()) {
        bench.compatible(&names, binding)?;
    }
    Ok(policy)
}

/// Whether, with these spaces, domains and edges, everyone who evaluates an edge may: asked when the
/// graph grows, of those who are bound to edges.
///
/// # Errors
/// `Invalid` when somebody could trace a pseudonym back, or follow it across two spaces.
pub fn linkable(view: &View, judge: &dyn Judge, environment: Environment, now: Time) -> Result<()> {
    let rules = Rulebook::new(view, judge, environment, now);
    let bound = view.bindings().filter(|b| b.has(Role::Pseudonymiser));
    bound
        .into_iter()
        .try_for_each(|binding| rules.linkable(binding))
}

fn one_name_one_person(view: &View) -> Result<()> {
    let mut names = BTreeSet::new();
    let mut subjects = BTreeSet::new();
    for binding in view.bindings() {
        let who = binding.principal();
        for name in std::iter::once(who).chain(binding.aliases()) {
            if !names.insert(name) {
                let sentence = format!("{name} would be two people's name");
                return Err(Error::invalid("aliases", sentence));
            }
        }
        if let Some(openid) = binding.openid()
            && !subjects.insert(openid)
        {
            let sentence = format!("{who}: this OpenID subject is another person's already");
            return Err(Error::invalid("openid", sentence));
        }
    }
    Ok(())
}

/// What is asked of the rules themselves, in the circumstances that allow most.
pub(super) struct Rulebook<'a> {
    judge: &'a dyn Judge,
    view: &'a View,
    environment: Environment,
    now: Time,
}

impl<'a> Rulebook<'a> {
    pub(super) fn new(
        view: &'a View,
        judge: &'a dyn Judge,
        environment: Environment,
        now: Time,
    ) -> Self {
        Rulebook {
            judge,
            view,
            environment,
            now,
        }
    }

    fn allows(
        &self,
        binding: &Binding,
        action: Action,
        target: Target<'_>,
        (approvals, proposed): (u8, Option<Action>),
    ) -> Option<Vec<String>> {
        let study = match target {
            Target::Key(_, _, study) | Target::Edge(_, study) => study,
            Target::Deployment | Target::Space(..) | Target::Domain(_) => None,
        };
        let question = Question {
            principal: binding.principal(),
            binding: Some(binding),
            action,
            target,
            circumstances: Circumstances {
                environment: self.environment,
                approvals,
                emergency: false,
                now: self.now,
                source: None,
                purpose: study.map(|s| &s.purpose),
                provider: true,
                authenticated: Some(self.now),
                strong: true,
                proposed,
                waiting: Some(Destruction::WAITING),
            },
        };
        let answer = self.judge.answer(&question).ok()?;
        answer.allowed.then_some(answer.policies)
    }

    fn most(&self, binding: &Binding, action: Action, target: Target<'_>) -> bool {
        self.allows(binding, action, target, (MOST, None)).is_some()
    }

    /// How many must agree; `None` when no number is enough.
    pub(super) fn needed(
        &self,
        binding: &Binding,
        action: Action,
        target: Target<'_>,
    ) -> Option<u8> {
        let with = |approvals: u8| {
            self.allows(binding, action, target, (approvals, None))
                .is_some()
        };
        // Most are a plain no, or a plain yes.
        if !with(MOST) && !with(0) {
            return None;
        }
        (0..=MOST).find(|n| with(*n))
    }

    /// Whether somebody may ask for this, and enough others may approve it.
    fn can_still_be_asked(&self, action: Action) -> Result<()> {
        let target = Target::Deployment;
        let approvers: BTreeSet<&Principal> = self
            .view
            .bindings()
            .filter(|b| b.principal().sort() == Sort::Person)
            .filter(|b| {
                self.allows(b, Action::Approve, target, (0, Some(action)))
                    .is_some()
            })
            .map(Binding::principal)
            .collect();
        let mut fewest = None;
        for binding in self.view.bindings() {
            let Some(needed) = self.needed(binding, action, target) else {
                continue;
            };
            let others = approvers
                .iter()
                .filter(|a| **a != binding.principal())
                .count();
            if others >= usize::from(needed) {
                return Ok(());
            }
            fewest = Some(fewest.map_or(needed, |fewest: u8| fewest.min(needed)));
        }
        let sentence = match fewest {
            None => {
                format!("nobody could ask {action} any more: this would lock every officer out")
            }
            Some(needed) => format!(
                "{action} needs {needed} approval(s), and not so many others could give them: this \
                 would lock every officer out"
            ),
        };
        Err(Error::invalid("policy", sentence))
    }

    /// Whether one person or service may have all of this at once.
    fn compatible(&self, names: &BTreeSet<String>, binding: &Binding) -> Result<()> {
        self.linkable(binding)?;
        let who = binding.principal();
        let approves = self
            .allows(binding, Action::Approve, Target::Deployment, (0, None))
            .is_some();
        let audits = binding.has(Role::Auditor);
        for action in Action::ALL.iter().copied() {
            let asks = approves && asked_of_others(action);
            let changes = audits && action.effect() != Effect::Reads;
            let places = || places(self, self.view, names, (binding, action));
            if (asks || changes) && !places()?.is_empty() {
                let sentence = if asks {
                    format!("{who}: whoever approves must not ask {action}; bind two people")
                } else {
                    format!("{who}: an auditor changes nothing, and this allows {action}")
                };
                return Err(Error::invalid("roles", sentence));
            }
        }
        Ok(())
    }

    /// Whether what it evaluates cannot be traced back, nor followed across two spaces.
    fn linkable(&self, binding: &Binding) -> Result<()> {
        let who = binding.principal();
        let wrong = |what: String| Err(Error::invalid("roles", format!("{who}: {what}")));
        let edges: Vec<_> = self.view.edges().collect();
        let evaluated: Vec<_> = edges
            .iter()
            .filter(|edge| {
                self.most(
                    binding,
                    Action::Pseudonymise,
                    Target::Edge(&edge.name, None),
                )
            })
            .collect();
        for edge in &evaluated {
            let space = edge.name.target();
            let key = some_key(space)?;
            let target = Target::Key(&key, Class::DataAtRest, None);
            if self.most(binding, Action::Decrypt, target) {
                return wrong(format!(
                    "whoever evaluates an edge into {space} must not process there: that is how a \
                     pseudonym would be traced back"
                ));
            }
            let onward = evaluated.iter().find(|next| {
                let domain = self.view.domain(next.name.domain());
                domain.is_some_and(|(domain, _)| domain.source.as_ref() == Some(space))
            });
            if let Some(next) = onward {
                return wrong(format!(
                    "{} and {} follow each other: nobody may evaluate two consecutive edges",
                    edge.name, next.name
                ));
            }
        }
        Ok(())
    }
}

/// Whether whoever approves must not be able to ask it.
fn asked_of_others(action: Action) -> bool {
    match action.effect() {
        Effect::Reads | Effect::Protects | Effect::Processes => false,
        Effect::Makes | Effect::Moves => !matches!(
            action,
            Action::Approve
                | Action::Reject
                | Action::SuspendVersion
                | Action::CancelDestruction
                | Action::ReviewEmergency
        ),
    }
}
