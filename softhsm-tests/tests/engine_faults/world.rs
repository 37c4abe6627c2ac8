//! A deployment in this process: real token, real store, real logs, and an engine that can be
//! killed at any outside call and opened again.

use crate::clock::Set;
use kms_core::caller::{Caller, Peer};
use kms_core::certificate::Scheme;
use kms_core::command::{Change, Command, LogName};
use kms_core::error::{Kind as ErrorKind, Result};
use kms_core::id::KeyId;
use kms_core::lifecycle::Lifecycle;
use kms_core::plane::Plane;
use kms_core::proposal::Terms;
use kms_core::record::Record;
use kms_core::view::View;
use kms_pkcs11::{Attribute, Mechanism, MechanismType, Template};
use kms_server::audit::{DiskJournal, Journal};
use kms_server::engine::{Call, Engine, Parts, Refusal, Reply, Round};
use kms_server::hsm::{Hsm, Pool};
use kms_server::init::{Founding, found};
use kms_server::metrics::Metrics;
use kms_server::store::SledStore;
use softhsm_tests::InProcessToken;
use softhsm_tests::certificate;
use softhsm_tests::faulty::{FaultyHsm, FaultyJournal, FaultyStore};
use softhsm_tests::program::repository;
use softhsm_tests::script::{Fault, Script};
use softhsm_tests::wait::until;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Who may do everything that these tests do, each his own part.
const BINDINGS: &str = "\
bindings:
  - principal: person/olga
    roles: [{role: space-steward, spaces: [\"*\"]}, {role: key-operator}]
  - principal: person/carl
    roles: [{role: key-custodian}]
  - principal: service/etl
    roles: [{role: data-service, spaces: [lab]}]
  - principal: service/mapper
    roles: [{role: ingest-service, spaces: [lab]}]
";

/// Who agrees to what olga asks.
const CUSTODIAN: &str = "person/carl";

const DEPLOYMENT: &str = "\
name: faults
trust_domain: faults.example
environment: development
side: warehouse
";

/// Who may do what is not what these tests are about, and a policy that is quickly read lets an
/// engine be opened hundreds of times.
const POLICY: &str = "\
@id(\"clockwork\")
permit (principal == Kms::Service::\"scheduler\", action, resource);
@id(\"everyone\")
permit (principal, action, resource) when { principal.bound };
@id(\"one-evaluates\")
forbid (
  principal,
  action in [Kms::Action::\"Pseudonymise\", Kms::Action::\"Translate\"],
  resource
)
unless { principal == Kms::Service::\"mapper\" };
@id(\"mapper-traces-nothing-back\")
forbid (principal == Kms::Service::\"mapper\", action == Kms::Action::\"Decrypt\", resource);
@id(\"nobody-is-followed\")
forbid (principal, action == Kms::Action::\"ChainPerson\", resource);
@id(\"another\")
forbid (principal, action == Kms::Action::\"CompromiseVersion\", resource)
unless { context.approvals >= 1 };
";

/// A deployment's directory and token, and the engine that serves it now.
pub(crate) struct World {
    life: Option<Life>,
    clock: Arc<Set>,
    hsm: Token,
    data: TempDir,
    /// Objects that the token held before.
    before: BTreeMap<String, usize>,
    /// Taking a key away has failed, in this life or an earlier one.
    orphans: Cell<bool>,
}

/// A token and the threads on it: they outlive every engine.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pool: Arc<Pool>,
    _end: Arc<End>,
    place: Arc<InProcessToken>,
}

/// Ends the token's threads with the last who holds it: the library must not be unloaded under
/// them.
#[derive(Debug)]
struct End(Arc<Pool>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// One life of the engine, from its opening to its death.
pub(crate) struct Life {
    pub(crate) engine: Arc<Engine>,
    pub(crate) script: Arc<Script>,
    pub(crate) store: Arc<SledStore>,
    pub(crate) changes: Arc<DiskJournal>,
    pub(crate) runtime: Runtime,
}

/// What a caller sees.
#[derive(Debug)]
pub(crate) enum Answer {
    Told(Result<Reply>),
    /// The process died first.
    Died,
}

impl Token {
    pub(crate) fn empty(label: &str) -> Self {
        let place = InProcessToken::empty(label);
        let pool = Arc::new(place.pool());
        Token {
            _end: Arc::new(End(Arc::clone(&pool))),
            pool,
            place: Arc::new(place),
        }
    }
}

impl World {
    /// A deployment with a space `lab`.
    pub(crate) fn founded(hsm: &Token) -> Self {
        let mut world = Self::empty(hsm);
        assert!(world.found(&[]), "founding without faults");
        world.must(Change::CreateSpace {
            name: "spaces/lab".parse().unwrap(),
            title: "Laboratory".into(),
            kind: kms_core::space::SpaceKind::Project,
            lifecycle: Lifecycle::default(),
        });
        world
    }

    /// An empty deployment.
    pub(crate) fn empty(hsm: &Token) -> Self {
        let data = tempfile::tempdir().unwrap();
        drop(SledStore::create(&data.path().join("store")).unwrap());
        for log in [LogName::Changes, LogName::Uses] {
            drop(DiskJournal::create(data.path(), log).unwrap());
        }
        let mut world = World {
            life: None,
            clock: Arc::default(),
            hsm: hsm.clone(),
            data,
            before: BTreeMap::new(),
            orphans: Cell::new(false),
        };
        world.before = world.objects_of(&Runtime::new().unwrap());
        world.open(&[]).unwrap();
        world.life().script.stop();
        world
    }

    /// Founds it, with faults; whether it was done.
    pub(crate) fn found(&mut self, faults: &[(usize, Fault)]) -> bool {
        let directory = self.data.path();
        let (deployment, bindings) = (directory.join("d.yaml"), directory.join("b.yaml"));
        std::fs::write(&deployment, DEPLOYMENT).unwrap();
        std::fs::write(&bindings, BINDINGS).unwrap();
        let schema = repository().join("ops/policy/schema.cedarschema");
        std::fs::copy(schema, directory.join("schema.cedarschema")).unwrap();
        std::fs::write(directory.join("policy.cedar"), POLICY).unwrap();
        let founding = Founding::read(&deployment, directory, &bindings).unwrap();
        let life = self.life();
        life.script.start(faults.iter().copied());
        life.runtime.block_on(async {
            tokio::select! {
                done = found(Arc::clone(&life.engine), founding) => done.is_ok(),
                () = life.script.death() => false,
            }
        })
    }

    /// Whether taking a key away has ever failed.
    pub(crate) fn orphans_may_be(&self) -> bool {
        if self.life().script.has_failed("hsm.destroy") {
            self.orphans.set(true);
        }
        self.orphans.get()
    }

    /// Kills the engine, if it lives, and opens another on the same directory and token.
    pub(crate) fn reopen(&mut self) {
        self.reopen_with(&[]);
    }

    /// The same, with faults while it opens.
    pub(crate) fn reopen_with(&mut self, faults: &[(usize, Fault)]) {
        self.kill();
        if let Err(refusal) = self.open(faults) {
            panic!("what a crash leaves must open: {refusal}");
        }
        self.life().script.stop();
    }

    pub(crate) fn kill(&mut self) {
        if let Some(life) = self.life.take() {
            let Life {
                engine,
                store,
                changes,
                runtime,
                ..
            } = life;
            // What hangs at an outside call is dropped where it hangs.
            drop(runtime);
            assert_eq!(Arc::strong_count(&engine), 1, "a call outlived the process");
            drop((engine, store, changes));
        }
    }

    fn open(&mut self, faults: &[(usize, Fault)]) -> std::result::Result<(), Refusal> {
        let data = self.data.path();
        // The threads of the former life give the files back when they have ended.
        let store = until("the store to open", || {
            SledStore::open(&data.join("store")).ok()
        });
        let log = |name| until("a log to open", || DiskJournal::open(data, name).ok());
        let (store, changes) = (Arc::new(store), Arc::new(log(LogName::Changes)));
        let script = Arc::new(Script::default());
        script.start(faults.iter().copied());
        let journal = |inner: Arc<dyn Journal>| Arc::new(FaultyJournal::new(inner, &script));
        let parts = Parts {
            hsm: Arc::new(FaultyHsm::new(self.hsm.pool.clone(), &script)),
            store: Arc::new(FaultyStore::new(store.clone(), &script)),
            changes: journal(changes.clone()),
            uses: journal(Arc::new(log(LogName::Uses))),
            clock: self.clock.clone(),
            metrics: Arc::new(Metrics::default()),
            provider: false,
        };
        let runtime = Runtime::new().unwrap();
        let engine = Arc::new(runtime.block_on(Engine::open(parts))?);
        self.life = Some(Life {
            engine,
            script,
            store,
            changes,
            runtime,
        });
        Ok(())
    }

    pub(crate) fn life(&self) -> &Life {
        self.life.as_ref().expect("the engine lives")
    }

    pub(crate) fn clock(&self) -> &Set {
        &self.clock
    }

    pub(crate) fn view(&self) -> View {
        self.life().engine.view()
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.hsm.pool
    }

    /// Puts an object under this id into the token that is nothing of ours: it is readable.
    pub(crate) fn plant(&self, id: &KeyId) {
        let readable = Template::from([
            Attribute::Token(true),
            Attribute::Id(id.to_bytes().to_vec()),
            Attribute::ValueLen(32),
            Attribute::Extractable(true),
        ]);
        let aes = Mechanism::Plain(MechanismType::AES_KEY_GEN);
        let outsider = self.hsm.place.outsider();
        outsider.session.generate(&aes, &readable).unwrap();
    }

    /// How many objects the token has under each id that came after this world began.
    pub(crate) fn objects(&self) -> BTreeMap<String, usize> {
        let mut objects = self.objects_of(&self.life().runtime);
        objects.retain(|id, _| !self.before.contains_key(id));
        objects
    }

    fn objects_of(&self, runtime: &Runtime) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for object in runtime.block_on(self.pool().objects()).unwrap() {
            *counts.entry(object.raw_id).or_default() += 1;
        }
        counts
    }

    /// Asks; the answer may never come.
    pub(crate) fn ask(&self, who: &str, request: Option<Uuid>, command: Command) -> Answer {
        let life = self.life();
        let certificate = certificate::of(&uri(who));
        let call = Call {
            caller: Caller::Peer(Arc::new(Peer {
                certificate,
                source: None,
                planes: &Plane::ALL,
                sign_in: None,
                purpose: None,
            })),
            id: Uuid::new_v4().to_string(),
            request,
        };
        life.runtime.block_on(async {
            tokio::select! {
                result = life.engine.run(call, command) => Answer::Told(result),
                () = life.script.death() => Answer::Died,
            }
        })
    }

    /// One round of the clockwork; `None`: the process died first.
    pub(crate) fn round(&self) -> Option<Round> {
        let life = self.life();
        life.runtime.block_on(async {
            tokio::select! {
                round = life.engine.carry_out_due() => Some(round),
                () = life.script.death() => None,
            }
        })
    }

    /// The log of changes, whole.
    pub(crate) fn log(&self) -> Vec<Record> {
        let life = self.life();
        let entries = life.runtime.block_on(life.changes.read(0, usize::MAX));
        let decode = |(_, bytes): (u64, Vec<u8>)| Record::decode(&bytes).unwrap();
        entries.unwrap().into_iter().map(decode).collect()
    }

    /// Asks for a change.
    pub(crate) fn change(&self, request: Uuid, change: &Change) -> Answer {
        self.ask(
            asker(change),
            Some(request),
            Command::Change(change.clone()),
        )
    }

    /// Puts a change before the custodian, and gives what there is to agree to.
    pub(crate) fn propose(&self, change: &Change) -> Terms {
        let told = self.change(Uuid::new_v4(), change);
        assert!(
            matches!(&told, Answer::Told(Err(error)) if error.kind() == ErrorKind::Pending),
            "{told:?}"
        );
        let view = self.view();
        let waiting = view.proposals().max_by_key(|p| p.filed).unwrap();
        waiting.terms.clone()
    }

    /// The custodian's agreement.
    pub(crate) fn approval(&self, terms: &Terms) -> Change {
        let deployment = "faults".parse().unwrap();
        let message = terms.message(&deployment, &CUSTODIAN.parse().unwrap());
        Change::Approve {
            proposal: terms.name.clone(),
            scheme: Scheme::Ed25519,
            signature: certificate::sign(&uri(CUSTODIAN), &message),
            reason: "agreed".into(),
        }
    }

    /// Asks for what must be done.
    pub(crate) fn must(&self, change: Change) {
        self.get(asker(&change), Command::Change(change));
    }

    /// Asks for what must be answered.
    pub(crate) fn get(&self, who: &str, command: Command) -> Reply {
        match self.ask(who, None, command) {
            Answer::Told(Ok(reply)) => reply,
            Answer::Told(Err(error)) => panic!("{error}: {:?}", error.cause()),
            Answer::Died => panic!("the engine died without a fault"),
        }
    }
}

fn uri(who: &str) -> String {
    format!("spiffe://faults.example/{who}")
}

fn asker(change: &Change) -> &'static str {
    if matches!(change, Change::Approve { .. }) {
        CUSTODIAN
    } else {
        "person/olga"
    }
}
