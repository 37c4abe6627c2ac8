//! What a rebuild found and did, for an operator.

use super::judged::Judged;
use crate::doctor::Diagnosis;
use crate::engine::restored::Proven;
use crate::hsm::TokenObject;
use kms_core::name::VersionName;
use kms_core::time::Time;
use std::fmt;
use std::path::PathBuf;

/// What was found and done.
#[derive(Debug, Default)]
pub struct Report {
    pub(super) dry_run: bool,
    /// The store is what the log says, and was not rebuilt.
    pub(super) stands: bool,
    pub(super) entries: u64,
    pub(super) approvals: usize,
    pub(super) values: u64,
    pub(super) versions: usize,
    pub(super) edges: usize,
    pub(super) aside: Option<PathBuf>,
    /// Keys that were rotated; of a dry run, that would be.
    pub(super) rotated: Vec<String>,
    /// Keys that protect nothing until somebody rotates or imports.
    pub(super) spent: Vec<String>,
    missing: Vec<VersionName>,
    again: Vec<VersionName>,
    unproved: Vec<(VersionName, String, bool)>,
    strange: Vec<TokenObject>,
    later: Vec<VersionName>,
    /// The time of the last entry.
    pub(super) latest: Time,
}

impl Report {
    pub(super) fn of(proven: &Proven) -> Self {
        let view = proven.replay().view();
        Report {
            entries: proven.replay().len(),
            approvals: view.proposals().map(|p| p.approvals.len()).sum(),
            values: u64::try_from(view.len()).unwrap_or(u64::MAX),
            latest: proven.replay().latest(),
            edges: view.edges().count(),
            ..Report::default()
        }
    }

    pub(super) fn take(&mut self, judged: Judged, diagnosis: &Diagnosis) {
        let held = |name: &VersionName| judged.held.iter().any(|(held, _)| held == name);
        self.versions = diagnosis.versions();
        self.unproved = judged
            .unproved
            .iter()
            .map(|(name, why)| (name.clone(), why.clone(), held(name)))
            .collect();
        self.missing = judged.missing;
        self.again = judged.again;
        self.strange = judged.strange;
        self.later = judged.later.into_keys().collect();
    }

    /// Whether nothing needs people.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.missing.is_empty()
            && self.unproved.is_empty()
            && self.strange.is_empty()
            && self.later.is_empty()
            && self.spent.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "log      {} entries and {} approvals verified, the last of {}; they prove {} values",
            self.entries, self.approvals, self.latest, self.values
        )?;
        if self.stands {
            writeln!(
                f,
                "store    is what the log says: there is nothing to rebuild"
            )?;
        }
        writeln!(f, "token    {} versions looked for", self.versions)?;
        for name in &self.missing {
            writeln!(
                f,
                "MISSING  {name}: the token does not show its key, and it cannot be used. Do not delete anything: see ops/runbooks/token-lost.md"
            )?;
        }
        for (name, why, held) in &self.unproved {
            let done = match (held, self.dry_run) {
                (true, false) => "; it is suspended",
                (true, true) => "; it would be suspended",
                (false, _) => "; it is not active, look at it before it is used",
            };
            writeln!(f, "UNPROVED {name}: {why}{done}")?;
        }
        for name in &self.later {
            writeln!(
                f,
                "LATER    {name}: the token has its key, and the log ends before it was made; it is held, suspended, and its number is not given out again"
            )?;
        }
        let verb = if self.dry_run { "would be" } else { "is" };
        for name in &self.again {
            writeln!(
                f,
                "AGAIN    {name}: it was destroyed, and its key was in the token; it {verb} destroyed again"
            )?;
        }
        for object in &self.strange {
            writeln!(
                f,
                "ORPHAN   {} {} {}: in the token, in no record of this deployment; it stays as it is",
                object.class, object.raw_id, object.label
            )?;
        }
        for name in &self.rotated {
            writeln!(
                f,
                "ROTATED  {name}: how often its version had encrypted is not known; it {verb} rotated"
            )?;
        }
        for name in &self.spent {
            writeln!(
                f,
                "SPENT    {name}: how often its version has encrypted is not known, so it protects nothing until it is rotated, or a new version imported"
            )?;
        }
        if let Some(aside) = &self.aside {
            writeln!(f, "aside    what was there is in {}", aside.display())?;
        }
        if self.stands {
            return Ok(());
        }
        if self.edges > 0 {
            writeln!(
                f,
                "quotas   what was left of them on {} edge(s) is not known: all of it counts as spent; to set others: kms quota set",
                self.edges
            )?;
        }
        if self.dry_run {
            writeln!(f, "nothing was changed")
        } else {
            writeln!(f, "the store is rebuilt")
        }
    }
}
