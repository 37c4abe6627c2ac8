//! On what something may be asked: the deployment, or names; a class stands for its keys.

use super::rules::Rulebook;
use crate::action::Action;
use crate::binding::{Binding, Reach};
use crate::class::Class;
use crate::error::Result;
use crate::name::{KeyName, Slug, SpaceName};
use crate::policy::Target;
use crate::space::SpaceKind;
use crate::value::DEPLOYMENT;
use crate::view::View;
use std::collections::{BTreeMap, BTreeSet};

/// What a policy can tell one place by: its attributes, and its name only where the policy itself or
/// the roles of whoever asks name it. Places that are alike have one answer, so that a hundred keys
/// are not a hundred questions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Alike {
    Itself(String),
    Space(SpaceKind),
    KeysOf(Class),
    Edge,
    Domain,
}

/// The names by which somebody may be told apart: those that the policy names, and those that their
/// roles are granted on.
struct Named<'a> {
    policy: &'a BTreeSet<String>,
    granted: BTreeSet<String>,
}

impl Named<'_> {
    fn alike(&self, place: &str, target: Target<'_>) -> Alike {
        let named = |name: &str| self.policy.contains(name) || self.granted.contains(name);
        let itself = || Alike::Itself(place.to_owned());
        match target {
            Target::Space(name, kind) if !named(&name.to_string()) => Alike::Space(kind),
            Target::Key(key, class, _) if !named(&key.space().to_string()) => Alike::KeysOf(class),
            Target::Edge(edge, _)
                if !named(&edge.to_string()) && !named(&edge.target().to_string()) =>
            {
                Alike::Edge
            }
            Target::Domain(name) if !named(&name.to_string()) => Alike::Domain,
            Target::Deployment
            | Target::Space(..)
            | Target::Key(..)
            | Target::Edge(..)
            | Target::Domain(_) => itself(),
        }
    }
}

/// Where this may be asked, and how many others must agree: `named` is what the policy names.
pub(super) fn places(
    rules: &Rulebook<'_>,
    view: &View,
    named: &BTreeSet<String>,
    (binding, action): (&Binding, Action),
) -> Result<Vec<(String, u8)>> {
    let named = Named {
        policy: named,
        granted: granted(binding),
    };
    let mut found = Vec::new();
    let mut answers: BTreeMap<Alike, Option<u8>> = BTreeMap::new();
    let mut ask = |place: String, target: Target<'_>| {
        let answer = answers.entry(named.alike(&place, target));
        let needed = *answer.or_insert_with(|| rules.needed(binding, action, target));
        found.extend(needed.map(|needed| (place, needed)));
    };
    ask(DEPLOYMENT.into(), Target::Deployment);
    for space in view.spaces() {
        let name = &space.name;
        ask(name.to_string(), Target::Space(name, space.kind));
        let key = some_key(name)?;
        for class in Class::OFFERED {
            let place = format!("{name}/keys/* ({class})");
            ask(place, Target::Key(&key, class, None));
        }
    }
    for edge in view.edges() {
        ask(edge.name.to_string(), Target::Edge(&edge.name, None));
    }
    for domain in view.domains() {
        ask(domain.name.to_string(), Target::Domain(&domain.name));
    }
    Ok(found)
}

fn granted(binding: &Binding) -> BTreeSet<String> {
    let spaces = binding.grants().iter().flat_map(|grant| &grant.spaces);
    let spaces = spaces.filter_map(|reach| match reach {
        Reach::All => None,
        Reach::Space(space) => Some(space.to_string()),
    });
    let edges = binding.grants().iter().flat_map(|grant| &grant.edges);
    spaces.chain(edges.map(ToString::to_string)).collect()
}

/// The name of a key that stands for all of a space: policies speak of spaces and classes.
pub(super) fn some_key(space: &SpaceName) -> Result<KeyName> {
    Ok(space.key("any".parse::<Slug>()?))
}
