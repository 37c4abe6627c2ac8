//! On what something may be asked: the deployment, or names; a class stands for its keys, but for
//! those that the policy names or that serve a study.

use crate::binding::{Binding, Reach};
use crate::class::Class;
use crate::error::Result;
use crate::key::Key;
use crate::name::{KeyName, Slug, SpaceName};
use crate::policy::{Target, Traits};
use crate::space::{Edge, SpaceKind};
use crate::value::DEPLOYMENT;
use crate::view::View;
use std::collections::{BTreeMap, BTreeSet};

/// For each space the name of a key that stands for all of it.
pub(super) struct AnyKeys(BTreeMap<SpaceName, KeyName>);

impl AnyKeys {
    pub(super) fn of(view: &View) -> Result<Self> {
        let each = view.spaces().map(|space| {
            let any = space.name.key("any".parse::<Slug>()?);
            Ok((space.name.clone(), any))
        });
        each.collect::<Result<_>>().map(AnyKeys)
    }

    /// Of this space, if it is there.
    pub(super) fn get(&self, space: &SpaceName) -> Option<&KeyName> {
        self.0.get(space)
    }
}

/// Everything that something may be asked on.
pub(super) struct Places<'a> {
    all: Vec<(String, Target<'a>)>,
    /// The names that the policy names.
    policy: BTreeSet<String>,
}

impl<'a> Places<'a> {
    pub(super) fn new(view: &'a View, any: &'a AnyKeys, policy: BTreeSet<String>) -> Self {
        let mut all = vec![(DEPLOYMENT.to_owned(), Target::Deployment)];
        for space in view.spaces() {
            let name = &space.name;
            all.push((name.to_string(), Target::Space(name, space.kind)));
            for class in Class::OFFERED {
                let key = any.get(name);
                let place = format!("{name}/keys/* ({class})");
                all.extend(key.map(|key| (place, Target::Key(key, class, Traits::default()))));
            }
            let alone = |key: &&Key| {
                !Traits::of(view, key).is_silent() || policy.contains(&key.name.to_string())
            };
            let keys = keys(view, name).filter(alone);
            all.extend(keys.map(|key| {
                let target = Target::Key(&key.name, key.class, Traits::of(view, key));
                (key.name.to_string(), target)
            }));
        }
        all.extend(view.edges().map(|edge| {
            let target = edge_target(view, edge);
            (edge.name.to_string(), target)
        }));
        let domains = view.domains();
        all.extend(domains.map(|domain| (domain.name.to_string(), Target::Domain(&domain.name))));
        Places { all, policy }
    }

    /// Those that `ask` has an answer for, with it. Places that are alike have one answer, so that a
    /// hundred keys are not a hundred questions.
    pub(super) fn answered<T: Copy>(
        &self,
        binding: &Binding,
        ask: impl Fn(Target<'a>) -> Option<T>,
    ) -> Vec<(String, T)> {
        let named = Named {
            policy: &self.policy,
            granted: granted(binding),
        };
        let mut answers: BTreeMap<Alike, Option<T>> = BTreeMap::new();
        let answered = self.all.iter().filter_map(|(place, target)| {
            let answer = answers.entry(named.alike(place, *target));
            let answer = *answer.or_insert_with(|| ask(*target));
            answer.map(|answer| (place.clone(), answer))
        });
        answered.collect()
    }
}

/// The keys of a space.
pub(super) fn keys<'a>(view: &'a View, space: &SpaceName) -> impl Iterator<Item = &'a Key> {
    let all = view.under(format!("{space}/keys/"));
    all.filter_map(|stamped| stamped.value.as_key())
}

/// An edge, with what is said of its key.
pub(super) fn edge_target<'a>(view: &'a View, edge: &'a Edge) -> Target<'a> {
    Target::Edge(&edge.name, Traits::named(view, &edge.key))
}

/// What a policy can tell one place by: its attributes, and its name only where the policy itself or
/// the roles of whoever asks name it.
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
            Target::Key(key, class, traits)
                if traits.is_silent()
                    && !named(&key.space().to_string())
                    && !named(&key.to_string()) =>
            {
                Alike::KeysOf(class)
            }
            Target::Edge(edge, traits)
                if traits.is_silent()
                    && !named(&edge.to_string())
                    && !named(&edge.target().to_string()) =>
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

fn granted(binding: &Binding) -> BTreeSet<String> {
    let spaces = binding.grants().iter().flat_map(|grant| &grant.spaces);
    let spaces = spaces.filter_map(|reach| match reach {
        Reach::All => None,
        Reach::Space(space) => Some(space.to_string()),
    });
    let edges = binding.grants().iter().flat_map(|grant| &grant.edges);
    spaces.chain(edges.map(ToString::to_string)).collect()
}
