//! The HSM, the store and the log as the engine sees them, with a script of what fails.

use crate::script::Script;
use async_trait::async_trait;
use kms_core::error::{Error, Result};
use kms_core::id::KeyId;
use kms_core::key::{KeySpec, Learned};
use kms_core::permit::Permit;
use kms_core::record::{Detail, Event};
use kms_core::revision::Revision;
use kms_server::audit::{Follower, Journal};
use kms_server::health::Health;
use kms_server::hsm::{Hsm, Output, Report, TokenObject, Work, Wrapped};
use kms_server::store::{Check, Entry, Store, StoreError, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;
use zeroize::Zeroizing;

fn away() -> Error {
    Error::unavailable("scripted: the HSM did nothing")
}

fn lost() -> Error {
    Error::unknown("scripted: the HSM did not answer")
}

/// A real HSM behind a script.
#[derive(Debug)]
pub struct FaultyHsm {
    inner: Arc<dyn Hsm>,
    script: Arc<Script>,
    away: AtomicBool,
    /// What is said of it then.
    down: watch::Sender<Health>,
}

impl FaultyHsm {
    /// This one, after this script.
    pub fn new(inner: Arc<dyn Hsm>, script: &Arc<Script>) -> Self {
        FaultyHsm {
            inner,
            script: Arc::clone(script),
            away: AtomicBool::new(false),
            down: watch::Sender::new(Health::Down("scripted: the HSM is away".into())),
        }
    }

    /// From now on it does not answer, or does again.
    pub fn goes(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn here(&self) -> Result<()> {
        if self.away.load(Ordering::SeqCst) {
            return Err(away());
        }
        Ok(())
    }
}

#[async_trait]
impl Hsm for FaultyHsm {
    async fn generate(&self, permit: &Permit, spec: &KeySpec) -> Result<Learned> {
        self.here()?;
        let work = self.inner.generate(permit, spec);
        self.script.call("hsm.generate", work, away, lost).await
    }

    async fn find(&self, permit: &Permit, spec: &KeySpec) -> Result<Option<Learned>> {
        self.here()?;
        let work = self.inner.find(permit, spec);
        self.script.call("hsm.find", work, away, away).await
    }

    async fn unwrap(&self, permit: &Permit, wrapped: &Wrapped, spec: &KeySpec) -> Result<Learned> {
        self.here()?;
        let work = self.inner.unwrap(permit, wrapped, spec);
        self.script.call("hsm.unwrap", work, away, lost).await
    }

    async fn rehearse(&self, permit: &Permit, wrapped: &Wrapped, spec: &KeySpec) -> Result<()> {
        self.here()?;
        let work = self.inner.rehearse(permit, wrapped, spec);
        self.script.call("hsm.rehearse", work, away, lost).await
    }

    async fn destroy(&self, permit: &Permit, id: &KeyId) -> Result<()> {
        self.here()?;
        let work = self.inner.destroy(permit, id);
        self.script.call("hsm.destroy", work, away, lost).await
    }

    async fn apply(&self, permit: &Permit, work: Vec<Work>) -> Result<Vec<Result<Output>>> {
        self.here()?;
        let work = self.inner.apply(permit, work);
        self.script.call("hsm.apply", work, away, away).await
    }

    async fn random(&self, permit: &Permit, length: usize) -> Result<Zeroizing<Vec<u8>>> {
        self.here()?;
        let work = self.inner.random(permit, length);
        self.script.call("hsm.random", work, away, away).await
    }

    async fn objects(&self) -> Result<Vec<TokenObject>> {
        self.inner.objects().await
    }

    fn health(&self) -> watch::Receiver<Health> {
        if self.away.load(Ordering::SeqCst) {
            return self.down.subscribe();
        }
        self.inner.health()
    }

    fn report(&self) -> Report {
        self.inner.report()
    }
}

/// A real store behind a script.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    script: Arc<Script>,
    /// Its disk has no room for a change.
    full: AtomicBool,
}

impl FaultyStore {
    /// This one, after this script.
    pub fn new(inner: Arc<dyn Store>, script: &Arc<Script>) -> Self {
        FaultyStore {
            inner,
            script: Arc::clone(script),
            full: AtomicBool::new(false),
        }
    }

    /// From now on its disk is full, or is no longer.
    pub fn fills(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }
}

type Stored<T> = std::result::Result<T, StoreError>;

fn shut() -> StoreError {
    StoreError::Unavailable("scripted: the store did nothing".into())
}

fn unseen() -> StoreError {
    StoreError::Unknown("scripted: the store did not answer".into())
}

#[async_trait]
impl Store for FaultyStore {
    async fn get(&self, key: &str) -> Stored<Option<Entry>> {
        let work = self.inner.get(key);
        self.script.call("store.get", work, shut, shut).await
    }

    async fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Stored<Vec<Entry>> {
        let work = self.inner.scan(prefix, after, limit);
        self.script.call("store.scan", work, shut, shut).await
    }

    async fn commit(&self, checks: &[Check], writes: &[Write]) -> Stored<Revision> {
        let work = self.inner.commit(checks, writes);
        self.script.call("store.commit", work, shut, unseen).await
    }

    fn has_room(&self) -> std::result::Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(shut());
        }
        self.inner.has_room()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.inner.health()
    }
}

/// A real log behind a script. As a real one, it takes nothing more once it is in doubt.
#[derive(Debug)]
pub struct FaultyJournal {
    inner: Arc<dyn Journal>,
    script: Arc<Script>,
    in_doubt: AtomicBool,
}

impl FaultyJournal {
    /// This one, after this script.
    pub fn new(inner: Arc<dyn Journal>, script: &Arc<Script>) -> Self {
        FaultyJournal {
            inner,
            script: Arc::clone(script),
            in_doubt: AtomicBool::new(false),
        }
    }
}

fn full() -> Error {
    Error::unavailable("scripted: the log did not take it")
}

#[async_trait]
impl Journal for FaultyJournal {
    async fn append(&self, event: Event) -> Result<u64> {
        if self.in_doubt.load(Ordering::SeqCst) {
            return Err(full());
        }
        let name = match &event.detail {
            Detail::Intention(_) => "changes.append intention",
            Detail::Outcome(_) => "changes.append outcome",
            Detail::Use(_) => "uses.append",
        };
        let work = self.inner.append(event);
        let in_doubt = || {
            self.in_doubt.store(true, Ordering::SeqCst);
            Error::unknown("scripted: the log did not answer")
        };
        self.script.call(name, work, full, in_doubt).await
    }

    async fn read(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        let work = self.inner.read(from, limit);
        self.script.call("log.read", work, full, full).await
    }

    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn follow(&self, follower: Follower) {
        self.inner.follow(follower);
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.inner.health()
    }
}
