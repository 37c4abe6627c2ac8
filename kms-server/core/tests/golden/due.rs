//! What is due: who does it, after how many people agreed; and when.

use crate::sample::{NOW, bench, caller, deployment, key, put};
use kms_core::caller::Caller;
use kms_core::class::Class;
use kms_core::command::{Change, Command};
use kms_core::decide::{Verdict, decide};
use kms_core::deployment::Environment;
use kms_core::due::{Due, Outlook, Steady, Task};
use kms_core::id::{KeyId, KeyUid};
use kms_core::key::{Destruction, Key, Moved, Origin};
use kms_core::lifecycle::{Lifecycle, Spent, Uses};
use kms_core::name::{KeyName, VersionName};
use kms_core::report::KeyReport;
use kms_core::space::{Decommission, Space};
use kms_core::state::State;
use kms_core::time::{DAY, HOUR, Time};
use kms_core::value::Value;
use kms_core::view::View;
use std::collections::BTreeMap;
use std::fmt::Write;

fn named(slug: &str) -> KeyName {
    format!("spaces/lab/keys/{slug}").parse().unwrap()
}

fn moved(at: Time) -> Moved {
    Moved {
        time: at,
        actor: "someone".into(),
        reason: "a test".into(),
    }
}

/// What was used, how much.
#[derive(Debug, Default)]
struct Used(BTreeMap<KeyId, Spent>);

impl Uses for Used {
    fn last(&self, _version: &VersionName) -> Option<Time> {
        None
    }

    fn processed(&self, _version: &VersionName) -> u64 {
        0
    }

    fn spent(&self, id: &KeyId) -> Spent {
        self.0.get(id).copied().unwrap_or_default()
    }
}

/// How many people must agree with the service in production.
fn approvals(view: &View, change: &Change) -> String {
    let command = Command::Change(change.clone());
    match decide(bench(view, KeyUid([9; 16])), &Caller::Scheduler, &command) {
        Ok(Verdict::Permit(_)) => "-".into(),
        Ok(Verdict::Approvals(demand)) => format!("+{}", demand.needed),
        Err(error) => format!("refused: {error}"),
    }
}

#[test]
fn who_does_what_is_due() {
    let mut view = deployment(Environment::Production);
    let past = [(State::Deactivated, false), (State::Active, false)];
    key(&mut view, &named("object"), Class::DataAtRest, &past);
    key(&mut view, &named("import"), Class::ImportWrapping, &past);
    let mut out = String::from(
        "What is due, who does it, by which action, and how many key-custodians must agree in\n\
         production.\n\n",
    );
    for task in Task::ALL {
        let of = if task == Task::DestroyPair {
            "import"
        } else {
            "object"
        };
        let resource = match task {
            Task::Rotate | Task::RotateByUse | Task::Import | Task::Renew => named(of).to_string(),
            Task::HalfSpent => named(of).to_string(),
            Task::Deactivate => named(of).version(2).to_string(),
            Task::EndProcessing | Task::Destroy | Task::DestroyPair => {
                named(of).version(1).to_string()
            }
            Task::Erase => "spaces/lab".into(),
        };
        let due = Due {
            at: NOW,
            resource,
            task,
        };
        let change = due.change().unwrap();
        assert_eq!(change.is_some(), task.by_itself(), "{task}");
        let (who, action, agree) = match &change {
            Some(change) => ("service", change.action().name(), approvals(&view, change)),
            None => ("people", "", String::new()),
        };
        let line = format!(
            "{:<15} {who:<8} {action:<18} {agree:<3} {}",
            task.name(),
            task.reason()
        );
        writeln!(out, "{}", line.trim_end()).unwrap();
    }
    insta::assert_snapshot!(out);
}

