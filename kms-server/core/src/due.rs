//! What is due: by when, on what, and whether the service does it or people must.

use crate::action::Action;
use crate::class::Class;
use crate::command::Change;
use crate::error::{Error, Result};
use crate::key::{Key, Origin, Version};
use crate::lifecycle::{InForce, Uses};
use crate::name::SpaceName;
use crate::space::Space;
use crate::state::State;
use crate::time::Time;
use crate::view::View;
use std::fmt;

/// The second clock: it goes on at the pace of the monotonic clock, from what it was when the service
/// started, and nobody can set it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steady {
    /// When the service started, by the first clock.
    pub started: Time,
    /// Now, by this one.
    pub now: Time,
}

impl Steady {
    /// Whether so many milliseconds have gone by since that time, as far as this process has seen.
    #[must_use]
    pub fn has_seen(&self, period: u64, since: Time) -> bool {
        self.now.since(since.max(self.started)) >= period
    }
}

/// What can be due is told from this.
#[derive(Debug, Clone, Copy)]
pub struct Outlook<'a> {
    /// All resources, as of now.
    pub view: &'a View,
    /// Now. It never goes back.
    pub now: Time,
    /// The second clock.
    pub steady: Steady,
    /// How versions were used.
    pub uses: &'a dyn Uses,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When.
    pub at: Time,
    /// What on: the name of a space, a key or a version.
    pub resource: String,
    /// What.
    pub task: Task,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// A new version: the primary one has protected long enough.
    Rotate,
    /// A new version: the primary one has protected as much as it may.
    RotateByUse,
    /// Half of what a version may protect is spent.
    HalfSpent,
    /// A new version must be imported: the material comes from outside.
    Import,
    /// A renewal campaign is due: rotating would change every pseudonym.
    Renew,
    /// A version of an archived space ends to protect.
    Deactivate,
    /// The processing period of a version is over: whatever it still protects is re-wrapped, and its
    /// destruction scheduled. Nothing is cut off by itself.
    EndProcessing,
    /// A version is destroyed.
    Destroy,
    /// A version whose import tokens have all expired is destroyed.
    DestroyPair,
    /// The keys of a decommissioned space are erased.
    Erase,
}

impl Task {
    /// Every task.
    pub const ALL: [Task; 10] = [
        Task::Rotate,
        Task::RotateByUse,
        Task::HalfSpent,
        Task::Import,
        Task::Renew,
        Task::Deactivate,
        Task::EndProcessing,
        Task::Destroy,
        Task::DestroyPair,
        Task::Erase,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Task::Rotate => "rotate",
            Task::RotateByUse => "rotate-by-use",
            Task::HalfSpent => "half-spent",
            Task::Import => "import",
            Task::Renew => "renew",
            Task::Deactivate => "deactivate",
            Task::EndProcessing => "end-processing",
            Task::Destroy => "destroy",
            Task::DestroyPair => "destroy-pair",
            Task::Erase => "erase",
        }
    }

    /// Whether the service does it by itself; else people must.
    #[must_use]
    pub fn by_itself(self) -> bool {
        match self {
            Task::Rotate
            | Task::RotateByUse
            | Task::Deactivate
            | Task::Destroy
            | Task::DestroyPair
            | Task::Erase => true,
            Task::HalfSpent | Task::Import | Task::Renew | Task::EndProcessing => false,
        }
    }

    /// Why, in the record of what the service does, and in a list of what is due.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Task::Rotate => "it has protected as long as it may",
            Task::RotateByUse => "it has protected as much as it may",
            Task::HalfSpent => "half of what it may protect is spent",
            Task::Import => "it has protected as long as it may: import a new version",
            Task::Renew => "it has protected as long as it may: plan a renewal campaign",
            Task::Deactivate => "its space is archived",
            Task::EndProcessing => {
                "its processing period is over: re-wrap what it protects, then schedule its \
                 destruction"
            }
            Task::Destroy => "the day of its destruction has come",
            Task::DestroyPair => "its last import token has expired",
            Task::Erase => "the day of its erasure has come",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Due {
    /// The change by which the service does it; `None`: people must. The same each time, so that one
    /// that waits for approvals is recognised.
    ///
    /// # Errors
    /// `Internal` when its resource is none.
    pub fn change(&self) -> Result<Option<Change>> {
        let reason = self.task.reason().to_owned();
        let broken = |e: Error| Error::internal(format!("{}: {e}", self.resource));
        let version = |transition| -> Result<Change> {
            Ok(Change::MoveVersion {
                name: self.resource.parse().map_err(broken)?,
                etag: None,
                transition,
                reason: reason.clone(),
                keep_processing: false,
            })
        };
        let change = match self.task {
            Task::Rotate | Task::RotateByUse => Change::RotateKey {
                name: self.resource.parse().map_err(broken)?,
                etag: None,
                reason,
                pre_active: false,
            },
            Task::Deactivate => version(Action::DeactivateVersion)?,
            Task::Destroy | Task::DestroyPair => version(Action::DestroyVersion)?,
            Task::Erase => Change::EraseSpace {
                name: self.resource.parse().map_err(broken)?,
                reason,
            },
            Task::HalfSpent | Task::Import | Task::Renew | Task::EndProcessing => return Ok(None),
        };
        Ok(Some(change))
    }
}

