//! Why somebody may or may not do something.

use super::rules::in_force;
use super::support::MOST;
use super::target::kind_of;
use crate::binding::Binding;
use crate::class::Class;
use crate::command::MayQuery;
use crate::deployment::Environment;
use crate::error::{Error, Result};
use crate::key::Destruction;
use crate::name::{DomainName, EdgeName, KeyName, SpaceName};
use crate::policy::{Circumstances, Judge, Question, Target, Traits};
use crate::time::Time;
use crate::value::{DEPLOYMENT, DocumentName};
use crate::view::View;

/// Why somebody may or may not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Whether they may, with so many approvals as were said.
    pub allowed: bool,
    /// How many approvals it needs; `None` when no number is enough.
    pub needed: Option<u8>,
    /// The policies that permit it, or that forbid it, and the line of each in the document.
    pub policies: Vec<(String, Option<u32>)>,
    /// What to do about a no that only the circumstances make.
    pub advice: Option<String>,
    /// The roles of the principal.
    pub roles: Vec<String>,
}

/// Why this principal may or may not do that, strongly signed in.
///
/// # Errors
/// `Invalid` when the policy is none or the name of the resource is none.
pub fn explain(
    view: &View,
    environment: Environment,
    now: Time,
    query: &MayQuery,
) -> Result<Explained> {
    let policy = in_force(view)?.ok_or_else(|| Error::invalid("policy", "there is no policy"))?;
    let who = view.who(&query.principal);
    let binding = view.binding(who);
    let named = Named::parse(view, &query.on)?;
    let now = query.at.unwrap_or(now);
    let question = |approvals| Question {
        principal: who,
        binding,
        action: query.action,
        target: named.target(view),
        circumstances: Circumstances {
            environment,
            approvals,
            emergency: false,
            now,
            source: query.source,
            purpose: query.purpose.as_ref(),
            provider: true,
            authenticated: Some(now),
            strong: true,
            proposed: None,
            waiting: Some(Destruction::WAITING),
            intake: None,
        },
    };
    let not_a_question = |e: Error| {
        let sentence = format!("{} is not asked of {}", query.action, query.on);
        Error::invalid("action", sentence).because(e.cause().unwrap_or_default())
    };
    let answer = policy
        .answer(&question(query.approvals))
        .map_err(not_a_question)?;
    let needed = (0..=MOST).find(|n| policy.answer(&question(*n)).is_ok_and(|a| a.allowed));
    let text = view.document(DocumentName::Policy).unwrap_or_default();
    let policies = answer.policies.iter();
    Ok(Explained {
        allowed: answer.allowed,
        needed,
        policies: policies.map(|id| (id.clone(), line_of(text, id))).collect(),
        advice: policy.forbidden(&question(MOST)),
        roles: binding
            .into_iter()
            .flat_map(Binding::grants)
            .map(ToString::to_string)
            .collect(),
    })
}

fn line_of(text: &str, id: &str) -> Option<u32> {
    let mark = format!("@id(\"{id}\")");
    let at = text.lines().position(|line| line.contains(&mark))?;
    u32::try_from(at).ok()?.checked_add(1)
}

/// A resource that a question names.
enum Named {
    Deployment,
    Space(SpaceName),
    Domain(DomainName),
    Edge(EdgeName),
    Key(KeyName),
}

impl Named {
    fn parse(view: &View, text: &str) -> Result<Self> {
        let key = text.split("/versions/").next().unwrap_or_default();
        if text == DEPLOYMENT {
            Ok(Named::Deployment)
        } else if let Ok(name) = text.parse() {
            Ok(Named::Edge(name))
        } else if let Ok(name) = key.parse::<KeyName>() {
            view.key(&name).ok_or_else(|| Error::not_found(&name))?;
            Ok(Named::Key(name))
        } else if let Ok(name) = text.parse() {
            Ok(Named::Domain(name))
        } else {
            text.parse().map(Named::Space).map_err(|_none| {
                let sentence = format!("{text} is not the name of a space, a domain, an edge, a key or a version, nor `deployment`");
                Error::invalid("resource", sentence)
            })
        }
    }

    fn target<'a>(&'a self, view: &'a View) -> Target<'a> {
        match self {
            Named::Deployment => Target::Deployment,
            Named::Space(name) => Target::Space(name, kind_of(view, name)),
            Named::Domain(name) => Target::Domain(name),
            Named::Edge(name) => {
                let edge = view.edge(name);
                let traits = edge.map(|(edge, _)| Traits::named(view, &edge.key));
                Target::Edge(name, traits.unwrap_or_default())
            }
            Named::Key(name) => {
                let class = view
                    .key(name)
                    .map_or(Class::DataAtRest, |(key, _)| key.class);
                Target::Key(name, class, Traits::named(view, name))
            }
        }
    }
}