/// A laboratory in which something of every sort is due, and the service has run for two days.
fn laboratory() -> (View, Used) {
    let mut view = deployment(Environment::Production);
    let active = [(State::Active, false)];
    let past = [(State::Deactivated, false), (State::Active, false)];
    for (slug, class, states) in [
        ("object", Class::DataAtRest, &past[..]),
        ("import", Class::ImportWrapping, &past[..]),
        ("partner", Class::DataAtRest, &active[..]),
        ("edge-link", Class::Pseudonymisation, &active[..]),
        ("often", Class::DataAtRest, &active[..]),
        ("half", Class::DataAtRest, &active[..]),
        ("doomed", Class::DataAtRest, &past[..]),
        ("held", Class::DataAtRest, &[(State::Suspended, false)][..]),
        (
            "harmed",
            Class::DataAtRest,
            &[(State::Compromised, false), (State::Destroyed, false)][..],
        ),
    ] {
        key(&mut view, &named(slug), class, states);
    }
    let over = "spaces/elsewhere/keys/object".parse().unwrap();
    key(&mut view, &over, Class::DataAtRest, &active);
    let (partner, _) = view.key(&named("partner")).unwrap();
    let partner = Key {
        origin: Origin::External,
        ..partner.clone()
    };
    put(&mut view, Value::Key(partner));
    let (half, _) = view.key(&named("half")).unwrap();
    let half = Key {
        lifecycle: Lifecycle {
            protecting: Some(30 * DAY),
            encryptions: Some(1000),
            ..Lifecycle::default()
        },
        ..half.clone()
    };
    put(&mut view, Value::Key(half));
    let mut doomed = view.version(&named("doomed").version(1)).unwrap().0.clone();
    doomed.destruction = Some(Destruction {
        at: NOW.plus_millis(30 * DAY),
        forced: false,
        moved: moved(NOW),
    });
    put(&mut view, Value::Version(doomed));
    let elsewhere: Space = view
        .space(&"spaces/elsewhere".parse().unwrap())
        .unwrap()
        .0
        .clone();
    put(
        &mut view,
        Value::Space(Space {
            archived: Some(moved(NOW)),
            decommission: Some(Decommission {
                erase: NOW.plus_millis(365 * DAY),
                moved: moved(NOW),
            }),
            ..elsewhere
        }),
    );
    let id = |slug| view.version(&named(slug).version(1)).unwrap().0.id;
    let spent = |encryptions| Spent {
        encryptions,
        bytes: 0,
    };
    let used = Used([(id("often"), spent(1 << 31)), (id("half"), spent(500))].into());
    (view, used)
}

fn outlook<'a>(view: &'a View, uses: &'a Used, now: Time) -> Outlook<'a> {
    Outlook {
        view,
        now,
        steady: Steady { started: NOW, now },
        uses,
    }
}

#[test]
fn when_something_is_due() {
    let (view, used) = laboratory();
    let now = NOW.plus_millis(2 * DAY);
    let mut times: BTreeMap<(Task, String), (Time, usize)> = BTreeMap::new();
    for due in outlook(&view, &used, now).due(now.plus_millis(3 * 365 * DAY)) {
        let (_, often) = times.entry((due.task, due.resource)).or_insert((due.at, 0));
        *often += 1;
    }
    let mut lines: Vec<_> = times.into_iter().map(|(what, when)| (when, what)).collect();
    lines.sort();
    let mut out = String::from(
        "Everything that is due within three years, as of 2026-01-03: when first, and how often.\n\n",
    );
    for ((at, often), (task, resource)) in lines {
        writeln!(out, "{at} {often:>3} x {task:<15} {resource}").unwrap();
    }
    insta::assert_snapshot!(out);
}

