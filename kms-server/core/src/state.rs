//! The states of a version and the transitions between them (NIST SP 800-57 Part 1 Rev. 5,
//! section 7).

use serde::{Deserialize, Serialize};
use std::fmt;

/// The state of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Made, not yet in use.
    PreActive,
    /// Protects and processes.
    Active,
    /// A hold on all use, unless the suspension says that processing may go on.
    Suspended,
    /// Processes what was protected before; protects nothing new.
    Deactivated,
    /// Known or feared to be in other hands. For ever.
    Compromised,
    /// The material is gone. For ever.
    Destroyed,
}

/// What a use does to data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Encrypt, wrap, evaluate a pseudonym.
    Protect,
    /// Decrypt, unwrap.
    Process,
}

impl State {
    /// Every state, in the order of a version's life.
    pub const ALL: [State; 6] = [
        State::PreActive,
        State::Active,
        State::Suspended,
        State::Deactivated,
        State::Compromised,
        State::Destroyed,
    ];

    /// The only transitions there are: from, to.
    pub const TRANSITIONS: [(State, State); 13] = [
        (State::PreActive, State::Active),
        (State::PreActive, State::Compromised),
        (State::PreActive, State::Destroyed),
        (State::Active, State::Suspended),
        (State::Active, State::Deactivated),
        (State::Active, State::Compromised),
        (State::Suspended, State::Active),
        (State::Suspended, State::Deactivated),
        (State::Suspended, State::Compromised),
        (State::Suspended, State::Destroyed),
        (State::Deactivated, State::Compromised),
        (State::Deactivated, State::Destroyed),
        (State::Compromised, State::Destroyed),
    ];

    /// Whether a version may go from this state to that one.
    #[must_use]
    pub fn may_become(self, to: State) -> bool {
        Self::TRANSITIONS.contains(&(self, to))
    }

    /// Whether a version in this state may be used so. `kept` is what its suspension says of
    /// processing; it matters to *suspended* alone.
    #[must_use]
    pub fn allows(self, usage: Use, kept: bool) -> bool {
        match (self, usage) {
            (State::Active, Use::Protect | Use::Process) | (State::Deactivated, Use::Process) => {
                true
            }
            (State::Suspended, Use::Process) => kept,
            (
                State::PreActive | State::Compromised | State::Destroyed,
                Use::Protect | Use::Process,
            )
            | (State::Suspended | State::Deactivated, Use::Protect) => false,
        }
    }

    /// Its standard name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::PreActive => "pre-active",
            State::Active => "active",
            State::Suspended => "suspended",
            State::Deactivated => "deactivated",
            State::Compromised => "compromised",
            State::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_destroyed_and_nothing_un_compromises() {
        for to in State::ALL {
            assert!(!State::Destroyed.may_become(to), "destroyed became {to}");
            assert_eq!(
                State::Compromised.may_become(to),
                to == State::Destroyed,
                "{to}"
            );
        }
    }
}
