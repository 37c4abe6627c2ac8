//! A store in memory whose commits fail in both ways, for the tests of what is counted.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use crate::health::Health;
use crate::store::{Check, Entry, Store, StoreError, Write};
use async_trait::async_trait;
use kms_core::revision::Revision;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::watch;

/// What the next commit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    NotDone,
    DoneAndNotSaid,
}

/// A store in memory whose commits fail in both ways.
#[derive(Debug)]
pub(super) struct Flaky {
    values: Mutex<BTreeMap<String, Vec<u8>>>,
    fault: Mutex<Fault>,
    commits: Mutex<u64>,
}

#[async_trait]
impl Store for Flaky {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let value = self.values.lock().unwrap().get(key).cloned();
        Ok(value.map(|value| entry(key, &value)))
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let values = self.values.lock().unwrap();
        let found = values.iter().filter(|(key, _)| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        });
        Ok(found.take(limit).map(|(k, v)| entry(k, v)).collect())
    }

    async fn commit(&self, _: &[Check], writes: &[Write]) -> Result<Revision, StoreError> {
        *self.commits.lock().unwrap() += 1;
        let fault = std::mem::replace(&mut *self.fault.lock().unwrap(), Fault::None);
        if fault == Fault::NotDone {
            return Err(StoreError::Unavailable("a full disk".into()));
        }
        let mut values = self.values.lock().unwrap();
        for write in writes {
            match write {
                Write::Put(key, value) => drop(values.insert(key.clone(), value.clone())),
                Write::Delete(key) => drop(values.remove(key)),
            }
        }
        match fault {
            Fault::DoneAndNotSaid => Err(StoreError::Unknown("no answer".into())),
            Fault::None | Fault::NotDone => Ok(Revision(2)),
        }
    }

    fn has_room(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn health(&self) -> watch::Receiver<Health> {
        watch::Sender::new(Health::Serving).subscribe()
    }
}

fn entry(key: &str, value: &[u8]) -> Entry {
    Entry {
        key: key.to_owned(),
        value: value.to_owned(),
        revision: Revision(1),
    }
}

impl Flaky {
    pub(super) fn new() -> Self {
        Flaky {
            values: Mutex::default(),
            fault: Mutex::new(Fault::None),
            commits: Mutex::default(),
        }
    }

    /// What the next commit does.
    pub(super) fn next(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// How many commits were asked for.
    pub(super) fn commits(&self) -> u64 {
        *self.commits.lock().unwrap()
    }

    /// How many keys begin so.
    pub(super) fn under(&self, prefix: &str) -> usize {
        let values = self.values.lock().unwrap();
        values.keys().filter(|key| key.starts_with(prefix)).count()
    }
}
