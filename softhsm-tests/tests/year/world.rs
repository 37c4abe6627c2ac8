//! A deployment in this process, and the people and services who call it.

use kms_core::caller::{Caller, Peer};
use kms_core::command::{Change, Command, LogName, Read};
use kms_core::due::Due;
use kms_core::error::{Error, Result};
use kms_core::name::ProposalName;
use kms_core::plane::Plane;
use kms_core::record::Record;
use kms_core::time::Time;
use kms_core::view::View;
use kms_server::audit::{DiskJournal, Journal};
use kms_server::clock::Clock;
use kms_server::engine::{Call, Engine, Parts, Reply, Round};
use kms_server::hsm::Pool;
use kms_server::init::{Founding, found};
use kms_server::metrics::Metrics;
use kms_server::store::{SledStore, Store};
use softhsm_tests::faulty::{FaultyHsm, FaultyJournal, FaultyStore};
use softhsm_tests::manual_clock::ManualClock;
use softhsm_tests::program::repository;
use softhsm_tests::script::Script;
use softhsm_tests::wait::until;
use softhsm_tests::{InProcessToken, certificate};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Who does what in the year.
const BINDINGS: &str = "\
bindings:
  - principal: person/stella
    roles: [{role: space-steward, spaces: [\"*\"]}]
  - principal: person/olga
    roles: [{role: key-operator}]
  - principal: person/carl
    roles: [{role: key-custodian}]
  - principal: person/carol
    roles: [{role: key-custodian}]
  - principal: person/ada
    roles: [{role: auditor}]
";

/// A deployment's directory and token, and the engine that serves it now.
pub(crate) struct World {
    life: Option<Life>,
    pub(crate) clock: Arc<ManualClock>,
    /// The latest time that the engine has seen, and when by the second clock.
    latest: Cell<(Time, Duration)>,
    data: TempDir,
    pub(crate) pool: Arc<Pool>,
    pub(crate) hsm_away: bool,
    pub(crate) disk_full: bool,
    // Last: the library must not be unloaded under the token's threads.
    _token: InProcessToken,
}

/// One life of the engine, from its opening to its death.
pub(crate) struct Life {
    pub(crate) engine: Arc<Engine>,
    pub(crate) script: Arc<Script>,
    pub(crate) hsm: Arc<FaultyHsm>,
    pub(crate) store: Arc<FaultyStore>,
    disk: Arc<SledStore>,
    changes: Arc<DiskJournal>,
    uses: Arc<DiskJournal>,
    runtime: Runtime,
}

/// What a caller sees.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    Told(T),
    /// The process died first.
    Died,
}

impl Drop for World {
    fn drop(&mut self) {
        self.life = None;
        self.pool.stop();
    }
}

impl World {
    /// A deployment of this environment. `services`: further bindings, as YAML.
    pub(crate) fn founded(label: &str, environment: &str, services: &str) -> Self {
        let token = InProcessToken::empty(label);
        let data = tempfile::tempdir().unwrap();
        drop(SledStore::create(&data.path().join("store")).unwrap());
        for log in [LogName::Changes, LogName::Uses] {
            drop(DiskJournal::create(data.path(), log).unwrap());
        }
        let mut world = World {
            life: None,
            clock: Arc::default(),
            latest: Cell::default(),
            data,
            pool: Arc::new(token.pool()),
            hsm_away: false,
            disk_full: false,
            _token: token,
        };
        world.starts();
        let directory = world.data.path();
        let (deployment, bindings) = (directory.join("d.yaml"), directory.join("b.yaml"));
        let text = format!(
            "name: year\ntrust_domain: year.example\nenvironment: {environment}\nside: warehouse\n"
        );
        std::fs::write(&deployment, text).unwrap();
        std::fs::write(&bindings, format!("{BINDINGS}{services}")).unwrap();
        let policy = repository().join("ops/policy");
        let founding = Founding::read(&deployment, &policy, &bindings).unwrap();
        let life = world.life();
        let done = found(Arc::clone(&life.engine), founding);
        life.runtime.block_on(done).unwrap();
        world
    }

    /// The process dies, if it lives, and another starts.
    pub(crate) fn starts(&mut self) {
        self.dies();
        let data = self.data.path();
        // The threads of the former life give the files back when they have ended.
        let disk = Arc::new(until("the store to open", || {
            SledStore::open(&data.join("store")).ok()
        }));
        let log = |name| until("a log to open", || DiskJournal::open(data, name).ok());
        let changes = Arc::new(log(LogName::Changes));
        let uses = Arc::new(log(LogName::Uses));
        let script = Arc::new(Script::default());
        let hsm = Arc::new(FaultyHsm::new(self.pool.clone(), &script));
        hsm.goes(self.hsm_away);
        let store = Arc::new(FaultyStore::new(disk.clone(), &script));
        store.fills(self.disk_full);
        let journal = |inner: Arc<dyn Journal>| Arc::new(FaultyJournal::new(inner, &script));
        let parts = Parts {
            hsm: hsm.clone(),
            store: store.clone(),
            changes: journal(changes.clone()),
            uses: journal(uses.clone()),
            clock: self.clock.clone(),
            metrics: Arc::new(Metrics::default()),
            provider: false,
        };
        let runtime = Runtime::new().unwrap();
        // In the log of changes time never goes back.
        let last = changes.size().saturating_sub(1);
        let last = runtime.block_on(changes.read(last, 1)).unwrap();
        let last = last
            .first()
            .map(|(_, bytes)| Record::decode(bytes).unwrap().time());
        let last = last.unwrap_or_default().max(self.clock.now());
        self.latest.set((last, self.clock.monotonic()));
        let engine = match runtime.block_on(Engine::open(parts)) {
            Ok(engine) => Arc::new(engine),
            Err(refusal) => panic!("what a crash leaves must open: {refusal}"),
        };
        self.life = Some(Life {
            engine,
            script,
            hsm,
            store,
            disk,
            changes,
            uses,
            runtime,
        });
    }

    fn dies(&mut self) {
        if let Some(life) = self.life.take() {
            let Life {
                engine, runtime, ..
            } = life;
            // What hangs at an outside call is dropped where it hangs.
            drop(runtime);
            assert_eq!(Arc::strong_count(&engine), 1, "a call outlived the process");
        }
    }

    pub(crate) fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    /// Now, as the engine judges: it never goes back, and goes on where the clock was set back.
    pub(crate) fn now(&self) -> Time {
        let (seen, at) = self.latest.get();
        let monotonic = self.clock.monotonic();
        let went = u64::try_from(monotonic.saturating_sub(at).as_millis()).unwrap();
        let latest = self.clock.now().max(seen.plus_millis(went));
        self.latest.set((latest, monotonic));
        latest
    }

    pub(crate) fn view(&self) -> View {
        self.life().engine.view()
    }

    /// Asks; the answer may never come.
    pub(crate) fn ask(&self, who: &str, command: Command) -> Answer<Result<Reply>> {
        let life = self.life();
        self.unless_it_dies(life.engine.run(call(who), command))
    }

    /// Asks for a change.
    pub(crate) fn change(&self, who: &str, change: Change) -> Answer<Result<Reply>> {
        self.ask(who, Command::Change(change))
    }

    /// Asks for what waits in a proposal of theirs.
    pub(crate) fn execute(&self, who: &str, name: &ProposalName) -> Answer<Result<Reply>> {
        let life = self.life();
        self.unless_it_dies(life.engine.execute(call(who), name.clone()))
    }

    /// So many rounds of the clockwork at once; what they came to together.
    pub(crate) fn rounds(&self, count: usize) -> Answer<Round> {
        let engine = &self.life().engine;
        let rounds = (0..count).map(|_| engine.carry_out_due());
        let told = self.unless_it_dies(futures::future::join_all(rounds));
        match told {
            Answer::Died => Answer::Died,
            Answer::Told(rounds) => Answer::Told(Round {
                done: rounds.iter().map(|r| r.done).sum(),
                waiting: rounds.iter().map(|r| r.waiting).sum(),
                failed: rounds.iter().map(|r| r.failed).sum(),
            }),
        }
    }

    fn unless_it_dies<T>(&self, work: impl Future<Output = T>) -> Answer<T> {
        let life = self.life();
        life.runtime.block_on(async {
            tokio::select! {
                told = work => Answer::Told(told),
                () = life.script.death() => Answer::Died,
            }
        })
    }

    /// Asks for what must be done.
    pub(crate) fn must(&self, who: &str, change: Change) {
        self.get(who, Command::Change(change));
    }

    /// Asks for what must be answered.
    pub(crate) fn get(&self, who: &str, command: Command) -> Reply {
        match self.ask(who, command) {
            Answer::Told(Ok(reply)) => reply,
            Answer::Told(Err(error)) => panic!("{error}: {:?}", error.cause()),
            Answer::Died => panic!("the engine died without a fault"),
        }
    }

    /// Asks for what must be refused.
    pub(crate) fn refused(&self, who: &str, command: Command) -> Error {
        match self.ask(who, command) {
            Answer::Told(Err(error)) => error,
            other @ (Answer::Told(Ok(_)) | Answer::Died) => panic!("{other:?}"),
        }
    }

    /// What is due within so many milliseconds, where each waits, and what time it is.
    pub(crate) fn due(&self, horizon: u64) -> (Vec<(Due, Option<ProposalName>)>, Time) {
        let Reply::Due(due, now) = self.get("person/ada", Command::Read(Read::Due { horizon }))
        else {
            panic!("what is due was asked for");
        };
        (due, now)
    }

    /// What the service was told when it asked itself for something, lately.
    pub(crate) fn told_lately(&self) -> Vec<String> {
        let life = self.life();
        let from = life.uses.size().saturating_sub(30);
        let entries = self.wait(life.uses.read(from, usize::MAX)).unwrap();
        let records = entries
            .into_iter()
            .map(|(_, bytes)| Record::decode(&bytes).unwrap());
        records
            .filter(|record| record.actor() == "scheduler")
            .map(|record| {
                format!(
                    "{} {:?}: {:?}",
                    record.time(),
                    record.resource(),
                    record.error()
                )
            })
            .collect()
    }

    /// The log of changes, whole.
    pub(crate) fn log(&self) -> Vec<Record> {
        let life = self.life();
        let entries = life.changes.read(0, usize::MAX);
        let entries = life.runtime.block_on(entries).unwrap();
        entries
            .into_iter()
            .map(|(_, bytes)| Record::decode(&bytes).unwrap())
            .collect()
    }

    /// Everything that the store holds, past the script.
    pub(crate) fn stored(&self) -> Vec<kms_server::store::Entry> {
        let scan = self.life().disk.scan("", None, 1_000_000);
        self.wait(scan).unwrap()
    }

    /// Puts something into the store, past everything: what an earlier process left there.
    pub(crate) fn leaves(&self, name: &str, value: &str) {
        let write = kms_server::store::Write::Put(name.into(), value.as_bytes().to_vec());
        self.wait(self.life().disk.commit(&[], &[write])).unwrap();
    }

    /// Waits for something that cannot die.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.life().runtime.block_on(work)
    }
}

fn call(who: &str) -> Call {
    Call {
        caller: Caller::Peer(Arc::new(Peer {
            certificate: certificate::of(&uri(who)),
            source: None,
            planes: &Plane::ALL,
            sign_in: None,
            purpose: None,
        })),
        id: Uuid::new_v4().to_string(),
        request: None,
    }
}

/// As their certificate names them.
pub(crate) fn uri(who: &str) -> String {
    format!("spiffe://year.example/{who}")
}
