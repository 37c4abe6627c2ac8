//! Everything that can be asked.

mod about;
mod change;
mod read;
mod usage;
mod wrapped;

pub use change::Change;
pub use read::{AccessQuery, Asked, LogName, MayQuery, Named, Read, Rules, Sort};
pub use usage::{DataKey, Passage, Plain, Sealed, Use};
pub use wrapped::Wrapped;

use crate::action::Action;

/// A command: it changes what is, uses a key, or reads.
#[derive(Debug)]
pub enum Command {
    /// Makes or moves something: intention and outcome go into the changes log.
    Change(Change),
    /// Uses keys: one record in the uses log.
    Use(Use),
    /// Shows what is: one record in the uses log.
    Read(Read),
}

impl Command {
    /// Its name in policy and audit.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Command::Change(change) => change.action(),
            Command::Use(usage) => usage.action(),
            Command::Read(read) => read.action(),
        }
    }

    /// The resource that it is about, for the record: its sort and its name.
    #[must_use]
    pub fn resource(&self) -> (&'static str, String) {
        match self {
            Command::Change(change) => change.resource(),
            Command::Use(usage) => usage.resource(),
            Command::Read(read) => read.resource(),
        }
    }
}
