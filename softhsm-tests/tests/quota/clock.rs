//! The engine on a clock that is set by hand: real token, real store, real logs.

use crate::LINK;
use kms_core::caller::{Caller, Peer};
use kms_core::command::{Change, Command, LogName, Use};
use kms_core::error::{Error, Kind};
use kms_core::lifecycle::Lifecycle;
use kms_core::plane::Plane;
use kms_core::pseudonym::Identifier;
use kms_core::space::{InputType, SpaceKind};
use kms_core::time::HOUR;
use kms_server::audit::DiskJournal;
use kms_server::engine::{Call, Engine, Parts};
use kms_server::hsm::Pool;
use kms_server::init::{Founding, found};
use kms_server::metrics::Metrics;
use kms_server::store::SledStore;
use softhsm_tests::{
    InProcessToken, certificate, manual_clock::ManualClock, program::repository, wait::until,
};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;
use zeroize::Zeroizing;

/// As a clock jumps.
const AN_HOUR: i64 = 3_600_000;

pub(crate) const BINDINGS: &str = "\
bindings:
  - principal: person/stella
    roles: [{role: space-steward, spaces: [\"*\"]}]
  - principal: person/carl
    roles: [{role: key-custodian}]
  - principal: person/carol
    roles: [{role: key-custodian}]
  - principal: person/hugo
    roles: [{role: hsm-officer}]
  - principal: service/link
    roles: [{role: pseudonymiser, edges: [spaces/warehouse/edges/link]}]
";

pub(crate) const DEPLOYMENT: &str = "\
name: clocks
trust_domain: clocks.example
environment: development
side: warehouse
";

/// A deployment in this process, with an edge of which each may ask ten items a day.
pub(crate) struct World {
    // Fields drop in this order: the engine, the token's threads, the library.
    pub(crate) engine: Option<Arc<Engine>>,
    pub(crate) runtime: Runtime,
    clock: Arc<ManualClock>,
    data: TempDir,
    pool: Arc<Pool>,
    _token: InProcessToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.engine = None;
        self.pool.stop();
    }
}

impl World {
    fn new(label: &str) -> Self {
        let world = World::empty(label);
        world.found();
        world.furnish(r#"{"day":{"items":10}}"#);
        world
    }

    /// Before it is founded.
    pub(crate) fn empty(label: &str) -> Self {
        let token = InProcessToken::empty(label);
        let data = tempfile::tempdir().unwrap();
        drop(SledStore::create(&data.path().join("store")).unwrap());
        for log in [LogName::Changes, LogName::Uses] {
            drop(DiskJournal::create(data.path(), log).unwrap());
        }
        let mut world = World {
            engine: None,
            runtime: Runtime::new().unwrap(),
            clock: Arc::default(),
            data,
            pool: Arc::new(token.pool()),
            _token: token,
        };
        world.starts();
        world
    }

    /// An edge of which each may ask so much.
    pub(crate) fn furnish(&self, limits: &str) {
        for change in [
            Change::CreateSpace {
                name: "spaces/warehouse".parse().unwrap(),
                title: "Warehouse".into(),
                kind: SpaceKind::Warehouse,
                lifecycle: Lifecycle::default(),
            },
            Change::CreateDomain {
                name: "domains/link".parse().unwrap(),
                title: "Identifiers".into(),
                source: None,
            },
            Change::CreateEdge {
                name: LINK.parse().unwrap(),
                code: "whlink".parse().unwrap(),
                input: InputType::Opaque,
                exportable: false,
            },
            Change::PutQuota {
                name: format!("{LINK}/quotas/each").parse().unwrap(),
                etag: None,
                limits: serde_json::from_str(limits).unwrap(),
                reason: "a test".into(),
            },
        ] {
            self.asks("person/stella", Command::Change(change)).unwrap();
        }
    }

    fn found(&self) {
        let directory = self.data.path();
        let (deployment, bindings) = (directory.join("d.yaml"), directory.join("b.yaml"));
        std::fs::write(&deployment, DEPLOYMENT).unwrap();
        std::fs::write(&bindings, BINDINGS).unwrap();
        let policy = repository().join("ops/policy");
        let founding = Founding::read(&deployment, &policy, &bindings).unwrap();
        let engine = Arc::clone(self.engine.as_ref().unwrap());
        self.runtime.block_on(found(engine, founding)).unwrap();
    }

    /// The process dies, if it lives, and another starts.
    pub(crate) fn starts(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.runtime = Runtime::new().unwrap();
            assert_eq!(Arc::strong_count(&engine), 1, "a call outlived the process");
        }
        let data = self.data.path();
        // The threads of the former life give the files back when they have ended.
        let store = until("the store to open", || {
            SledStore::open(&data.join("store")).ok()
        });
        let log = |name| {
            Arc::new(until("a log to open", || {
                DiskJournal::open(data, name).ok()
            }))
        };
        let parts = Parts {
            hsm: self.pool.clone(),
            store: Arc::new(store),
            changes: log(LogName::Changes),
            uses: log(LogName::Uses),
            clock: self.clock.clone(),
            metrics: Arc::new(Metrics::default()),
            provider: false,
        };
        let engine = self.runtime.block_on(Engine::open(parts)).unwrap();
        self.engine = Some(Arc::new(engine));
    }

    pub(crate) fn asks(&self, who: &str, command: Command) -> Result<(), Error> {
        let call = Call {
            caller: Caller::Peer(Arc::new(Peer {
                certificate: certificate::of(&format!("spiffe://clocks.example/{who}")),
                source: None,
                planes: &Plane::ALL,
                sign_in: None,
                purpose: None,
            })),
            id: Uuid::new_v4().to_string(),
            request: None,
        };
        let engine = self.engine.as_ref().unwrap();
        self.runtime.block_on(engine.run(call, command)).map(drop)
    }

    /// How many single evaluations pass now, before one is refused because of the quota.
    fn passes(&self) -> usize {
        for passed in 0..50 {
            let identifier = Identifier::opaque(Zeroizing::new(format!("SYNTHETIC-{passed}")));
            let usage = Use::Pseudonymise {
                batch: None,
                edge: LINK.parse().unwrap(),
                identifiers: vec![identifier],
            };
            match self.asks("service/link", Command::Use(usage)) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Exhausted, "{error:?}");
                    return passed;
                }
            }
        }
        panic!("nothing is limited");
    }
}

