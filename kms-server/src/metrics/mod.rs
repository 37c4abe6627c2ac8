//! What Prometheus reads. Labels are actions, kinds of error, reasons and our
//! own addresses, never a name or an identity.

mod doorway;

pub use doorway::Doorway;

use doorway::Doorways;
use kms_core::action::Action;
use kms_core::due::Task;
use kms_core::error::Error;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The metrics of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    items: Family<ActionLabels, Counter>,
    seconds: Family<ActionLabels, Histogram>,
    over_quota: Family<ActionLabels, Counter>,
    near_quota: Family<ActionLabels, Counter>,
    due: Family<TaskLabels, Gauge>,
    scheduled: Family<ScheduledLabels, Counter>,
    doorways: Doorways,
    /// 1 while the HSM answers.
    pub hsm_serving: Gauge,
    /// Emergencies declared, and changes that only an emergency allowed.
    pub emergency_acts: Counter,
    /// 1 while store and logs take what they are given; 0 means in doubt, until a restart.
    pub storage_serving: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    action: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    task: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ScheduledLabels {
    task: &'static str,
    result: &'static str,
}

/// From 0.1 ms to 10 s.
const BUCKETS: [f64; 11] = [
    0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0,
];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("kms");
        let calls = Family::<CallLabels, Counter>::default();
        let items = Family::<ActionLabels, Counter>::default();
        let seconds =
            Family::<ActionLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let over_quota = Family::<ActionLabels, Counter>::default();
        registry.register(
            "over_quota",
            "Uses refused because their caller's quota has too little left, by action",
            over_quota.clone(),
        );
        let near_quota = Family::<ActionLabels, Counter>::default();
        registry.register(
            "near_quota",
            "Limits on edges of which four fifths were spent in a window, by action",
            near_quota.clone(),
        );
        let due = Family::<TaskLabels, Gauge>::default();
        registry.register(
            "due",
            "What was due when the service last looked, by task",
            due.clone(),
        );
        let scheduled = Family::<ScheduledLabels, Counter>::default();
        registry.register(
            "scheduled",
            "What the service asked of itself because it was due, by task and result",
            scheduled.clone(),
        );
        let emergency_acts = Counter::default();
        registry.register(
            "emergency_acts",
            "Emergencies declared, and changes that only an emergency allowed",
            emergency_acts.clone(),
        );
        let (hsm_serving, storage_serving) = (Gauge::default(), Gauge::default());
        registry.register("calls", "Calls, by action and result", calls.clone());
        registry.register("items", "Items asked for, by action", items.clone());
        registry.register(
            "call_seconds",
            "Time to answer, record included",
            seconds.clone(),
        );
        registry.register(
            "hsm_serving",
            "1 while the HSM answers",
            hsm_serving.clone(),
        );
        registry.register(
            "storage_serving",
            "1 while store and logs take what they are given; 0 until a restart once one is in doubt",
            storage_serving.clone(),
        );
        let doorways = Doorways::register(&mut registry);
        Metrics {
            registry,
            calls,
            items,
            seconds,
            over_quota,
            near_quota,
            due,
            scheduled,
            doorways,
            hsm_serving,
            emergency_acts,
            storage_serving,
        }
    }
}

impl Metrics {
    /// Says what is due.
    pub fn due_now(&self, tasks: impl Iterator<Item = Task>) {
        let mut counts: BTreeMap<Task, i64> = Task::ALL.into_iter().map(|t| (t, 0)).collect();
        for task in tasks {
            counts
                .entry(task)
                .and_modify(|count| *count = count.saturating_add(1));
        }
        for (task, count) in counts {
            let task = task.name();
            self.due.get_or_create(&TaskLabels { task }).set(count);
        }
    }

    /// Counts what the service asked of itself.
    pub fn scheduled(&self, task: Task, error: Option<&Error>) {
        let labels = ScheduledLabels {
            task: task.name(),
            result: error.map_or("OK", |e| e.kind().word()),
        };
        self.scheduled.get_or_create(&labels).inc();
    }

    /// Counts an answered call.
    pub fn answered(&self, action: Action, items: u64, error: Option<&Error>, took: Duration) {
        let result = error.map_or("OK", |e| e.kind().word());
        self.calls
            .get_or_create(&CallLabels {
                action: action.name(),
                result,
            })
            .inc();
        self.items
            .get_or_create(&ActionLabels {
                action: action.name(),
            })
            .inc_by(items);
        self.seconds
            .get_or_create(&ActionLabels {
                action: action.name(),
            })
            .observe(took.as_secs_f64());
    }

    /// Counts a use that its caller's quota does not allow.
    pub fn over_quota(&self, action: Action) {
        let labels = ActionLabels {
            action: action.name(),
        };
        self.over_quota.get_or_create(&labels).inc();
    }

    /// Counts a limit on an edge that is nearly spent.
    pub fn near_quota(&self, action: Action) {
        let labels = ActionLabels {
            action: action.name(),
        };
        self.near_quota.get_or_create(&labels).inc();
    }

    /// What is counted at the listener of this address.
    #[must_use]
    pub fn doorway(&self, address: &SocketAddr) -> Doorway {
        self.doorways.at(address)
    }

    /// The text that Prometheus reads (OpenMetrics 1.0).
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        match encode(&mut out, &self.registry) {
            Ok(()) => out,
            Err(_unwritable) => String::new(),
        }
    }
}
