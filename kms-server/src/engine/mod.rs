//! The engine carries out what is permitted, and appends what happened to the audit log before the
//! caller hears of it. [`Engine::run`] is the one door.

mod answers;
mod attestation;
mod change;
mod check;
mod count;
mod digest;
mod export;
#[cfg(test)]
mod flaky;
mod import;
mod known;
mod ledger;
mod onward;
mod open;
mod outlook;
mod pace;
mod proposals;
mod quota;
mod read;
mod recognised;
mod renewal;
mod reply;
mod request;
pub mod restored;
mod rules;
mod runs;
mod scheduler;
mod settle;
mod signed;
mod statistics;
mod usage;

pub use attestation::Attestation;
pub use open::Refusal;
pub use reply::{
    Allowance, DataKeyMade, Decrypted, Encrypted, Followed, Here, ImportParameters, ReEncrypted,
    Renewed, Reply, Revised, Standing, Translated, VersionUsage,
};
pub use scheduler::Round;
pub use signed::Signed;

use crate::audit::Journal;
use crate::clock::Clock;
use crate::health::Health;
use crate::hsm::Hsm;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use answers::Answers;
use arc_swap::ArcSwap;
use kms_core::action::Action;
use kms_core::caller::Caller;
use kms_core::command::{Change, Command};
use kms_core::decide::Bench;
use kms_core::error::{Error, Result};
use kms_core::id::KeyUid;
use kms_core::lifecycle::Spent;
use kms_core::name::ProposalName;
use kms_core::policy::Judge;
use kms_core::quota::Account;
use kms_core::record::{Detail, Event};
use kms_core::revision::Revision;
use kms_core::time::Time;
use kms_core::view::View;
use ledger::Ledger;
use onward::Onward;
use pace::Pace;
use renewal::renewed;
use runs::Runs;
use scheduler::Clockwork;
use settle::Lane;
use statistics::Statistics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tracing::Instrument;
use uuid::Uuid;

/// What the engine works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where keys live.
    pub hsm: Arc<dyn Hsm>,
    /// Where what is said of them lives.
    pub store: Arc<dyn Store>,
    /// The log of changes.
    pub changes: Arc<dyn Journal>,
    /// The log of uses, reads and refusals.
    pub uses: Arc<dyn Journal>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What Prometheus reads.
    pub metrics: Arc<Metrics>,
    /// Whether people sign in at an OpenID provider.
    pub provider: bool,
}

/// The health of each of the [`Parts`] that can fail.
#[derive(Debug, Clone)]
pub struct Vitals {
    /// Whether the HSM answers.
    pub hsm: watch::Receiver<Health>,
    /// Whether the store is in doubt.
    pub store: watch::Receiver<Health>,
    /// Whether the log of changes is in doubt.
    pub changes: watch::Receiver<Health>,
    /// Whether the log of uses is in doubt.
    pub uses: watch::Receiver<Health>,
}

/// One call: who, and under which ids.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who asks.
    pub caller: Caller,
    /// The call's own id, in logs and records.
    pub id: String,
    /// The client's id of its request, for a change that it may send again.
    pub request: Option<Uuid>,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    parts: Parts,
    seat: ArcSwap<Seat>,
    lane: Mutex<Lane>,
    /// How much each version has encrypted.
    encryptions: Ledger<Spent>,
    /// What each caller has spent of its quotas.
    spent: Ledger<Account>,
    /// What was checked off of each caller's runs.
    runs: Runs,
    pace: Pace,
    clockwork: Clockwork,
    statistics: Statistics,
    /// The revision that everyone sees.
    changed: watch::Sender<Revision>,
    /// Time for judging.
    onward: Onward,
}

/// What is judged by: all resources and the policy, as of one revision.
#[derive(Debug)]
struct Seat {
    view: View,
    policy: Option<Arc<Answers>>,
}

/// For commands that make no key.
const NO_UID: KeyUid = KeyUid([0; 16]);

impl Engine {
    /// Carries out a command, if `decide` permits it, and records it before this returns.
    ///
    /// A caller that goes away does not stop it: what was begun is finished and recorded.
    ///
    /// # Errors
    /// What the caller should do.
    pub async fn run(self: &Arc<Self>, call: Call, command: Command) -> Result<Reply> {
        let engine = Arc::clone(self);
        let begun = engine.parts.clock.monotonic();
        let (action, items) = (command.action(), items(&command));
        let work = async move {
            match command {
                Command::Change(change) => {
                    let edge = renewed(&change).cloned();
                    let imports = matches!(change, Change::ImportKey { .. });
                    let reply = engine.change(call, change).await?;
                    if imports {
                        return Ok(engine.with_receipt(reply).await);
                    }
                    engine.with_campaign(reply, edge)
                }
                Command::Use(usage) => engine.use_keys(call, usage).await,
                Command::Read(read) => engine.read(call, read).await,
            }
        };
        let work = tokio::spawn(work.in_current_span());
        let result = match work.await {
            Ok(result) => result,
            Err(stopped) => Err(Error::internal(format!("a call did not end: {stopped}"))),
        };
        let took = self.parts.clock.monotonic().saturating_sub(begun);
        self.parts
            .metrics
            .answered(action, items, result.as_ref().err(), took);
        result
    }

