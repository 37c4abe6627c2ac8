//! The line to the token: who sets it up, watches it, and sets it up again.
//!
//! One thread, the keeper, does all of that. While the line is down nobody waits: calls are
//! answered `Unavailable` at once. A lost line is first tried with new sessions and a login; if
//! that is not enough the library is finalised and initialised again, which for some modules is
//! the only thing that clears their state (for SoftHSM, when its files went away and came back).
//!
//! Nobody is inside a PKCS#11 call while the library is finalised: every call is made with the
//! lock of a desk held, and the keeper takes them all first. A call that never returns therefore
//! keeps the library from being finalised; the other desks go on.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use kms_pkcs11::{Kind, Module, Slot};
use tokio::sync::watch;

use super::desk::Desk;
use super::pin;
use super::probe::{self, Probed};
use super::settings::Settings;
use crate::health::Health;

/// What the pool, its threads and the keeper share.
#[derive(Debug)]
pub(super) struct Line {
    settings: Settings,
    module: Module,
    /// One for each token thread; empty while the line is down.
    desks: Vec<Mutex<Option<Desk>>>,
    health: watch::Sender<Health>,
    probed: ArcSwap<Probed>,
    orders: Mutex<Orders>,
    changed: Condvar,
}

/// What the keeper is told.
#[derive(Debug, Default)]
struct Orders {
    lost: bool,
    stop: bool,
}

/// Why a line could not be set up.
#[derive(Debug)]
enum Setback {
    /// It may be otherwise in a while.
    Passing(String),
    /// A person has to do something first: trying again would do harm (lock the token).
    Lasting(String),
}

impl Line {
    pub(super) fn new(settings: Settings, module: Module) -> Self {
        let desks = (0..settings.threads.max(1))
            .map(|_| Mutex::default())
            .collect();
        Self {
            settings,
            module,
            desks,
            health: watch::Sender::new(Health::Down("not connected yet".to_owned())),
            probed: ArcSwap::from_pointee(Probed::nothing()),
            orders: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Why the line is down, or `None` while it is up.
    pub(super) fn down(&self) -> Option<String> {
        match &*self.health.borrow() {
            Health::Serving => None,
            Health::Down(why) => Some(why.clone()),
        }
    }

    pub(super) fn probed(&self) -> Arc<Probed> {
        self.probed.load_full()
    }

    /// How many desks there are.
    pub(super) fn desks(&self) -> usize {
        self.desks.len()
    }

    /// The desk of this number, once nobody else is at it.
    pub(super) fn desk(&self, number: usize) -> Option<MutexGuard<'_, Option<Desk>>> {
        self.desks.get(number).map(lock)
    }

    /// A thread found that the token is gone. Calls are refused from now on, and the keeper sets
    /// the line up again.
    pub(super) fn lost(&self, why: &str) {
        self.publish(Health::Down(format!(
            "the token `{}` does not answer ({why}); it is tried again by itself",
            self.settings.token
        )));
        lock(&self.orders).lost = true;
        self.changed.notify_all();
    }

    /// Tells the keeper to end, which closes the sessions and finalises the library.
    pub(super) fn stop(&self) {
        lock(&self.orders).stop = true;
        self.changed.notify_all();
    }

    /// The keeper's life, from the first connection to [`Line::stop`]. `first` is called once,
    /// after the first attempt, whatever came of it.
    pub(super) fn keep(&self, first: impl FnOnce()) {
        let mut state = self.attempt(State::Uninitialised);
        first();
        loop {
            let pause = match &state {
                State::Up(_) => Some(WATCH),
                State::Down { pause, .. } => Some(*pause),
                State::GaveUp | State::Uninitialised => None,
            };
            let orders = self.wait(pause);
            if orders.stop {
                self.publish(Health::Down(STOPPING.to_owned()));
                self.tear_down();
                return;
            }
            state = match state {
                State::Up(_) if orders.lost => self.attempt(State::Down {
                    pause: FIRST_PAUSE,
                    fresh: false,
                }),
                State::Up(slot) => match self.module.token(slot) {
                    Ok(_) => State::Up(slot),
                    Err(error) => {
                        self.lost(&error.to_string());
                        State::Down {
                            pause: FIRST_PAUSE,
                            fresh: false,
                        }
                    }
                },
                down @ State::Down { .. } => self.attempt(down),
                still @ (State::GaveUp | State::Uninitialised) => still,
            };
        }
    }

    /// Waits for an order or for the end of the pause, whichever comes first.
    fn wait(&self, pause: Option<Duration>) -> Orders {
        let orders = lock(&self.orders);
        let idle = |orders: &mut Orders| !orders.lost && !orders.stop;
        let mut orders = match pause {
            Some(pause) => self
                .changed
                .wait_timeout_while(orders, pause, idle)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(orders, _)| orders),
            None => self
                .changed
                .wait_while(orders, |orders| !orders.stop)
                .unwrap_or_else(PoisonError::into_inner),
        };
        Orders {
            lost: std::mem::take(&mut orders.lost),
            stop: orders.stop,
        }
    }

