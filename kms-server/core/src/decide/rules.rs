//! Policy and bindings judged themselves: what they may not be.

use super::places::{AnyKeys, Places, edge_target, keys};
use super::support::MOST;
use crate::action::{Action, Effect};
use crate::binding::Binding;
use crate::caller::{Principal, Sort};
use crate::class::Class;
use crate::command::Rules;
use crate::deployment::Environment;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::key::Destruction;
use crate::name::SpaceName;
use crate::policy::{Circumstances, Judge, Policy, Question, Regardless, Target, Traits};
use crate::role::Role;
use crate::space::Edge;
use crate::time::Time;
use crate::value::{Document, DocumentName, Value};
use crate::view::View;
use std::collections::BTreeSet;
use std::net::IpAddr;

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
/// people's, somebody who comes from `source`, if that is known, can still change it, and nobody
/// may, by any combination of roles and in any circumstances, what no one person may (SecNumCloud
/// 9.3.f).
///
/// # Errors
/// `Invalid`, with what is wrong.
pub fn sound(
    view: &View,
    environment: Environment,
    now: Time,
    source: Option<IpAddr>,
) -> Result<Policy> {
    let policy = in_force(view)?.ok_or_else(|| Error::invalid("policy", "there is no policy"))?;
    one_name_one_person(view)?;
    let sitting = policy.sitting();
    let bench = Rulebook::new(view, &sitting, environment, now);
    for action in [Action::PutPolicy, Action::PutBindings] {
        bench.can_still_be_asked(action, source)?;
    }
    let any = AnyKeys::of(view)?;
    let places = Places::new(view, &any, policy.names());
    for binding in view.bindings().filter(|b| !b.grants().is_empty()) {
        bench.compatible(&any, &places, binding)?;
    }
    Ok(policy)
}

