//! The token threads, and the queue that leads to them.
//!
//! PKCS#11 blocks, and a session belongs to one thread at a time: these are the only threads that
//! touch the token (but for the keeper, which sets up the line). A call is a job on a bounded
//! queue; a full queue is an answer (`Exhausted`), and so is a line that is down (`Unavailable`):
//! nothing waits for a token to come back.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_channel::{Receiver, Sender, TrySendError};
use async_trait::async_trait;
use kms_core::class::{Algorithm, Class};
use kms_core::error::{Error, Result};
use kms_core::id::KeyId;
use kms_core::key::{KeySpec, Learned};
use kms_core::permit::Permit;
use kms_pkcs11::Module;
use tokio::sync::{oneshot, watch};
use zeroize::Zeroizing;

use super::desk::Desk;
use super::fault::{Fault, Visit, unavailable};
use super::keeper::Line;
use super::probe::needed;
use super::settings::Settings;
use super::{Capability, Hsm, Output, Report, TokenObject, Work, Wrapped};
use crate::health::Health;

/// A PKCS#11 token behind its own threads. Cheap to share behind an `Arc`; dropped, it closes its
/// queue, and the threads end by themselves.
#[derive(Debug)]
pub struct Pool {
    queue: Sender<Job>,
    line: Arc<Line>,
    timeout: Duration,
    /// Ids that are being made or destroyed right now: two makers of one id would leave two objects.
    making: Arc<Mutex<HashSet<KeyId>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    /// Loads the module, starts the threads and tries to connect, once, before it returns: then
    /// [`Hsm::health`] says how that went. A token that is not there is no error here: it may
    /// come, and the keeper goes on trying. A refused PIN is not tried again (see [`Health`]).
    ///
    /// Blocks; one pool for each module in a process.
    ///
    /// # Errors
    /// `Invalid` where the module cannot be loaded, or a thread not be started.
    pub fn start(settings: Settings) -> Result<Self> {
        let module = Module::load(&settings.module)
            .map_err(|why| Error::invalid("hsm.module", why.to_string()))?;
        let (queue, jobs) = async_channel::bounded(settings.queue.max(1));
        let timeout = Duration::from_millis(settings.timeout_ms);
        let line = Arc::new(Line::new(settings, module));
        let (first, connected) = mpsc::channel();
        let keeper = Arc::clone(&line);
        let mut threads = vec![spawn("hsm-keeper".to_owned(), move || {
            // The receiver is there until it has heard this.
            keeper.keep(move || {
                first.send(()).ok();
            });
        })?];
        for number in 0..line.desks() {
            let (line, jobs) = (Arc::clone(&line), jobs.clone());
            threads.push(spawn(format!("hsm-{number}"), move || {
                attend(number, &line, &jobs)
            })?);
        }
        // Heard from the keeper, or the keeper has died: health says which.
        connected.recv().ok();
        Ok(Self {
            queue,
            line,
            timeout,
            making: Arc::default(),
            threads: Mutex::new(threads),
        })
    }