    /// Carries out the command that waits in a proposal, as if whoever filed it asked again.
    ///
    /// # Errors
    /// As for the command itself.
    pub async fn execute(self: &Arc<Self>, call: Call, name: ProposalName) -> Result<Reply> {
        let engine = Arc::clone(self);
        let work = async move { engine.execute_proposal(call, name).await };
        match tokio::spawn(work.in_current_span()).await {
            Ok(result) => result,
            Err(stopped) => Err(Error::internal(format!("a call did not end: {stopped}"))),
        }
    }

    /// Tells whenever anything changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Revision> {
        self.changed.subscribe()
    }

    /// Records a request that could not be understood: the caller is known, so it leaves a record,
    /// but nothing of what it said does.
    ///
    /// Returns what the caller should do: the error, or that it could not be recorded.
    pub async fn reject(&self, call: Call, action: Action, error: Error) -> Error {
        let begun = self.parts.clock.monotonic();
        let about = (action, ("request", "malformed".to_owned()));
        let counts = kms_core::record::Counts::default();
        let recorded = self
            .record_use(&call, about, Err(error.clone()), counts, begun)
            .await;
        self.parts
            .metrics
            .answered(action, 1, Some(&error), Duration::ZERO);
        recorded.err().unwrap_or(error)
    }

    /// Whether what the service stands on does its part.
    #[must_use]
    pub fn vitals(&self) -> Vitals {
        Vitals {
            hsm: self.parts.hsm.health(),
            store: self.parts.store.health(),
            changes: self.parts.changes.health(),
            uses: self.parts.uses.health(),
        }
    }

    /// The deployment's trust domain, for the listeners to demand of certificates.
    ///
    /// # Errors
    /// `Unavailable` before `init`.
    pub fn trust_domain(&self) -> Result<kms_core::caller::TrustDomain> {
        Ok(self.seat.load().view.founded()?.trust_domain.clone())
    }

    /// All resources, as of now: for `doctor`, which compares them with the token.
    #[must_use]
    pub fn view(&self) -> View {
        self.seat.load().view.clone()
    }

    /// Records what is not a change: a use, a read, a refusal.
    async fn record_use(
        &self,
        call: &Call,
        about: (Action, (&'static str, String)),
        result: Result<()>,
        counts: kms_core::record::Counts,
        begun: Duration,
    ) -> Result<()> {
        let took = self.parts.clock.monotonic().saturating_sub(begun);
        let (action, (sort, name)) = about;
        let event = Event {
            time: self.now(),
            caller: call.caller.clone(),
            call: call.id.clone(),
            action,
            resource: (sort.to_owned(), name),
            result,
            duration: u64::try_from(took.as_millis()).ok(),
            emergency: false,
            detail: Detail::Use(counts),
        };
        self.parts.uses.append(event).await.map(|_index| ())
    }

    fn now(&self) -> Time {
        self.parts.clock.now()
    }

    /// Now, for judging.
    pub(crate) fn latest(&self) -> Time {
        self.onward.now(&*self.parts.clock)
    }

    fn bench<'a>(&self, seat: &'a Seat, fresh: KeyUid) -> Bench<'a> {
        let policy: Option<&dyn Judge> = match &seat.policy {
            Some(policy) => Some(&**policy),
            None => None,
        };
        Bench {
            policy,
            view: &seat.view,
            now: self.latest(),
            wall: self.now(),
            provider: self.parts.provider,
            fresh,
        }
    }
}

fn items(command: &Command) -> u64 {
    let items = match command {
        Command::Use(usage) => usage.items(),
        Command::Read(_) | Command::Change(_) => 1,
    };
    u64::try_from(items).unwrap_or(u64::MAX)
}

/// What a store's fault means for the caller.
fn store_fault(error: &StoreError) -> Error {
    let told = match error {
        StoreError::Conflict { .. } => {
            Error::conflict("something else changed this at the same time; read again")
        }
        StoreError::Unavailable(_) => Error::unavailable(
            "the store cannot be used now, nothing was changed; an operator must look at the server's disk",
        ),
        StoreError::Unknown(_) => Error::unknown(
            "it is not known whether the store took this; look at the resource once the server has restarted",
        ),
        StoreError::ValueTooLarge { .. }
        | StoreError::TooManyOperations { .. }
        | StoreError::Invalid(_)
        | StoreError::Corrupt(_) => Error::internal("store"),
    };
    told.because(error)
}
