//! What exists and is not declared: it is kept, and said.

use crate::inventory::document::{Document, Edge, Quota};
use crate::inventory::state::State;
use serde_saphyr::Spanned;
use std::collections::{BTreeMap, BTreeSet};

/// The kind and the name of each.
pub(super) fn names(document: &Document, state: &State) -> Vec<String> {
    fn declared<T>(all: &[Spanned<T>], name: impl Fn(&T) -> String) -> BTreeSet<String> {
        all.iter().map(|at| name(&at.value)).collect()
    }
    fn kept<V>(
        kind: &str,
        there: &BTreeMap<String, V>,
        declared: &BTreeSet<String>,
    ) -> Vec<String> {
        let kept = there.keys().filter(|name| !declared.contains(*name));
        kept.map(|name| format!("{kind} {name}")).collect()
    }
    [
        kept(
            "space",
            &state.spaces,
            &declared(&document.spaces, |one| one.name.clone()),
        ),
        kept(
            "domain",
            &state.domains,
            &declared(&document.domains, |one| one.name.clone()),
        ),
        kept(
            "key",
            &state.keys,
            &declared(&document.keys, |one| one.name.clone()),
        ),
        kept("edge", &state.edges, &declared(&document.edges, Edge::name)),
        kept(
            "quota",
            &state
                .quotas
                .values()
                .filter(|one| !one.quota.limits.is_empty())
                .map(|one| (one.quota.said(), ()))
                .collect(),
            &declared(&document.quotas, Quota::said),
        ),
    ]
    .concat()
}
