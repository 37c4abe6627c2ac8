//! A deployment in this process, declared production, on a clock that is set by hand.

use kms_core::attestation::Statement;
use kms_core::caller::{Caller, Peer};
use kms_core::certificate::Scheme;
use kms_core::command::{Change, Command, LogName};
use kms_core::error::{Error, Kind};
use kms_core::plane::Plane;
use kms_core::proposal::{ProposalState, Terms};
use kms_core::time::{DAY, Time};
use kms_core::view::View;
use kms_proto::v1::{self, attestation_service_server::AttestationService};
use kms_server::audit::{DiskJournal, Journal};
use kms_server::clock::Clock;
use kms_server::engine::{Call, Engine, Parts, Reply};
use kms_server::grpc::{Connected, Door};
use kms_server::hsm::{Hsm, Pool, TokenObject};
use kms_server::init::{Founding, found};
use kms_server::metrics::Metrics;
use kms_server::store::SledStore;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use softhsm_tests::{InProcessToken, certificate, program::repository};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::{Request, Status};
use uuid::Uuid;

/// Set by hand, both of its hands together.
#[derive(Debug)]
struct Manual(Mutex<Duration>);

/// 2026-02-02, in milliseconds.
const BEGINNING: u64 = 1_770_000_000_000;

impl Clock for Manual {
    fn now(&self) -> Time {
        let passed = self.0.lock().unwrap().as_millis();
        Time(BEGINNING + u64::try_from(passed).unwrap())
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

const BINDINGS: &str = "\
bindings:
  - principal: person/stella
    roles: [{role: space-steward, spaces: [\"*\"]}]
  - principal: person/olivia
    roles: [{role: key-operator}]
  - principal: person/carl
    roles: [{role: key-custodian}]
  - principal: person/carol
    roles: [{role: key-custodian}]
  - principal: person/hugo
    roles: [{role: hsm-officer}]
  - principal: person/audrey
    roles: [{role: auditor}]
  - principal: service/lyon
    roles: [{role: data-service, spaces: [lab]}]
";

const DEPLOYMENT: &str = "\
name: attested
trust_domain: attested.example
environment: production
side: warehouse
";

/// The deployment.
pub(crate) struct World {
    // Fields drop in this order: the engine, the token's threads, the library.
    engine: Arc<Engine>,
    runtime: Runtime,
    clock: Arc<Manual>,
    uses: Arc<DiskJournal>,
    pub(crate) data: TempDir,
    pool: Arc<Pool>,
    pub(crate) token: InProcessToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.pool.stop();
    }
}

impl World {
    pub(crate) fn new(label: &str) -> Self {
        let token = InProcessToken::empty(label);
        let data = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let pool = Arc::new(token.pool());
        let clock = Arc::new(Manual(Mutex::default()));
        let log = |name| Arc::new(DiskJournal::create(data.path(), name).unwrap());
        let uses = log(LogName::Uses);
        let parts = Parts {
            hsm: pool.clone(),
            store: Arc::new(SledStore::create(&data.path().join("store")).unwrap()),
            changes: log(LogName::Changes),
            uses: uses.clone(),
            clock: clock.clone(),
            metrics: Arc::new(Metrics::default()),
            provider: false,
        };
        let engine = Arc::new(runtime.block_on(Engine::open(parts)).unwrap());
        let founding = founding(data.path());
        runtime.block_on(found(engine.clone(), founding)).unwrap();
        World {
            engine,
            runtime,
            clock,
            uses,
            data,
            pool,
            token,
        }
    }

    pub(crate) fn view(&self) -> View {
        self.engine.view()
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) fn days_pass(&self, days: u64) {
        *self.clock.0.lock().unwrap() += Duration::from_millis(days * DAY);
    }

    pub(crate) fn objects(&self) -> Vec<TokenObject> {
        self.runtime.block_on(self.pool.objects()).unwrap()
    }

    pub(crate) fn ask(&self, who: &str, command: Command) -> Result<Reply, Error> {
        let call = Call {
            caller: Caller::Peer(peer(who)),
            id: Uuid::new_v4().to_string(),
            request: None,
        };
        self.runtime.block_on(self.engine.run(call, command))
    }

    pub(crate) fn change(&self, who: &str, change: &Change) -> Result<Reply, Error> {
        self.ask(who, Command::Change(change.clone()))
    }

    /// Asks for what these must agree to, lets them, and asks again.
    pub(crate) fn agreed(&self, who: &str, change: &Change, custodians: &[&str]) {
        let told = self.change(who, change).unwrap_err();
        assert_eq!(told.kind(), Kind::Pending, "{told:?}");
        self.approve(custodians);
        self.change(who, change).unwrap();
    }

    /// These agree to the one proposal that waits.
    pub(crate) fn approve(&self, custodians: &[&str]) {
        let view = self.view();
        let waiting: Vec<&Terms> = view
            .proposals()
            .filter(|p| p.state == ProposalState::Waiting && self.now() < p.terms.expires)
            .map(|p| &p.terms)
            .collect();
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        let deployment = "attested".parse().unwrap();
        for custodian in custodians {
            let message = waiting[0].message(&deployment, &custodian.parse().unwrap());
            let change = Change::Approve {
                proposal: waiting[0].name.clone(),
                scheme: Scheme::Ed25519,
                signature: certificate::sign(&uri(custodian), &message),
                reason: "agreed".into(),
            };
            self.change(custodian, &change).unwrap();
        }
    }

    /// The service does what is due, as far as it may; then these agree to what waits.
    pub(crate) fn due(&self, custodians: &[&str]) {
        let round = || {
            let round = self.runtime.block_on(self.engine.carry_out_due());
            assert_eq!(round.failed, 0, "{round:?}: {:?}", self.used().last());
            round.done
        };
        while round() > 0 {}
        self.approve(custodians);
        assert!(round() > 0, "what was agreed to was not done");
    }

    /// Asks for an attestation, at the service's door.
    pub(crate) fn attest(&self, who: &str, name: &str) -> Result<v1::Attestation, Status> {
        let (_runs, stopping) = tokio::sync::watch::channel(false);
        let door = Door::new(self.engine.clone(), None, stopping);
        let mut request = Request::new(v1::GetAttestationRequest { name: name.into() });
        request.extensions_mut().insert(Connected(peer(who)));
        let answer = self.runtime.block_on(door.get_attestation(request));
        answer.map(tonic::Response::into_inner)
    }

    /// Keeps the three parts of an attestation under this name; gives what it says.
    pub(crate) fn keep(&self, attestation: &v1::Attestation, name: &str) -> Statement {
        let write = |ending: &str, content: &[u8]| {
            let path = self.data.path().join(format!("{name}.{ending}"));
            std::fs::write(path, content).unwrap();
        };
        write("json", &attestation.statement);
        write("sig", &attestation.signature);
        let key = SubjectPublicKeyInfoDer::from(attestation.public_key.as_slice());
        let base64 = data_encoding::BASE64.encode(&key);
        let (begin, end) = ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----");
        let lines = base64.as_bytes().chunks(64);
        let lines: Vec<&str> = lines.map(|line| str::from_utf8(line).unwrap()).collect();
        write(
            "pem",
            format!("{begin}\n{}\n{end}\n", lines.join("\n")).as_bytes(),
        );
        let statement = Statement::parse(&attestation.statement).unwrap();
        assert_eq!(statement.is_final, attestation.r#final);
        statement
    }

    /// The records of a log, as text.
    pub(crate) fn used(&self) -> Vec<String> {
        let page = self.runtime.block_on(self.uses.read(0, 10_000)).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        page.into_iter().map(|(_, bytes)| text(bytes)).collect()
    }
}

fn founding(directory: &Path) -> Founding {
    let (deployment, bindings) = (directory.join("d.yaml"), directory.join("b.yaml"));
    std::fs::write(&deployment, DEPLOYMENT).unwrap();
    std::fs::write(&bindings, BINDINGS).unwrap();
    Founding::read(&deployment, &repository().join("ops/policy"), &bindings).unwrap()
}

fn peer(who: &str) -> Arc<Peer> {
    Arc::new(Peer {
        certificate: certificate::of(&uri(who)),
        source: None,
        planes: &Plane::ALL,
        sign_in: None,
        purpose: None,
    })
}

fn uri(who: &str) -> String {
    format!("spiffe://attested.example/{who}")
}
