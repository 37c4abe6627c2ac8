//! Every key against its policy: what a regulator asks, and what an operator mends.

use crate::class::Class;
use crate::due::{Due, Outlook};
use crate::key::{Key, Version, Wrapping};
use crate::lifecycle::{InForce, Period, Spent};
use crate::name::{KeyName, VersionName};
use crate::state::State;
use crate::time::{DAY, Time};

/// One key against its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReport {
    /// Its name.
    pub name: KeyName,
    /// Its class.
    pub class: Class,
    /// Its primary version, and the state of it.
    pub primary: Option<(VersionName, State)>,
    /// How long that has protected, in milliseconds.
    pub age: Option<u64>,
    /// How long it may, in milliseconds.
    pub cryptoperiod: u64,
    /// What is due first.
    pub next: Option<Due>,
    /// How many of its versions are not destroyed.
    pub versions: usize,
    /// How many are.
    pub destroyed: usize,
    /// How much its primary version has encrypted, at most.
    pub spent: Spent,
    /// When any of its versions was last used.
    pub last: Option<Time>,
    /// What is not as the policy wants it.
    pub findings: Vec<Finding>,
}

/// Something that is not as the policy wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The key or the version.
    pub resource: String,
    /// How it deviates.
    pub deviation: Deviation,
    /// In words, with what to do.
    pub sentence: String,
}

/// How a key deviates from its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deviation {
    /// No version protects.
    NoPrimary,
    /// The primary version protects longer than it may.
    CryptoperiodOver,
    /// The primary version has protected more than it may.
    UseOver,
    /// A version is kept for processing longer than it may.
    ProcessingOver,
    /// A compromised version is not destroyed.
    CompromisedKept,
    /// A version is suspended.
    OnHold,
    /// The day of its destruction is over, and it is still there.
    DestructionOverdue,
    /// It is not known whether the HSM still holds it.
    InDoubt,
    /// It came in under a mechanism that is tolerated, not recommended.
    WeakImport,
}

/// So long after its day a destruction is overdue, in milliseconds: a custodian has that time to
/// approve it.
const GRACE: u64 = 7 * DAY;

/// So far ahead the next task is looked for, in milliseconds: ten years.
pub const HORIZON: u64 = 3650 * DAY;

impl Outlook<'_> {
    /// Every key that callers use, in the order of its name.
    #[must_use]
    pub fn report(&self) -> Vec<KeyReport> {
        let mut found = Vec::new();
        for space in self.view.spaces() {
            let all = self.due_in(space, self.now.plus_millis(HORIZON));
            for key in self.view.keys_in(&space.name) {
                if Class::OFFERED.contains(&key.class) {
                    found.push(self.of_one(key, space.archived.is_some(), &all));
                }
            }
        }
        found
    }

    fn of_one(&self, key: &Key, archived: bool, all: &[Due]) -> KeyReport {
        let life = self.view.lifecycle(key);
        let primary = self.view.primary(key);
        let versions = self.view.versions(&key.name);
        let name = key.name.to_string();
        let mine = format!("{name}/");
        let next = all
            .iter()
            .find(|due| due.resource == name || due.resource.starts_with(&mine));
        let gone = versions.iter().filter(|v| v.state == State::Destroyed);
        let destroyed = gone.count();
        let mut findings = Vec::new();
        let protects = primary.is_some_and(|p| p.state == State::Active);
        if !protects && !archived {
            findings.push(Finding {
                resource: name,
                deviation: Deviation::NoPrimary,
                sentence: "no version protects; rotate it, import one, or archive its space".into(),
            });
        }
        if let Some(primary) = primary {
            findings.extend(self.of_protection(primary, life));
        }
        for version in &versions {
            findings.extend(self.of_version(version, key.class, life));
        }
        KeyReport {
            class: key.class,
            primary: primary.map(|p| (p.name.clone(), p.state)),
            age: primary.map(|p| self.now.since(p.activated.unwrap_or(p.created))),
            cryptoperiod: life.protecting,
            next: next.cloned(),
            versions: versions.len().saturating_sub(destroyed),
            destroyed,
            spent: primary.map(|p| self.uses.spent(&p.id)).unwrap_or_default(),
            last: versions
                .iter()
                .filter_map(|v| self.uses.last(&v.name))
                .max(),
            findings,
            name: key.name.clone(),
        }
    }

    fn of_protection(&self, primary: &Version, life: InForce) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut say = |deviation, sentence: String| {
            findings.push(Finding {
                resource: primary.name.to_string(),
                deviation,
                sentence,
            });
        };
        if primary.state != State::Active {
            return findings;
        }
        let age = self.now.since(primary.activated.unwrap_or(primary.created));
        if age > life.protecting {
            let most = Period(life.protecting);
            let sentence = format!("it has protected for longer than {most}");
            say(Deviation::CryptoperiodOver, sentence);
        }
        let spent = self.uses.spent(&primary.id);
        let over = |limit: Option<u64>, spent: u64| limit.is_some_and(|limit| spent > limit);
        if over(life.encryptions, spent.encryptions) || over(life.bytes, spent.bytes) {
            say(
                Deviation::UseOver,
                "it has protected more than it may".into(),
            );
        }
        findings
    }

    fn of_version(&self, version: &Version, class: Class, life: InForce) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut say = |deviation, sentence: &str| {
            findings.push(Finding {
                resource: version.name.to_string(),
                deviation,
                sentence: sentence.to_owned(),
            });
        };
        if version.state == State::Destroyed {
            return findings;
        }
        let over = |since: Option<Time>, period: Option<u64>| {
            let end = since.zip(period).map(|(s, p)| s.plus_millis(p));
            end.is_some_and(|end| self.now > end)
        };
        match (&version.destruction, version.state) {
            (Some(scheduled), _) => {
                if self.now > scheduled.at.plus_millis(GRACE) {
                    say(
                        Deviation::DestructionOverdue,
                        "the day of its destruction is over; a custodian approves it (kms proposal list)",
                    );
                }
            }
            (None, State::Compromised) => say(
                Deviation::CompromisedKept,
                "re-wrap what it protects, then schedule its destruction",
            ),
            (None, State::Suspended) => say(
                Deviation::OnHold,
                "it is on hold: resume, deactivate or compromise it",
            ),
            (None, State::Deactivated) => {
                // A day for the service to do it by itself.
                if over(
                    version.retired,
                    life.processing.map(|p| p.saturating_add(DAY)),
                ) {
                    say(Deviation::ProcessingOver, processing_over(class));
                }
            }
            (None, State::PreActive | State::Active | State::Destroyed) => {}
        }
        if self.view.is_burnt(&version.id) {
            say(
                Deviation::InDoubt,
                "its destruction was begun and not finished; it is tried again",
            );
        }
        let weak = version.imported.as_ref().map(|i| i.mechanism) == Some(Wrapping::OaepSha1);
        if weak {
            say(
                Deviation::WeakImport,
                "it came in under RSA-OAEP with SHA-1, which is tolerated, not recommended",
            );
        }
        findings
    }
}

fn processing_over(class: Class) -> &'static str {
    match class {
        Class::ImportWrapping => {
            "its last import token has expired, and it is still there: the service destroys it once \
             it has run for as long as a token is good, with the HSM at hand"
        }
        Class::DataAtRest
        | Class::Pseudonymisation
        | Class::ServiceImportToken
        | Class::ServiceExchange
        | Class::ServiceDigest
        | Class::ServiceImportParameters
        | Class::ServiceAttestation => {
            "its processing period is over: re-wrap what it protects, then schedule its destruction"
        }
    }
}