#[test]
fn a_clock_that_is_set_gives_nothing_and_a_day_that_passes_does() {
    let mut world = World::new("quota-clock");
    assert_eq!(world.passes(), 10);
    // While it runs, neither forward nor back.
    world.clock.jumps(30 * 24 * AN_HOUR);
    assert_eq!(world.passes(), 0);
    world.clock.jumps(-60 * 24 * AN_HOUR);
    assert_eq!(world.passes(), 0);
    // Set back, and the service started again, as often as one likes.
    for _ in 0..3 {
        world.clock.jumps(-24 * AN_HOUR);
        world.starts();
        assert_eq!(world.passes(), 0);
    }
    // Put right again, a day that really passes is a new window; less is not.
    world.clock.jumps(33 * 24 * AN_HOUR);
    world.starts();
    world.clock.goes_on(23 * HOUR);
    assert_eq!(world.passes(), 0);
    world.clock.goes_on(HOUR);
    assert_eq!(world.passes(), 10);
    world.starts();
    assert_eq!(world.passes(), 0, "a restart begins nothing");
    // What is spent in a window is spent until it ends, although the clock is set back behind its
    // beginning.
    world.clock.goes_on(10 * 24 * HOUR);
    assert_eq!(world.passes(), 10);
    world.clock.jumps(-5 * 24 * AN_HOUR);
    world.starts();
    assert_eq!(world.passes(), 0);
    world.clock.goes_on((5 * 24 + 23) * HOUR);
    assert_eq!(world.passes(), 0);
    world.clock.goes_on(HOUR);
    assert_eq!(world.passes(), 10);
    // Whoever sets the clock forward and starts the service again has one window more: nothing
    // tells it from a day that has passed.
    world.clock.jumps(24 * AN_HOUR);
    world.starts();
    assert_eq!(world.passes(), 10);
    assert_eq!(world.passes(), 0);
}

/// A year is 365 days from its first use, over restarts and whatever the day allows.
#[test]
fn a_year_is_spent_once_a_year() {
    const DAY: u64 = 24 * HOUR;
    let mut world = World::empty("quota-year");
    world.found();
    world.furnish(r#"{"day":{"items":10},"year":{"items":25}}"#);
    assert_eq!(world.passes(), 10);
    world.clock.goes_on(40 * DAY);
    assert_eq!(world.passes(), 10);
    world.starts();
    world.clock.goes_on(200 * DAY);
    // What was written ahead before the restart counts as spent.
    let rest = world.passes();
    assert!((4..=5).contains(&rest), "{rest}");
    world.clock.goes_on(DAY);
    assert_eq!(world.passes(), 0, "the day is new, and the year is not");
    world.clock.goes_on(123 * DAY);
    assert_eq!(world.passes(), 0);
    world.clock.goes_on(DAY);
    assert_eq!(world.passes(), 10);
}
