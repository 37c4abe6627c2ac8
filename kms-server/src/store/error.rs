//! What can be wrong with a store, told as the state that the world is now in.

use thiserror::Error;

use super::limits::{MAX_OPERATIONS, MAX_VALUE};

/// Why the store did not answer, and what that means for what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// A check failed: nothing was written. Read again, and decide again.
    #[error("`{key}` is not what it was when this was decided: nothing was written")]
    Conflict {
        /// The first key, in the order of the checks, that was not as expected.
        key: String,
    },

    /// A value is longer than [`MAX_VALUE`] bytes: nothing was written.
    #[error("the value of `{key}` has {size} bytes, {MAX_VALUE} are allowed: nothing was written")]
    ValueTooLarge {
        /// Whose value it is.
        key: String,
        /// Its length in bytes.
        size: usize,
    },

    /// More than [`MAX_OPERATIONS`] checks or writes: nothing was written.
    #[error(
        "a commit of {operations} operations, {MAX_OPERATIONS} are allowed: nothing was written"
    )]
    TooManyOperations {
        /// How many there were.
        operations: usize,
    },

    /// A request that makes no sense to any store: nothing was written.
    #[error("{0}: nothing was written")]
    Invalid(String),

    /// The store cannot be used now: nothing was written by this call.
    #[error("the store is unavailable, nothing was written: {0}")]
    Unavailable(String),

    /// The commit began and its end was not seen: it may have been written, or not. Look
    /// first; an embedded store answers nothing more until it was opened again.
    #[error("it is not known whether this was written: {0}")]
    Unknown(String),

    /// What is stored is not what was written. Nothing was changed, and nothing is repaired
    /// here: restore, or rebuild the store from the changes log.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}