    /// Ends the threads and finalises the library, once the calls that have begun are over.
    /// Blocks. Later calls are `Unavailable`.
    pub fn stop(&self) {
        self.queue.close();
        self.line.stop();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a token thread had panicked");
            }
        }
    }

    /// Waits in the queue for a thread, and on the thread for an answer.
    async fn visit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> Visit<T> + Send + 'static,
    ) -> Result<T> {
        if let Some(why) = self.line.down() {
            return Err(unavailable(&why));
        }
        let (answer, answered) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let job = Job {
            ticket: Arc::clone(&ticket),
            run: Box::new(move |line, desk| {
                let outcome = desk.and_then(work);
                let lost = match &outcome {
                    Err(Fault::Lost { why, .. }) => {
                        line.lost(why);
                        true
                    }
                    Ok(_) | Err(Fault::Told(_)) => false,
                };
                // Whoever asked may have gone.
                drop(answer.send(outcome.map_err(Fault::into_error)));
                lost
            }),
        };
        match self.queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(Error::exhausted(
                    "too many calls wait for the HSM already; slow down and try again",
                ));
            }
            Err(TrySendError::Closed(_)) => return Err(unavailable("the service is stopping")),
        }
        // A caller that leaves, or has waited long enough, takes back what has not begun.
        let withdrawal = Withdrawal(&ticket);
        match tokio::time::timeout(self.timeout, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(gone)) => Err(Error::unknown(
                "the call to the HSM ended without an answer; it may have happened",
            )
            .because(gone)),
            Err(_) if withdrawal.0.withdraw() => Err(unavailable(
                "no thread was free in time; the call was withdrawn",
            )),
            Err(late) => Err(Error::unknown(
                "the HSM did not answer in time; it may have happened: look before you try again",
            )
            .because(late)),
        }
    }

    /// Makes or destroys a key, alone with its id: what is destroyed while a late call makes it
    /// would be there afterwards.
    async fn alone<T: Send + 'static>(
        &self,
        id: &KeyId,
        work: impl FnOnce(&mut Desk) -> Visit<T> + Send + 'static,
    ) -> Result<T> {
        // The job owns it: it stays reserved when the caller has gone and the thread has not.
        let reserved = Reserved::new(&self.making, *id)?;
        self.visit(move |desk| {
            let done = work(desk);
            drop(reserved);
            done
        })
        .await
    }

    /// Refuses what this token cannot do, before it is asked.
    fn require(&self, field: &str, capability: Capability, for_what: &str) -> Result<()> {
        let report = &self.line.probed().report;
        if report.has(capability) {
            return Ok(());
        }
        let seen = report
            .findings
            .iter()
            .find(|finding| finding.capability == capability);
        match seen {
            Some(finding) => Err(Error::invalid(
                field,
                format!(
                    "this HSM does not have what {for_what} needs ({capability:?}: {}); see `kms \
                     hsm show`",
                    finding.detail
                ),
            )),
            // Never connected so far: nothing is known of the token.
            None => Err(unavailable("the token has not been probed yet")),
        }
    }

    /// What its class needs, and what it takes in: a key that could never unwrap is not made.
    fn require_all(&self, spec: &KeySpec) -> Result<()> {
        self.require_class(spec.class)?;
        if spec.exportable {
            let for_what = "an exportable key";
            self.require("exportable", Capability::TrustedKeys, for_what)?;
        }
        let Some(intake) = &spec.intake else {
            return Ok(());
        };
        needed(intake.mechanism, intake.two_steps)
            .iter()
            .try_for_each(|need| self.require("intake", *need, intake.mechanism.name()))
    }

    fn require_class(&self, class: Class) -> Result<()> {
        let needs: &[Capability] = match class.algorithm() {
            Algorithm::Aes256 => &[Capability::AllowedMechanisms, Capability::AesGcm],
            Algorithm::HmacSha256 => &[Capability::AllowedMechanisms, Capability::HmacSha256],
            Algorithm::Rsa3072 => &[Capability::AllowedMechanisms, Capability::UnwrapTemplate],
            Algorithm::Aes256Kw => &[Capability::AllowedMechanisms, Capability::AesKw],
            Algorithm::EcdsaP256 => &[Capability::AllowedMechanisms, Capability::EcdsaP256],
        };
        let for_what = format!("a key of class {class}");
        needs
            .iter()
            .try_for_each(|need| self.require("class", *need, &for_what))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Not joined: a thread may be inside a call that never returns.
        self.queue.close();
        self.line.stop();
    }
}

#[async_trait]
impl Hsm for Pool {
    async fn generate(&self, permit: &Permit, spec: &KeySpec) -> Result<Learned> {
        covered(permit, &spec.id)?;
        self.require_all(spec)?;
        let wanted = spec.clone();
        self.alone(&spec.id, move |desk| desk.generate(&wanted))
            .await
    }

    async fn find(&self, permit: &Permit, spec: &KeySpec) -> Result<Option<Learned>> {
        covered(permit, &spec.id)?;
        let spec = spec.clone();
        self.visit(move |desk| desk.look(&spec)).await
    }

    async fn unwrap(&self, permit: &Permit, wrapped: &Wrapped, spec: &KeySpec) -> Result<Learned> {
        covered(permit, &spec.id)?;
        covered(permit, &wrapped.by)?;
        self.require_all(spec)?;
        let mechanism = wrapped.mechanism;
        for capability in needed(mechanism, wrapped.two_steps) {
            self.require("wrapping_mechanism", *capability, mechanism.name())?;
        }
        if spec.exportable {
            return Err(Error::invalid(
                "exportable",
                "imported material cannot be exportable: the wrapping key forbids it",
            ));
        }
        let kwp = self.line.probed().kwp;
        let (wrapped, wanted) = (wrapped.clone(), spec.clone());
        self.alone(&spec.id, move |desk| desk.unwrap(&wrapped, kwp, &wanted))
            .await
    }