/// Whether, with these spaces, domains and edges, everyone who evaluates an edge may: asked when the
/// graph grows.
///
/// # Errors
/// `Invalid` when somebody could trace a pseudonym back, or follow it across two spaces.
pub fn linkable(view: &View, judge: &dyn Judge, environment: Environment, now: Time) -> Result<()> {
    let rules = Rulebook::new(view, judge, environment, now);
    let any = AnyKeys::of(view)?;
    let mut bound = view.bindings().filter(|b| !b.grants().is_empty());
    bound.try_for_each(|binding| rules.linkable(&any, binding))
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

/// What is asked of the rules themselves.
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

    /// A question of somebody who signed in strongly just now, with so many approvals, or about a
    /// proposal of this action.
    fn question<'q>(
        &self,
        binding: &'q Binding,
        action: Action,
        target: Target<'q>,
        (approvals, proposed): (u8, Option<Action>),
    ) -> Question<'q> {
        let study = match target {
            Target::Key(_, _, traits) | Target::Edge(_, traits) => traits.study,
            Target::Deployment | Target::Space(..) | Target::Domain(_) => None,
        };
        Question {
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
                intake: None,
            },
        }
    }

    /// Whether it is allowed from wherever they come.
    fn allows(&self, question: &Question<'_>) -> bool {
        let answer = self.judge.regardless(Regardless::OfComing, question);
        answer.unwrap_or(false)
    }

    /// Whether it is allowed in any circumstances at all.
    fn ever(&self, binding: &Binding, action: Action, target: Target<'_>) -> bool {
        let question = self.question(binding, action, target, (MOST, None));
        let answer = self.judge.regardless(Regardless::OfEverything, &question);
        // What cannot be told may be.
        answer.unwrap_or(true)
    }

    /// How many must agree; `None` when no number is enough.
    pub(super) fn needed(
        &self,
        binding: &Binding,
        action: Action,
        target: Target<'_>,
    ) -> Option<u8> {
        fewest(|approvals| self.allows(&self.question(binding, action, target, (approvals, None))))
    }

    /// Whether somebody may ask for this, coming from there (or from wherever they come), and enough
    /// others may approve it.
    fn can_still_be_asked(&self, action: Action, source: Option<IpAddr>) -> Result<()> {
        let target = Target::Deployment;
        let approvers: BTreeSet<&Principal> = self
            .view
            .bindings()
            .filter(|b| b.principal().sort() == Sort::Person)
            .filter(|b| self.allows(&self.question(b, Action::Approve, target, (0, Some(action)))))
            .map(Binding::principal)
            .collect();
        let needed = |binding| {
            fewest(|approvals| {
                let mut question = self.question(binding, action, target, (approvals, None));
                if source.is_none() {
                    return self.allows(&question);
                }
                question.circumstances.source = source;
                self.judge.answer(&question).is_ok_and(|a| a.allowed)
            })
        };
        let mut least = None;
        for binding in self.view.bindings() {
            let Some(needed) = needed(binding) else {
                continue;
            };
            let others = approvers
                .iter()
                .filter(|a| **a != binding.principal())
                .count();
            if others >= usize::from(needed) {
                return Ok(());
            }
            least = Some(least.map_or(needed, |least: u8| least.min(needed)));
        }
        let sentence = match least {
            None => format!(
                "nobody could ask {action} any more, now and from where you come: this would lock \
                 every officer out"
            ),
            Some(needed) => format!(
                "{action} needs {needed} approval(s), and not so many others could give them: this \
                 would lock every officer out"
            ),
        };
        Err(Error::invalid("policy", sentence))
    }

    /// Whether one person or service may have all of this at once, in whatever circumstances.
    fn compatible(&self, any: &AnyKeys, places: &Places<'_>, binding: &Binding) -> Result<()> {
        self.linkable(any, binding)?;
        let who = binding.principal();
        let anywhere = |action| {
            let ever = |on| self.ever(binding, action, on).then_some(());
            !places.answered(binding, ever).is_empty()
        };
        let approves = anywhere(Action::Approve);
        let audits = binding.has(Role::Auditor);
        for action in Action::ALL.iter().copied() {
            let asks = approves && asked_of_others(action);
            let changes = audits && action.effect() != Effect::Reads;
            if (asks || changes) && anywhere(action) {
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

    /// Whether what it learns of pseudonyms cannot be traced back, nor what it evaluates be followed
    /// across two spaces.
    fn linkable(&self, any: &AnyKeys, binding: &Binding) -> Result<()> {
        let who = binding.principal();
        let wrong = |what: String| Err(Error::invalid("roles", format!("{who}: {what}")));
        let graph = Graph::of(self.view);
        let along = |actions: &[Action]| -> Vec<&Edge> {
            let may = |edge: &&Edge| {
                let on = edge_target(self.view, edge);
                actions.iter().any(|action| self.ever(binding, *action, on))
            };
            self.view.edges().filter(may).collect()
        };
        let evaluated = along(&[Action::Pseudonymise, Action::Translate]);
        for edge in &evaluated {
            let space = edge.name.target();
            if self.processes_in(any, binding, space) {
                return wrong(format!(
                    "whoever evaluates an edge into {space} must not process there: that is how a \
                     pseudonym would be traced back"
                ));
            }
            let onward = evaluated
                .iter()
                .find(|next| graph.source(next) == Some(space));
            if let Some(next) = onward {
                return wrong(format!(
                    "{} and {} follow each other: nobody may evaluate two consecutive edges",
                    edge.name, next.name
                ));
            }
        }
        // A person is followed into every space below.
        for edge in along(&[Action::ChainPerson]) {
            let reached = graph.reached(edge.name.target()).into_iter();
            let mut processes = reached.filter(|space| self.processes_in(any, binding, space));
            if let Some(space) = processes.next() {
                return wrong(format!(
                    "whoever follows people along {} must not process in {space}, where that leads: \
                     that is how a pseudonym would be traced back",
                    edge.name
                ));
            }
        }
        Ok(())
    }

    /// Whether it may ever process with a key of a space, there now or made later.
    fn processes_in(&self, any: &AnyKeys, binding: &Binding, space: &SpaceName) -> bool {
        let alone = keys(self.view, space)
            .map(|key| Target::Key(&key.name, key.class, Traits::of(self.view, key)));
        let all = any.get(space);
        let all = all.map(|key| Target::Key(key, Class::DataAtRest, Traits::default()));
        let mut on = all.into_iter().chain(alone);
        on.any(|key| self.ever(binding, Action::Decrypt, key))
    }
}

/// The fewest approvals that are enough; `None` when no number is.
fn fewest(enough: impl Fn(u8) -> bool) -> Option<u8> {
    // Most are a plain no, or a plain yes.
    if !enough(MOST) && !enough(0) {
        return None;
    }
    (0..=MOST).find(|approvals| enough(*approvals))
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
