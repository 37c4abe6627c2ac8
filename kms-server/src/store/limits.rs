//! What every implementation refuses before it does anything, in the same words.

use std::collections::BTreeSet;

use super::{Check, Entry, StoreError, Write};

/// The longest value, in bytes: well below sled's blob files (never fsynced) and etcd's
/// largest request.
pub const MAX_VALUE: usize = 64 * 1024;

/// The most checks, and the most writes, in one commit: etcd allows 128 of each.
pub const MAX_OPERATIONS: usize = 100;

/// The longest key, in bytes.
pub const MAX_KEY: usize = 512;

/// Whether `key` may be one: 1 to [`MAX_KEY`] printable ASCII characters, no blanks.
pub(super) fn key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() {
        return Err(StoreError::Invalid("a key is never empty".to_owned()));
    }
    part_of_key(key)
}

/// Whether `part` may begin a key: as [`key`], but it may be empty.
pub(super) fn part_of_key(part: &str) -> Result<(), StoreError> {
    if part.len() > MAX_KEY {
        return Err(StoreError::Invalid(format!(
            "a key of {} bytes, {MAX_KEY} are allowed",
            part.len()
        )));
    }
    if !part.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(StoreError::Invalid(
            "a key holds printable ASCII characters only".to_owned(),
        ));
    }
    Ok(())
}

/// Whether a scan may be asked for.
pub(super) fn scan(prefix: &str, after: Option<&str>, limit: usize) -> Result<(), StoreError> {
    part_of_key(prefix)?;
    after.map_or(Ok(()), part_of_key)?;
    if limit == 0 {
        return Err(StoreError::Invalid(
            "a scan asks for one entry at least".to_owned(),
        ));
    }
    Ok(())
}

/// Whether a commit may be asked for.
pub(super) fn commit(checks: &[Check], writes: &[Write]) -> Result<(), StoreError> {
    let operations = checks.len().max(writes.len());
    if operations > MAX_OPERATIONS {
        return Err(StoreError::TooManyOperations { operations });
    }
    if writes.is_empty() {
        return Err(StoreError::Invalid("a commit writes something".to_owned()));
    }
    each_once(checks.iter().map(Check::key))?;
    each_once(writes.iter().map(Write::key))?;
    for write in writes {
        match write {
            Write::Put(key, value) if value.len() > MAX_VALUE => {
                return Err(StoreError::ValueTooLarge {
                    key: key.clone(),
                    size: value.len(),
                });
            }
            Write::Put(..) | Write::Delete(_) => {}
        }
    }
    Ok(())
}

/// Whether a store may hold these entries.
pub(super) fn entries(entries: &[Entry]) -> Result<(), StoreError> {
    each_once(entries.iter().map(|entry| entry.key.as_str()))?;
    match entries.iter().find(|entry| entry.value.len() > MAX_VALUE) {
        Some(entry) => Err(StoreError::ValueTooLarge {
            key: entry.key.clone(),
            size: entry.value.len(),
        }),
        None => Ok(()),
    }
}

fn each_once<'a>(keys: impl Iterator<Item = &'a str>) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    for one in keys {
        key(one)?;
        if !seen.insert(one) {
            return Err(StoreError::Invalid(format!("`{one}` is twice in a commit")));
        }
    }
    Ok(())
}
