//! What the log and the token say of each version, held together.

use crate::doctor::{Diagnosis, Finding};
use crate::hsm::{Hsm, TokenObject};
use crate::serve::said;
use kms_core::class::Class;
use kms_core::error::Kind;
use kms_core::id::KeyId;
use kms_core::key::{KeySpec, Learned, Origin, Version};
use kms_core::name::VersionName;
use kms_core::permit::{Permit, SystemOp};
use kms_core::rebuild::Found;
use kms_core::state::State;
use kms_core::view::View;
use std::collections::{BTreeMap, BTreeSet};

/// What the comparison with the token comes to.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Versions whose keys the token does not show.
    pub(super) missing: Vec<VersionName>,
    /// Versions that were destroyed, and whose keys are there again.
    pub(super) again: Vec<VersionName>,
    /// Versions that cannot be proved, and why not.
    pub(super) unproved: BTreeMap<VersionName, String>,
    /// Those of them that are active, and are suspended.
    pub(super) held: Vec<(VersionName, String)>,
    /// Objects that are in no record.
    pub(super) strange: Vec<TokenObject>,
    /// Versions of keys of ours that the log ends too early to know.
    pub(super) later: BTreeMap<VersionName, KeyId>,
    /// What the token tells of them.
    pub(super) learned: Vec<(VersionName, Learned)>,
}

/// What is recorded in one change.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) again: Vec<VersionName>,
    pub(super) unproved: Vec<(VersionName, String)>,
    pub(super) later: Vec<(VersionName, Learned)>,
}

impl Judged {
    /// `made`: what the log does not say was made; `behind`: the log is known to end too early, and
    /// what holds now of any version is not known.
    pub(super) fn new(view: &View, diagnosis: &Diagnosis, made: &[KeyId], behind: bool) -> Self {
        let mut judged = Judged::default();
        let versions = || view.all().filter_map(|stamped| stamped.value.as_version());
        let named = |name: &str| versions().find(|version| version.name.to_string() == name);
        let gone: BTreeMap<KeyId, &VersionName> = versions()
            .filter(|version| version.state == State::Destroyed)
            .map(|version| (version.id, &version.name))
            .collect();
        for version in versions().filter(|version| made.contains(&version.id)) {
            let why = "the log does not say what became of its making";
            judged.unproved.insert(version.name.clone(), why.into());
        }
        let mut again = BTreeSet::new();
        for finding in diagnosis.findings() {
            match finding {
                Finding::Missing(name, _) => {
                    judged.missing.extend(named(name).map(|v| v.name.clone()));
                }
                Finding::Wrong(name, what) => {
                    if let Some(version) = named(name) {
                        let why = judged.unproved.entry(version.name.clone()).or_default();
                        let comma = if why.is_empty() { "" } else { "; " };
                        *why = format!("{why}{comma}{what}");
                    }
                }
                Finding::Orphan(object) => {
                    let later = object.id.filter(|id| !made.contains(id));
                    let later = later.and_then(|id| Some((later_version(view, &id)?, id)));
                    match (object.id.and_then(|id| gone.get(&id)), later) {
                        (Some(name), _) => again.extend([(*name).clone()]),
                        (None, Some((name, id))) => {
                            judged.later.insert(name, id);
                        }
                        (None, None) => judged.strange.push(object.clone()),
                    }
                }
            }
        }
        judged.again = again.into_iter().collect();
        let why = "the log ends before what holds now, and its state is not known";
        for version in versions().filter(|version| behind && is_held(view, version)) {
            let held = judged.unproved.entry(version.name.clone());
            held.or_insert_with(|| why.into());
        }
        let active = |name: &VersionName| {
            view.version(name)
                .is_some_and(|(version, _)| version.state == State::Active)
        };
        let held = judged.unproved.iter().filter(|(name, _)| active(name));
        judged.held = held
            .map(|(name, why)| (name.clone(), format!("the store was rebuilt: {why}")))
            .collect();
        judged
    }

    /// In parts that fit into one record each; one at least.
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = vec![];
        let mut again = self.again.chunks(Found::MOST);
        let mut held = self.held.chunks(Found::MOST);
        let mut learned = self.learned.chunks(Found::MOST);
        loop {
            let (again, held, later) = (again.next(), held.next(), learned.next());
            let over = again.is_none() && held.is_none() && later.is_none();
            if over && !parts.is_empty() {
                return parts;
            }
            parts.push(Part {
                again: again.map(<[_]>::to_vec).unwrap_or_default(),
                unproved: held.map(<[_]>::to_vec).unwrap_or_default(),
                later: later.map(<[_]>::to_vec).unwrap_or_default(),
            });
        }
    }

    /// Asks the token for what it has and the log does not know. What is not a key of ours is
    /// strange, whatever its id.
    pub(super) async fn look(&mut self, view: &View, hsm: &dyn Hsm) -> Result<(), String> {
        let permit = Permit::system(SystemOp::Recovery);
        for (name, id) in &self.later {
            let Some((key, _)) = view.key(name.key()) else {
                continue;
            };
            let spec = KeySpec {
                id: *id,
                label: name.clone(),
                class: key.class,
                exportable: key.exportable,
                intake: key.intake.clone(),
            };
            match hsm.find(&permit, &spec).await {
                Ok(Some(learned)) => self.learned.push((name.clone(), learned)),
                Ok(None) => {}
                Err(e) if e.kind() == Kind::Internal => {
                    tracing::warn!(%name, cause = e.cause(), "what the token has under it is no key of ours");
                }
                Err(e) => return Err(said(&e)),
            }
        }
        Ok(())
    }
}

/// The version that has this id, where it can only have been made after the log ends: its key is
/// known, and its number was never given out.
fn later_version(view: &View, id: &KeyId) -> Option<VersionName> {
    let keys = view.all().filter_map(|stamped| stamped.value.as_key());
    let key = keys.into_iter().find(|key| key.uid == id.uid)?;
    (id.version > key.latest && !view.is_burnt(id)).then(|| key.name.version(id.version))
}

/// Whether a version is held where its state is not known: what callers use, but for what is rotated
/// at once.
fn is_held(view: &View, version: &Version) -> bool {
    let Some((key, _)) = view.key(version.name.key()) else {
        return false;
    };
    let rotated = key.class == Class::DataAtRest && key.origin == Origin::Generated;
    version.state == State::Active && Class::OFFERED.contains(&key.class) && !rotated
}

/// Why a log that ends too early is not taken without a word.
pub(super) fn older(judged: &Judged) -> String {
    let names: Vec<String> = judged
        .later
        .keys()
        .take(3)
        .map(ToString::to_string)
        .collect();
    format!(
        "the token has {} version(s) that were made after the log ends ({}...): this is an older \
         log, or a part of one, and what was suspended or destroyed since is not in it. Rebuild from \
         the newest copy; only if there is none, say --behind: then every version is suspended or \
         rotated",
        judged.later.len(),
        names.join(", ")
    )
}
