//! The certificates of a listener, as they are now: looked at again and again, taken in when they
//! have changed, kept when what is there cannot be used.

use super::contents::{Contents, Digest};
use super::expiry::Subject;
use super::reason::Reason;
use super::register::Register;
use super::trust::{Seconds, Trust};
use super::verifier::Admits;
use crate::clock::Clock;
use crate::config::TlsFiles;
use crate::metrics::Doorway;
use arc_swap::ArcSwap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often files, dates and silence are looked at. What is found twice the same is taken in, so
/// that a changed file counts within two seconds, and one that is half written never does.
pub(super) const PACE: Duration = Duration::from_millis(750);

/// How often the operator is told that something expires.
const REMINDER: Seconds = 3600;

/// Refusals that are told one by one between two looks: a flood must not fill the log.
const TOLD: u32 = 20;

/// The certificates of a listener, and the connections that hang on them.
pub struct Tls {
    files: TlsFiles,
    admits: Admits,
    /// How long a connection may be without a byte.
    idle: Duration,
    clock: Arc<dyn Clock>,
    doorway: Doorway,
    current: ArcSwap<Trust>,
    register: Arc<Register>,
    /// Handshakes refused since the last look.
    refusals: AtomicU32,
    seen: Mutex<Seen>,
}

/// What was seen of the files.
struct Seen {
    in_force: Digest,
    last: Option<Result<Digest, String>>,
    /// Why what is there is not in force.
    refused: Option<String>,
    remind: Seconds,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({})", self.files.certificate.display())
    }
}

impl Tls {
    /// Reads the files for the first time.
    pub(super) fn new(
        files: &TlsFiles,
        admits: Admits,
        idle: Duration,
        clock: Arc<dyn Clock>,
        doorway: Doorway,
    ) -> Result<Self, String> {
        let contents = Contents::read(files)?;
        let trust = Trust::new(files, &contents, &admits, &clock, None)?;
        Ok(Tls {
            files: files.clone(),
            admits,
            idle,
            clock,
            doorway,
            current: ArcSwap::from_pointee(trust),
            register: Arc::default(),
            refusals: AtomicU32::new(0),
            seen: Mutex::new(Seen {
                in_force: contents.digest(),
                last: None,
                refused: None,
                remind: 0,
            }),
        })
    }

    /// What the files say, as far as it is in force.
    pub(super) fn current(&self) -> Arc<Trust> {
        self.current.load_full()
    }

    /// The open connections.
    pub(super) fn register(&self) -> &Arc<Register> {
        &self.register
    }

    /// Now, as certificates count it.
    pub(super) fn now(&self) -> Seconds {
        self.clock.now().0 / 1000
    }

    /// Where refusals and connections are counted.
    pub(super) fn doorway(&self) -> &Doorway {
        &self.doorway
    }

    /// Takes the files in as they are, because somebody said that they are ready. Blocks.
    pub fn reload(&self) {
        self.look_at_files(true);
    }

    /// Looks at everything that may change by itself. Blocks; once every [`PACE`].
    pub(super) fn look(&self) {
        self.look_at_files(false);
        let now = self.now();
        let ended = |source, reason| self.ended(source, reason);
        self.register.judge_due(&self.current(), now, ended);
        self.register.hush(PACE, self.idle, ended);
        self.look_at_dates(now);
        let untold = self
            .refusals
            .swap(0, Ordering::Relaxed)
            .saturating_sub(TOLD);
        if untold > 0 {
            let listener = self.doorway.listener();
            tracing::warn!(listener, untold, "more TLS handshakes were refused");
        }
    }

    fn look_at_files(&self, insisted: bool) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let read = Contents::read(&self.files);
        let found = read.as_ref().map(Contents::digest).map_err(Clone::clone);
        let settled = seen.last.as_ref() == Some(&found);
        let in_force = found.as_ref() == Ok(&seen.in_force);
        seen.last = Some(found);
        if !insisted && in_force {
            seen.refused = None;
        } else if insisted || settled {
            match read.and_then(|contents| self.take(&contents).map(|()| contents.digest())) {
                Ok(digest) => {
                    self.doorway.reloaded();
                    tracing::info!(
                        listener = self.doorway.listener(),
                        "certificates were read again"
                    );
                    (seen.in_force, seen.refused, seen.remind) = (digest, None, 0);
                }
                Err(error) => {
                    if insisted || seen.refused.as_ref() != Some(&error) {
                        let listener = self.doorway.listener();
                        tracing::error!(listener, error, "certificates stay as they were");
                    }
                    seen.refused = Some(error);
                }
            }
        }
        self.doorway.files_refused(seen.refused.is_some());
    }

    /// Puts what the files say into force, on the open connections too.
    fn take(&self, contents: &Contents) -> Result<(), String> {
        let before = self.current();
        let trust = Arc::new(Trust::new(
            &self.files,
            contents,
            &self.admits,
            &self.clock,
            Some(&before),
        )?);
        // In this order: a handshake that ends meanwhile looks at what is in force after it has
        // taken its place in the register.
        self.current.store(Arc::clone(&trust));
        self.register
            .judge_all(&trust, self.now(), |source, reason| {
                self.ended(source, reason);
            });
        Ok(())
    }

    fn ended(&self, source: SocketAddr, reason: Reason) {
        let reason = reason.word();
        self.doorway.ended(reason);
        tracing::warn!(%source, reason, "a connection was ended");
    }

    /// Counts a refusal, and says so as often as a log can bear.
    pub(super) fn refuse(&self, source: SocketAddr, reason: Reason, why: &str) {
        let reason = reason.word();
        self.doorway.refused(reason);
        if self.refusals.fetch_add(1, Ordering::Relaxed) < TOLD {
            tracing::warn!(%source, why, reason, "a TLS handshake was refused");
        }
    }

    fn look_at_dates(&self, now: Seconds) {
        let trust = self.current();
        for subject in Subject::ALL {
            let ends = trust.lifetimes().iter().filter(|l| l.subject == subject);
            self.doorway
                .expires(subject.word(), ends.map(|l| l.until).min(), now);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= seen.remind {
            seen.remind = now.saturating_add(REMINDER);
            for lifetime in trust.lifetimes() {
                lifetime.tell(now);
            }
        }
    }
}