impl Outlook<'_> {
    /// Everything that is due until then, the earliest first. What comes again and again, rotations,
    /// stands there as often as it comes.
    #[must_use]
    pub fn due(&self, until: Time) -> Vec<Due> {
        let spaces = self.view.spaces();
        let mut found: Vec<Due> = spaces.flat_map(|space| self.due_in(space, until)).collect();
        found.sort();
        found
    }

    /// Everything that is due in a space until then, the earliest first.
    pub(crate) fn due_in(&self, space: &Space, until: Time) -> Vec<Due> {
        let mut found = Vec::new();
        if space.erased.is_none() {
            self.of_space(space, &mut found);
            for key in self.view.keys_in(&space.name) {
                self.of_key(space, key, until, &mut found);
            }
        }
        found.retain(|due| due.at <= until);
        found.sort();
        found
    }

    /// Makes sure that the service asks for nothing that is not due.
    ///
    /// # Errors
    /// `State` when it is not.
    pub fn demand(&self, change: &Change) -> Result<()> {
        let (text, (_, name)) = (change.text()?, change.resource());
        let space = SpaceName::of_resource(&name);
        let space = space.and_then(|space| self.view.space(&space));
        for due in space.map_or(vec![], |(space, _)| self.due_in(space, self.now)) {
            let asked = due.change()?.map(|change| change.text()).transpose()?;
            if asked.as_ref() == Some(&text) {
                return Ok(());
            }
        }
        let action = change.action();
        Err(Error::state(format!("{action} of {name} is not due")))
    }

    fn of_space(&self, space: &Space, found: &mut Vec<Due>) {
        let mut push = |at, resource: String, task| found.push(Due { at, resource, task });
        if let Some(archived) = &space.archived {
            for key in self.view.keys_in(&space.name) {
                let versions = self.view.versions(&key.name);
                // What was compromised is re-wrapped to an active version first, until the space
                // is erased.
                let harmed = versions.iter().any(|v| v.state == State::Compromised);
                let at = match &space.decommission {
                    _ if !harmed => archived.time,
                    Some(decided) => decided.erase,
                    None => continue,
                };
                for version in versions.iter().filter(|v| v.state == State::Active) {
                    push(at, version.name.to_string(), Task::Deactivate);
                }
            }
        }
        if let Some(decided) = &space.decommission {
            push(decided.erase, space.name.to_string(), Task::Erase);
        }
    }

    fn of_key(&self, space: &Space, key: &Key, until: Time, found: &mut Vec<Due>) {
        if !Class::OFFERED.contains(&key.class) {
            return;
        }
        let life = self.view.lifecycle(key);
        let primary = self.view.primary(key);
        if let Some(primary) = primary.filter(|p| p.state == State::Active)
            && space.archived.is_none()
        {
            self.of_primary(key, primary, life, until, found);
        }
        for version in self.view.versions(&key.name) {
            let mut push = |at, task| {
                let resource = version.name.to_string();
                found.push(Due { at, resource, task });
            };
            if version.state == State::Destroyed {
                continue;
            }
            if let Some(scheduled) = &version.destruction {
                push(scheduled.at, Task::Destroy);
                continue;
            }
            let (State::Deactivated, Some(retired), Some(processing)) =
                (version.state, version.retired, life.processing)
            else {
                continue;
            };
            let over = retired.plus_millis(processing);
            match key.class {
                // Two clocks must agree: of those that nobody can set, there is the uptime.
                Class::ImportWrapping if self.now < over => push(over, Task::DestroyPair),
                Class::ImportWrapping if self.steady.has_seen(processing, retired) => {
                    push(over, Task::DestroyPair);
                }
                Class::ImportWrapping => {
                    let seen = self.steady.now.since(retired.max(self.steady.started));
                    let later = self.now.plus_millis(processing.saturating_sub(seen));
                    push(later, Task::DestroyPair);
                }
                Class::DataAtRest
                | Class::Pseudonymisation
                | Class::ServiceImportToken
                | Class::ServiceAttestation
                | Class::ServiceExchange
                | Class::ServiceDigest
                | Class::ServiceImportParameters => push(over, Task::EndProcessing),
            }
        }
    }

    fn of_primary(
        &self,
        key: &Key,
        primary: &Version,
        life: InForce,
        until: Time,
        found: &mut Vec<Due>,
    ) {
        let name = key.name.to_string();
        let mut push = |at, task| {
            let resource = name.clone();
            found.push(Due { at, resource, task });
        };
        let since = primary.activated.unwrap_or(primary.created);
        let by_itself = key.class.rotates_itself() && key.origin == Origin::Generated;
        let end = since.plus_millis(life.protecting);
        if !by_itself {
            let task = match key.origin {
                Origin::External => Task::Import,
                Origin::Generated => Task::Renew,
            };
            push(end, task);
            return;
        }
        let spent = self.uses.spent(&primary.id);
        if life.is_spent(spent) {
            push(self.now, Task::RotateByUse);
        } else if life.is_half_spent(spent) {
            push(self.now, Task::HalfSpent);
        }
        let mut at = Time(end.0.saturating_sub(spread(primary, life.protecting)));
        // A successor's own spread is not known before it is there.
        for _ in 0..MOST {
            if at > until {
                return;
            }
            push(at, Task::Rotate);
            at = at.max(self.now).plus_millis(life.protecting);
        }
    }
}

/// So many rotations of one key are foreseen.
const MOST: usize = 1000;

/// How much earlier than it must a version is rotated, so that keys that were made together are not
/// rotated together: up to a twentieth of the period, by the key's name in the HSM, the same each
/// time it is asked.
fn spread(version: &Version, period: u64) -> u64 {
    let [a, b, ..] = version.id.uid.0;
    let share = u64::from(
        u16::from_be_bytes([a, b]).wrapping_add(
            u16::try_from(version.id.version % 0x1_0000)
                .unwrap_or(0)
                .wrapping_mul(0x9e37),
        ),
    );
    (period / 20 / 0x1_0000).saturating_mul(share)
}
