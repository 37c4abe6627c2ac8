//! Renewal campaigns: the key of an edge gets a new version, and every pseudonym of the edge a new
//! value, because the secret is compromised or its period is over. Never a silent switch: the old
//! pseudonyms are translated first.

use crate::caller::Principal;
use crate::graph::Graph;
use crate::key::{Key, Moved, Version};
use crate::name::{EdgeName, KeyName, VersionName};
use crate::space::Edge;
use crate::state::State;
use crate::time::{DAY, Time};
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

/// What the new pseudonyms are evaluated from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// From what the old ones were evaluated from: the old version is destroyed at the end.
    Recompute,
    /// From the old pseudonyms, where nothing else is left: the old version stays as the first
    /// stage of the new one, for as long as the new one lives.
    Layered,
}

impl Mode {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::Recompute => "recompute",
            Mode::Layered => "layered",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The latest renewal campaign of an edge's key. There is one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// What the new pseudonyms are evaluated from.
    pub mode: Mode,
    /// The number of the version that made the old pseudonyms.
    pub predecessor: u32,
    /// The number of the version that makes the new ones.
    pub successor: u32,
    /// The key that seals translation tables, and nothing else; destroyed at the end.
    pub table: KeyName,
    /// The services that may translate.
    pub translators: Vec<Principal>,
    /// How many rows they may translate, at the most, all of them together.
    pub expected: u64,
    /// Until when they may, at the latest.
    pub until: Time,
    /// When it began, by whom, why.
    pub moved: Moved,
    /// What was verified of the translation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verified: Option<Verified>,
    /// When the successor became primary.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cutover: Option<Moved>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<Ended>,
}

/// What was verified of a translation, before the cutover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// So many rows the table has: the translator's word.
    pub rows: u64,
    /// So many of them were translated again and came out the same: the translator's word.
    pub sampled: u64,
    /// So many translations the service's own log counted until then, repeated ones each time.
    pub counted: u64,
    /// When, by whom.
    pub moved: Moved,
}

/// How a campaign ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// The versions that it destroyed.
    pub destroyed: Vec<VersionName>,
    /// The first stages that it left, because the primary version is evaluated through them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub kept: Vec<VersionName>,
    /// When, by whom, why.
    pub moved: Moved,
}

impl Renewal {
    /// The longest that translators may translate, in milliseconds: 90 days.
    pub const LONGEST: u64 = 90 * DAY;

    /// So many services translate at the most.
    pub const TRANSLATORS_MAX: usize = 16;

    /// So many rows are translated again at the least, or all where there are fewer.
    pub const SAMPLE: u64 = 1000;

    /// Whether it is not over.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether it was given up: nothing of it is left.
    #[must_use]
    pub fn abandoned(&self) -> bool {
        self.ended.is_some() && self.cutover.is_none()
    }
}

/// The campaign that runs on an edge's key.
#[must_use]
pub fn running(key: &Key) -> Option<&Renewal> {
    key.renewal.as_deref().filter(|renewal| renewal.runs())
}

/// The edge whose running campaign this key seals the tables of.
#[must_use]
pub fn campaign_of_table<'a>(view: &'a View, key: &Key) -> Option<&'a Renewal> {
    let edge = key.seals.as_ref()?;
    let (edge, _) = view.edge(edge)?;
    let (own, _) = view.key(&edge.key)?;
    running(own).filter(|renewal| renewal.table == key.name)
}

/// The versions that a version's pseudonyms are evaluated through, the oldest first and itself last.
#[must_use]
pub fn stages<'a>(view: &'a View, version: &'a Version) -> Vec<&'a Version> {
    let mut stages = vec![version];
    let mut above = version;
    // Each stage has a lower number than the one above it.
    while let Some(number) = above.layered_on.filter(|n| *n < above.name.number())
        && let Some((stage, _)) = view.version(&above.name.key().version(number))
    {
        stages.push(stage);
        above = stage;
    }
    stages.reverse();
    stages
}

/// The living version that is evaluated through this one.
#[must_use]
pub fn stands_on<'a>(view: &'a View, version: &Version) -> Option<&'a Version> {
    let above = version.name.key().version(version.stage_of?);
    let (above, _) = view.version(&above)?;
    (above.state != State::Destroyed).then_some(above)
}

/// What the end of the campaign on this key destroys: the versions that nobody needs any more.
#[must_use]
pub fn left_over<'a>(view: &'a View, key: &'a Key) -> Vec<&'a Version> {
    let Some(campaign) = running(key) else {
        return vec![];
    };
    let version = |number| {
        let found = view.version(&key.name.version(number));
        found.map(|(version, _)| version)
    };
    let mut gone = match (&campaign.cutover, campaign.mode) {
        (None, Mode::Recompute | Mode::Layered) => {
            version(campaign.successor).into_iter().collect()
        }
        (Some(_), Mode::Recompute) => {
            let old = version(campaign.predecessor);
            old.map(|old| stages(view, old)).unwrap_or_default()
        }
        (Some(_), Mode::Layered) => vec![],
    };
    gone.extend(view.versions(&campaign.table));
    gone.retain(|version| version.state != State::Destroyed);
    gone
}

/// The edges that have to be renewed because this one is or was, each after those that it hangs on:
/// what they evaluate are pseudonyms that change, and so theirs still come from the old ones. Told
/// from the graph and from when versions were made, so that nothing has to be remembered.
#[must_use]
pub fn to_renew<'a>(view: &'a View, edge: &'a Edge) -> Vec<&'a Edge> {
    let changing = |edge: &Edge| {
        let key = view.key(&edge.key).map(|(key, _)| key);
        key.and_then(running).is_some_and(|r| r.cutover.is_none())
    };
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([&edge.name]);
    let stale = changing(edge);
    below(view, edge, stale, &mut seen, &mut found);
    found.reverse();
    found
}

/// Walks down, and leaves each edge behind those that hang on it.
fn below<'a>(
    view: &'a View,
    edge: &'a Edge,
    stale: bool,
    seen: &mut BTreeSet<&'a EdgeName>,
    found: &mut Vec<&'a Edge>,
) {
    for next in onward(view, edge) {
        let old = stale || is_older(view, next, edge);
        if old && seen.insert(&next.name) {
            below(view, next, true, seen, found);
            found.push(next);
        }
    }
}

/// The edges that evaluate what this one gives, into spaces that are still in use.
fn onward<'a>(view: &'a View, edge: &Edge) -> Vec<&'a Edge> {
    let used = |next: &&Edge| {
        let target = view.space(next.name.target());
        target.is_some_and(|(space, _)| space.archived.is_none())
    };
    let onward = Graph::of(view).out_of(edge.name.target());
    let mut all: Vec<&Edge> = onward.filter(used).collect();
    // The walk turns what it finds around.
    all.sort_by_key(|next| Reverse(&next.name));
    all
}

/// Whether an edge's pseudonyms come from those of a parent's version that is no longer the current
/// one.
fn is_older(view: &View, edge: &Edge, parent: &Edge) -> bool {
    let Some((key, _)) = view.key(&parent.key) else {
        return false;
    };
    let current = view.primary(key);
    let Some(current) = current.filter(|current| current.name.number() > 1) else {
        return false;
    };
    let since = current.activated.unwrap_or(current.created);
    let own = view.key(&edge.key).and_then(|(key, _)| view.primary(key));
    own.is_none_or(|own| own.created < since)
}
