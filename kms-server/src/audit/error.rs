//! What can be wrong with a log, told as the state that the world is now in.

use thiserror::Error;

/// Why the log did not answer, and what that means for what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogError {
    /// The entry is empty, longer than 65,535 bytes, or not what this log holds: it was not
    /// recorded, the log goes on.
    #[error("this entry does not belong in the log, it was not recorded: {0}")]
    Invalid(String),

    /// The entry was not recorded. The next append tries the disk again.
    #[error("the log cannot be written, nothing was recorded: {0}")]
    Unavailable(String),

    /// The entry may have been recorded, or not, and the log takes no more until it was
    /// opened again.
    #[error("it is not known whether this was recorded: {0}")]
    Unknown(String),

    /// An earlier write left the log in doubt: this entry was not recorded, and none will be
    /// until the log was opened again.
    #[error("the log takes nothing more until the server is restarted: {0}")]
    Poisoned(String),

    /// The log cannot be opened: it is not there, another process has it, or the system
    /// refuses. Nothing was changed.
    #[error("the log cannot be opened: {0}")]
    NotOpened(String),

    /// What the log holds is not what was recorded, or not all of it. Nothing was changed.
    #[error("the log is damaged: {0}")]
    Damaged(String),
}
