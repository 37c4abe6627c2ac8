//! Which of the engine's outside calls fail, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How an outside call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It says that nothing was done, and nothing was.
    NotDone,
    /// It is done, and nobody hears of it.
    InDoubt,
    /// The process dies before it is done.
    CrashBefore,
    /// The process dies when it is done.
    CrashAfter,
}

impl Fault {
    /// Every way.
    pub const ALL: [Fault; 4] = [
        Fault::NotDone,
        Fault::InDoubt,
        Fault::CrashBefore,
        Fault::CrashAfter,
    ];

    /// Whether the process dies of it.
    #[must_use]
    pub fn is_crash(self) -> bool {
        match self {
            Fault::CrashBefore | Fault::CrashAfter => true,
            Fault::NotDone | Fault::InDoubt => false,
        }
    }
}

/// Counts the outside calls of one life of the engine and makes some of them fail.
#[derive(Debug, Default)]
pub struct Script {
    state: Mutex<State>,
    died: Notify,
}

#[derive(Debug, Default)]
struct State {
    listening: bool,
    faults: BTreeMap<usize, Fault>,
    calls: Vec<String>,
    failed: BTreeSet<String>,
    dead: bool,
}

impl Script {
    /// From now on calls are counted, from 0, and these fail.
    pub fn start(&self, faults: impl IntoIterator<Item = (usize, Fault)>) {
        let mut state = self.held();
        state.listening = true;
        state.calls.clear();
        state.faults = faults.into_iter().collect();
    }

    /// From now on no call fails. Gives the names of those that were counted.
    pub fn stop(&self) -> Vec<String> {
        let mut state = self.held();
        state.listening = false;
        state.faults.clear();
        std::mem::take(&mut state.calls)
    }

    /// Whether a call of this name has ever failed.
    #[must_use]
    pub fn has_failed(&self, name: &str) -> bool {
        self.held().failed.contains(name)
    }

    /// Returns when the process is to die.
    pub async fn death(&self) {
        self.died.notified().await;
    }

    /// Carries out an outside call, or not.
    ///
    /// # Errors
    /// What the call says, or what the script says instead.
    pub async fn call<T, E>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
        not_done: impl FnOnce() -> E,
        in_doubt: impl FnOnce() -> E,
    ) -> Result<T, E> {
        match self.turn(name) {
            Turn::Goes => work.await,
            Turn::Fails(Fault::NotDone) => Err(not_done()),
            Turn::Fails(Fault::InDoubt) => {
                drop(work.await);
                Err(in_doubt())
            }
            Turn::Fails(Fault::CrashBefore) => self.die().await,
            Turn::Fails(Fault::CrashAfter) => {
                drop(work.await);
                self.die().await
            }
            Turn::Dead => std::future::pending().await,
        }
    }

    fn held(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn die<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }

    fn turn(&self, name: &str) -> Turn {
        let mut state = self.held();
        if state.dead {
            return Turn::Dead;
        }
        if !state.listening {
            return Turn::Goes;
        }
        let index = state.calls.len();
        state.calls.push(name.to_owned());
        let Some(fault) = state.faults.get(&index).copied() else {
            return Turn::Goes;
        };
        state.failed.insert(name.to_owned());
        state.dead = fault.is_crash();
        Turn::Fails(fault)
    }
}

/// What becomes of a call.
enum Turn {
    Goes,
    Fails(Fault),
    Dead,
}
