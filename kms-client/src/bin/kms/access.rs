//! Who may do what: grouped for people, and compared.

use crate::table::thing;
use kms_client::v1;
use std::collections::{BTreeMap, BTreeSet};

/// One thing that somebody may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    pub(crate) who: String,
    pub(crate) action: String,
    pub(crate) on: String,
    /// How many others must agree.
    pub(crate) needed: u32,
}

/// Each right by itself, in order.
pub(crate) fn rights(accesses: &[v1::review_access_response::Access]) -> BTreeSet<Right> {
    let each = accesses.iter().flat_map(|access| {
        access.places.iter().map(|place| Right {
            who: access.principal.clone(),
            action: access.action.clone(),
            on: place.on.clone(),
            needed: place.approvals_needed,
        })
    });
    each.collect()
}

/// Rights of one person with the same places and approvals, told together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Together {
    pub(crate) who: String,
    pub(crate) actions: Vec<String>,
    pub(crate) on: Vec<String>,
    pub(crate) needed: u32,
}

/// Puts together what differs only in the action.
pub(crate) fn together(rights: &BTreeSet<Right>) -> Vec<Together> {
    let mut places: BTreeMap<(&str, &str, u32), Vec<String>> = BTreeMap::new();
    for right in rights {
        let key = (right.who.as_str(), right.action.as_str(), right.needed);
        places.entry(key).or_default().push(right.on.clone());
    }
    let mut out: Vec<Together> = Vec::new();
    for ((who, action, needed), on) in places {
        let alike = |one: &&mut Together| one.who == who && one.needed == needed && one.on == on;
        match out.iter_mut().find(alike) {
            Some(one) => one.actions.push(action.to_owned()),
            None => out.push(Together {
                who: who.to_owned(),
                actions: vec![action.to_owned()],
                on,
                needed,
            }),
        }
    }
    out
}

/// Places in a few words: all of them while they are few, else how many of each sort.
pub(crate) fn places(on: &[String]) -> String {
    if on.len() <= FEW {
        let short = on.iter().map(|place| place_word(place));
        return short.collect::<Vec<_>>().join(", ");
    }
    // Keys are told by their spaces.
    let mut counts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for place in on {
        let what = place.split("/keys/").next().unwrap_or(place);
        counts.entry(sort(place)).or_default().insert(what);
    }
    let told = ["deployment", "space", "key", "edge", "domain"].map(|sort| {
        let count = counts.get(sort).map_or(0, BTreeSet::len);
        match (sort, count) {
            (_, 0) => String::new(),
            ("deployment", _) => "the deployment".to_owned(),
            ("key", 1) => "keys in 1 space".to_owned(),
            ("key", count) => format!("keys in {count} spaces"),
            (sort, 1) => format!("1 {sort}"),
            (sort, count) => format!("{count} {sort}s"),
        }
    });
    let told: Vec<&str> = told
        .iter()
        .map(String::as_str)
        .filter(|t| !t.is_empty())
        .collect();
    told.join(", ")
}

/// So many places are named, and not counted.
const FEW: usize = 3;

/// `spaces/a/keys/* (data-at-rest)` is `a/* (data-at-rest)`.
fn place_word(place: &str) -> String {
    match place.split_once("/keys/") {
        Some((space, keys)) => format!("{}/{keys}", thing(space)),
        None if sort(place) == "deployment" => "the deployment".to_owned(),
        None => thing(place),
    }
}

fn sort(place: &str) -> &'static str {
    if place.contains("/keys/") {
        "key"
    } else if place.contains("/edges/") {
        "edge"
    } else if place.starts_with("domains/") {
        "domain"
    } else if place.starts_with("spaces/") {
        "space"
    } else {
        "deployment"
    }
}

/// What changes for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// May do what took more approvals before.
    Weaker { before: u32 },
    /// May do what was not allowed.
    Gains,
    /// Needs more approvals than before.
    Stronger { before: u32 },
    /// May not do any more what was allowed.
    Loses,
}

/// What differs between two reviews: what asks for attention comes first.
pub(crate) fn changes(
    before: &BTreeSet<Right>,
    after: &BTreeSet<Right>,
) -> BTreeMap<Difference, BTreeSet<Right>> {
    let keyed = |rights: &BTreeSet<Right>| -> BTreeMap<(String, String, String), u32> {
        let pairs = rights.iter().cloned();
        pairs
            .map(|right| ((right.who, right.action, right.on), right.needed))
            .collect()
    };
    let (before, after) = (keyed(before), keyed(after));
    let mut out: BTreeMap<Difference, BTreeSet<Right>> = BTreeMap::new();
    let all: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for key in all {
        let (change, needed) = match (before.get(key), after.get(key)) {
            (None, Some(needed)) => (Difference::Gains, *needed),
            (Some(needed), None) => (Difference::Loses, *needed),
            (Some(was), Some(is)) if is < was => (Difference::Weaker { before: *was }, *is),
            (Some(was), Some(is)) if is > was => (Difference::Stronger { before: *was }, *is),
            (Some(_) | None, _) => continue,
        };
        let (who, action, on) = key.clone();
        out.entry(change).or_default().insert(Right {
            who,
            action,
            on,
            needed,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(who: &str, action: &str, on: &str, needed: u32) -> Right {
        Right {
            who: who.into(),
            action: action.into(),
            on: on.into(),
            needed,
        }
    }

    #[test]
    fn what_differs_only_in_the_action_is_told_together() {
        let rights = BTreeSet::from([
            right("person/o", "RotateKey", "spaces/a/keys/* (data-at-rest)", 0),
            right("person/o", "UpdateKey", "spaces/a/keys/* (data-at-rest)", 0),
            right("person/o", "ExportKey", "spaces/a/keys/* (data-at-rest)", 2),
            right("person/p", "RotateKey", "spaces/a", 0),
        ]);
        let told = together(&rights);
        let shown: Vec<_> = told
            .iter()
            .map(|one| {
                format!(
                    "{} {} {} +{}",
                    one.who,
                    one.actions.join(","),
                    places(&one.on),
                    one.needed
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "person/o ExportKey a/* (data-at-rest) +2",
                "person/o RotateKey,UpdateKey a/* (data-at-rest) +0",
                "person/p RotateKey a +0",
            ]
        );
    }

    #[test]
    fn many_places_are_counted() {
        let on = [
            "deployment",
            "spaces/a",
            "spaces/b",
            "spaces/a/keys/* (data-at-rest)",
            "spaces/w/edges/link",
            "domains/link",
        ]
        .map(str::to_owned);
        assert_eq!(
            places(&on),
            "the deployment, 2 spaces, keys in 1 space, 1 edge, 1 domain"
        );
    }

    #[test]
    fn a_lowered_approval_comes_first() {
        let before = BTreeSet::from([
            right("person/h", "PutPolicy", "deployment", 2),
            right("person/h", "Backup", "deployment", 1),
            right("person/h", "Restore", "deployment", 1),
        ]);
        let after = BTreeSet::from([
            right("person/h", "PutPolicy", "deployment", 0),
            right("person/h", "Backup", "deployment", 2),
            right("person/x", "Backup", "deployment", 2),
        ]);
        let found: Vec<Difference> = changes(&before, &after).into_keys().collect();
        assert_eq!(
            found,
            [
                Difference::Weaker { before: 2 },
                Difference::Gains,
                Difference::Stronger { before: 1 },
                Difference::Loses
            ]
        );
        assert!(changes(&before, &before).is_empty());
    }
}