fn told(out: &mut String, report: &KeyReport) {
    let primary = report.primary.as_ref();
    let primary = primary.map(|(v, state)| format!("version {} {state}", v.number()));
    let next = report.next.as_ref();
    let next = next.map(|due| format!("{} {}", due.at.date(), due.task));
    writeln!(
        out,
        "{} ({}): {}, {} of {} days; {} versions, {} destroyed; {} encryptions; next: {}",
        report.name,
        report.class,
        primary.unwrap_or_else(|| "nothing protects".into()),
        report.age.unwrap_or_default() / DAY,
        report.cryptoperiod / DAY,
        report.versions,
        report.destroyed,
        report.spent.encryptions,
        next.unwrap_or_else(|| "nothing".into()),
    )
    .unwrap();
    for finding in &report.findings {
        let deviation = finding.deviation;
        writeln!(
            out,
            "    {deviation:?} {}: {}",
            finding.resource, finding.sentence
        )
        .unwrap();
    }
}

#[test]
fn how_keys_stand() {
    let (view, used) = laboratory();
    let mut out = String::new();
    for days in [2, 1500] {
        let now = NOW.plus_millis(days * DAY);
        writeln!(out, "After {days} days, if nobody does anything:\n").unwrap();
        for report in outlook(&view, &used, now).report() {
            told(&mut out, &report);
        }
        out.push('\n');
    }
    insta::assert_snapshot!(out);
}

/// One clock may say anything.
#[test]
fn a_pair_waits_for_the_second_clock() {
    let mut view = deployment(Environment::Production);
    let past = [(State::Deactivated, false), (State::Active, false)];
    key(&mut view, &named("import"), Class::ImportWrapping, &past);
    let used = Used::default();
    let at = |wall: u64, uptime: u64| {
        let steady = Steady {
            started: NOW,
            now: NOW.plus_millis(uptime),
        };
        let outlook = Outlook {
            steady,
            ..outlook(&view, &used, NOW.plus_millis(wall))
        };
        let due = outlook.due(outlook.now);
        due.iter().any(|due| due.task == Task::DestroyPair)
    };
    assert!(!at(24 * HOUR - 1, 24 * HOUR - 1));
    assert!(at(24 * HOUR, 24 * HOUR));
    assert!(
        !at(10 * 365 * DAY, 24 * HOUR - 1),
        "the wall clock was set forward"
    );
    assert!(!at(0, 10 * 365 * DAY), "the wall clock was set back");
}

/// However keys are named, none is rotated later than its cryptoperiod, nor much earlier.
#[test]
fn a_rotation_is_due_within_its_cryptoperiod() {
    let mut days = Vec::new();
    for number in 0..200_u8 {
        let mut view = deployment(Environment::Production);
        let name = named("object");
        key(
            &mut view,
            &name,
            Class::DataAtRest,
            &[(State::Active, false)],
        );
        let mut version = view.version(&name.version(1)).unwrap().0.clone();
        version.id.uid = KeyUid([number.wrapping_mul(37); 16]);
        put(&mut view, Value::Version(version));
        let used = Used::default();
        let all = outlook(&view, &used, NOW).due(NOW.plus_millis(365 * DAY));
        let [first] = all.as_slice() else {
            panic!("{all:?}")
        };
        let after = first.at.since(NOW);
        assert!(
            (365 * DAY / 20 * 19..=365 * DAY).contains(&after),
            "{after}"
        );
        days.push(after / DAY);
    }
    days.sort_unstable();
    days.dedup();
    assert!(days.len() > 15, "they are spread: {days:?}");
}

/// Nobody has what is not due carried out, whatever the policy says.
#[test]
fn what_is_not_due_is_not_done() {
    let (view, used) = laboratory();
    let asker = caller("person/p");
    for asker in [&Caller::Scheduler, &asker] {
        for (slug, number) in [("object", 1), ("doomed", 1)] {
            let due = Due {
                at: NOW,
                resource: named(slug).version(number).to_string(),
                task: Task::Destroy,
            };
            let change = due.change().unwrap().unwrap();
            let ground = kms_core::plan::Ground {
                uses: &used,
                ..crate::sample::ground(&view, asker, KeyUid([9; 16]))
            };
            let refused = kms_core::plan::plan(ground, &change).unwrap_err();
            assert_eq!(refused.kind(), kms_core::error::Kind::State, "{slug}");
        }
    }
}
