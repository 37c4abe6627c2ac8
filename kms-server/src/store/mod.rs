//! Where spaces, keys, policy and proposals are kept: small documents under names, changed
//! all or nothing, by compare-and-swap.
//!
//! The store is a view of the changes log: it can be rebuilt, but it must never answer with
//! something that was not durable. What every implementation keeps, and what the contract
//! suite (`softhsm-tests/tests/store_contract.rs`) holds it to:
//!
//! - a commit is all or nothing, and durable when it returns;
//! - a reader sees only what is durable, and a whole commit or none of it;
//! - every key that a commit writes gets the commit's revision; revisions only grow, also
//!   over restarts and after deletions, so that a key that was deleted and made again never
//!   has a revision it had before;
//! - values hold at most [`MAX_VALUE`] bytes, a commit at most [`MAX_OPERATIONS`] checks and
//!   as many writes, each key once in either; keys are 1 to [`MAX_KEY`] printable ASCII
//!   characters. These are what both sled and etcd can keep.

use std::fmt;

use crate::health::Health;
use async_trait::async_trait;
pub use kms_core::revision::Revision;
use tokio::sync::watch;

mod error;
mod files;
mod limits;
mod pieces;
mod sled;

pub use error::StoreError;
pub use limits::{MAX_KEY, MAX_OPERATIONS, MAX_VALUE};
pub use sled::SledStore;

/// Small documents under names, changed all or nothing.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The entry of `key`, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if `key` is not a key, [`StoreError::Unavailable`],
    /// [`StoreError::Corrupt`].
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// The entries whose keys begin with `prefix`, in byte order, at most `limit` of them,
    /// beginning behind `after` (which need not exist). One call sees one state; between two
    /// calls the store may change.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a limit of 0, or a prefix or `after` that no key could
    /// have; [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Carries out `writes` if every one of `checks` holds, and returns the revision that
    /// the written keys now have. A key may be written without being checked. Deleting a key
    /// that is not there is no error.
    ///
    /// Dropping the future does not take the commit back.
    ///
    /// # Errors
    /// [`StoreError::Unknown`]: it may have been written. Any other: nothing was.
    async fn commit(&self, checks: &[Check], writes: &[Write]) -> Result<Revision, StoreError>;

    /// Whether a commit would find room now. Asked before a change is begun, so that a full disk
    /// leaves none half done.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the disk is full.
    fn has_room(&self) -> Result<(), StoreError>;

    /// Whether it can be used: `Down` once a commit left it in doubt. A full disk is no doubt.
    fn health(&self) -> watch::Receiver<Health>;
}

/// A document, the key it is kept under, and the revision of the commit that wrote it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The document.
    pub value: Vec<u8>,
    /// The commit that wrote it.
    pub revision: Revision,
}

/// What must be true of one key for a commit to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// There is no such key.
    Absent(String),
    /// The key is there, and was last written by this revision.
    At(String, Revision),
}

/// What a commit does to one key.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Puts this document there, whether or not there was one.
    Put(String, Vec<u8>),
    /// Takes the key away, if it is there.
    Delete(String),
}

impl Check {
    /// The key that is checked.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Absent(key) | Self::At(key, _) => key,
        }
    }
}

impl Write {
    /// The key that is written.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}

// Documents do not belong in a log line, so that Debug shows how long they are.

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("value", &format_args!("[{} bytes]", self.value.len()))
            .field("revision", &self.revision)
            .finish()
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(key, value) => {
                write!(f, "Put({key:?}, [{} bytes])", value.len())
            }
            Self::Delete(key) => write!(f, "Delete({key:?})"),
        }
    }
}