    /// One attempt to set the line up, and what follows from it.
    fn attempt(&self, before: State) -> State {
        let fresh = matches!(
            before,
            State::Uninitialised | State::Down { fresh: true, .. }
        );
        match self.connect(fresh) {
            Ok(slot) => {
                self.publish(Health::Serving);
                State::Up(slot)
            }
            Err(Setback::Passing(why)) => {
                self.publish(Health::Down(format!("{why}; it is tried again by itself")));
                let pause = match before {
                    State::Down { pause, .. } => (pause * 2).min(LONGEST_PAUSE),
                    State::Uninitialised | State::Up(_) | State::GaveUp => FIRST_PAUSE,
                };
                State::Down { pause, fresh: true }
            }
            Err(Setback::Lasting(why)) => {
                self.clear_desks();
                self.publish(Health::Down(why));
                State::GaveUp
            }
        }
    }

    /// Sessions, a login and the probe; with `fresh`, a newly initialised library first.
    fn connect(&self, fresh: bool) -> Result<Slot, Setback> {
        let passing = |error: kms_pkcs11::Error| {
            Setback::Passing(format!(
                "the token `{}` cannot be reached ({error})",
                self.settings.token
            ))
        };
        let pin = pin::read(&self.settings.pin_file)
            .map_err(|error| Setback::Passing(error.message().to_owned()))?;
        // Other processes start on this token too: each login rewrites SoftHSM's files, and what
        // reads them half-written fails.
        let _start = start_lock(&self.settings.lock_file).map_err(Setback::Passing)?;
        // Sessions first, library after; whatever was known through them goes with them.
        let mut desks = self.clear_desks();
        if fresh {
            match self.module.finalize() {
                Err(error) if error.kind() != Kind::Lost => return Err(passing(error)),
                Ok(()) | Err(_) => {}
            }
            self.module.initialize().map_err(passing)?;
        }
        let slot = self.module.slot(&self.settings.token).map_err(passing)?;
        let token = self.module.token(slot).map_err(passing)?;
        if token.pin_final_try || token.pin_locked {
            return Err(Setback::Lasting(format!(
                "the token `{}` has {}; nothing was tried: log in by its own tools, or have its \
                 security officer reset the PIN, then restart the service",
                self.settings.token,
                if token.pin_locked {
                    "locked its PIN"
                } else {
                    "one attempt at its PIN left"
                },
            )));
        }
        let mut sessions = Vec::new();
        // One more than there are desks: the probe's own.
        for _ in 0..=desks.len() {
            let session = self.module.open_session(slot).map_err(passing)?;
            session.login(&pin).map_err(|error| match error.kind() {
                Kind::WrongPin | Kind::PinLocked => Setback::Lasting(format!(
                    "the token `{}` refuses the PIN in {} ({error}); it is not tried again, \
                     which would lock the token: correct the file, then restart the service",
                    self.settings.token,
                    self.settings.pin_file.display()
                )),
                Kind::Lost
                | Kind::Ambiguous
                | Kind::Stale
                | Kind::InvalidInput
                | Kind::Unsupported
                | Kind::Refused
                | Kind::Full
                | Kind::Other => passing(error),
            })?;
            sessions.push(session);
        }
        if self.probed.load().report.findings.is_empty()
            && let Some(session) = sessions.pop()
        {
            let probed = probe::probe(&self.module, slot, &session).map_err(passing)?;
            self.probed.store(Arc::new(probed));
        }
        for (desk, session) in desks.iter_mut().zip(sessions) {
            **desk = Some(Desk::new(self.module.clone(), slot, session));
        }
        Ok(slot)
    }

    /// Takes every desk and drops what is on it. Nobody is inside a call on a desk while the
    /// guards live.
    fn clear_desks(&self) -> Vec<MutexGuard<'_, Option<Desk>>> {
        let mut desks: Vec<_> = self.desks.iter().map(lock).collect();
        for desk in &mut desks {
            **desk = None;
        }
        desks
    }

    fn tear_down(&self) {
        let _desks = self.clear_desks();
        if let Err(error) = self.module.finalize()
            && error.kind() != Kind::Lost
        {
            tracing::warn!(%error, "the PKCS#11 library was not finalised");
        }
    }

    fn publish(&self, health: Health) {
        let before = self.health.send_replace(health.clone());
        if before == health {
            return;
        }
        match health {
            Health::Serving => tracing::info!(token = self.settings.token, "the token answers"),
            Health::Down(why) if why == STOPPING => {
                tracing::info!(token = self.settings.token, "{why}");
            }
            Health::Down(why) => tracing::error!(token = self.settings.token, "{why}"),
        }
    }
}

/// Where the keeper stands.
enum State {
    /// At the very start.
    Uninitialised,
    /// Connected.
    Up(Slot),
    /// To be tried again after the pause.
    Down { pause: Duration, fresh: bool },
    /// Given up, until a person restarts the service.
    GaveUp,
}

/// What health says while the service stops: no fault.
const STOPPING: &str = "the service is stopping";

/// How often an idle token is looked at.
const WATCH: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A panic elsewhere leaves nothing half-done behind these locks: whoever panicked lost its desk.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locked while something logs in to the token; or why it cannot be.
pub(super) fn start_lock(path: &Path) -> Result<File, String> {
    let failed =
        |why: std::io::Error| format!("the lock file {} cannot be used ({why})", path.display());
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}