    async fn rehearse(&self, permit: &Permit, wrapped: &Wrapped, spec: &KeySpec) -> Result<()> {
        covered(permit, &spec.id)?;
        covered(permit, &wrapped.by)?;
        self.require_all(spec)?;
        let (mechanism, steps) = (wrapped.mechanism, wrapped.two_steps);
        for capability in needed(mechanism, steps) {
            self.require("wrapping_mechanism", *capability, mechanism.name())?;
        }
        let probed = self.line.probed();
        let other = mechanism.other_hash();
        let other = other.filter(|other| probed.report.unwraps(*other, steps));
        let (wrapped, wanted) = (wrapped.clone(), spec.clone());
        self.visit(move |desk| desk.rehearse(&wrapped, probed.kwp, &wanted, other))
            .await
    }

    async fn destroy(&self, permit: &Permit, id: &KeyId) -> Result<()> {
        covered(permit, id)?;
        let wanted = *id;
        self.alone(id, move |desk| desk.destroy(&wanted)).await
    }

    async fn apply(&self, permit: &Permit, work: Vec<Work>) -> Result<Vec<Result<Output>>> {
        work.iter().try_for_each(|work| covered(permit, &work.id))?;
        self.visit(move |desk| desk.apply(&work)).await
    }

    async fn random(&self, _permit: &Permit, length: usize) -> Result<Zeroizing<Vec<u8>>> {
        self.visit(move |desk| {
            let mut bytes = Zeroizing::new(vec![0; length]);
            desk.session
                .random(&mut bytes)
                .map_err(|error| Fault::reading(&error))?;
            Ok(bytes)
        })
        .await
    }

    async fn objects(&self) -> Result<Vec<TokenObject>> {
        self.visit(Desk::objects).await
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.line.health()
    }

    fn report(&self) -> Report {
        self.line.probed().report.clone()
    }
}

/// What a thread does for one call. Told whether there is a desk, it answers whoever asked, and
/// says whether the desk is lost.
struct Job {
    ticket: Arc<Ticket>,
    run: Run,
}

type Run = Box<dyn FnOnce(&Line, Visit<&mut Desk>) -> bool + Send>;

/// The life of a token thread: until the queue is closed and empty.
fn attend(number: usize, line: &Line, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv_blocking() {
        if !job.ticket.begin() {
            continue;
        }
        let Some(mut place) = line.desk(number) else {
            return;
        };
        // A panic in a dependency costs the desk, not the thread.
        let lost = catch_unwind(AssertUnwindSafe(|| match (line.down(), place.as_mut()) {
            (None, Some(desk)) => (job.run)(line, Ok(desk)),
            (why, _) => {
                let why = why.unwrap_or_default();
                (job.run)(line, Err(Fault::Told(unavailable(&why))));
                false
            }
        }))
        .unwrap_or_else(|_| {
            line.lost("a call panicked");
            true
        });
        if lost {
            *place = None;
        }
    }
}

/// Whether a job has begun or was taken back: one of the two, whoever comes first.
#[derive(Debug, Default)]
struct Ticket(AtomicU8);

const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    fn begin(&self) -> bool {
        self.settle(BEGUN)
    }

    fn withdraw(&self) -> bool {
        self.settle(WITHDRAWN)
    }

    fn settle(&self, fate: u8) -> bool {
        self.0
            .compare_exchange(0, fate, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// Takes a job back when whoever waits for it goes away.
struct Withdrawal<'a>(&'a Ticket);

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

/// An id that one call makes or destroys, until it is dropped.
struct Reserved {
    ids: Arc<Mutex<HashSet<KeyId>>>,
    id: KeyId,
}

impl Reserved {
    fn new(ids: &Arc<Mutex<HashSet<KeyId>>>, id: KeyId) -> Result<Self> {
        if ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id)
        {
            Ok(Self {
                ids: Arc::clone(ids),
                id,
            })
        } else {
            Err(unavailable("another call is making or destroying this key"))
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

fn covered(permit: &Permit, id: &KeyId) -> Result<()> {
    if permit.covers(id) {
        Ok(())
    } else {
        Err(Error::internal(format!(
            "a permit that does not cover key {id} reached the HSM"
        )))
    }
}

fn spawn(name: String, life: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(name)
        .spawn(life)
        .map_err(|why| Error::unavailable("a token thread could not be started").because(why))
}
