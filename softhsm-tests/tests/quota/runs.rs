//! Runs: one declared number of identifiers in many calls, charged once, whoever dies.

use crate::{LINK, left, put};
use kms_proto::v1;
use serde_json::Value;
use softhsm_tests::{
    Deployment,
    gateway::{Gateway, identifier, reason},
    wait::until,
};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tonic::{Code, Status};
use v1::identifier::Identifier::Opaque;

const RUN: &str = "6f1c2a5e-52d8-4f0e-9d3a-2f2f0c7b9e11";
const OTHER: &str = "16fd2706-8baf-433b-82eb-8c7fada847da";

/// So many identifiers of a run, from this one on.
fn part(
    by: &Gateway,
    (id, expected): (&str, u64),
    offset: u64,
    count: u64,
) -> Result<Vec<String>, Status> {
    named(by, (id, expected), offset, count, "SYNTHETIC")
}

fn named(
    by: &Gateway,
    (id, expected): (&str, u64),
    offset: u64,
    count: u64,
    beginning: &str,
) -> Result<Vec<String>, Status> {
    let names = offset..offset + count;
    let names = names.map(|n| identifier(Opaque(format!("{beginning}-{n}"))));
    let batch = v1::Batch {
        id: id.to_owned(),
        expected,
        offset,
    };
    by.part(LINK, names.collect(), Some(batch))?
        .into_iter()
        .collect()
}

fn evaluations(kms: &mut Deployment) -> Vec<Value> {
    let records = Gateway::connect(kms, "ada").records(v1::Log::Uses).unwrap();
    let one = |record: &Value| record["api"]["operation"] == "Pseudonymise";
    records.into_iter().filter(one).collect()
}

#[test]
fn a_run_is_charged_once_or_refused_whole() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let stella = Gateway::connect(&mut kms, "stella");
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    put(&stella, "each", 100).unwrap();

    // Larger than the budget, it is to be mended; larger than what is left, to be waited for.
    let never = part(&link, (RUN, 101), 0, 10).unwrap_err();
    assert_eq!(reason(&never), "INVALID");
    assert!(
        never.message().contains("a campaign has a budget"),
        "{}",
        never.message()
    );
    assert_eq!(left(&link, "").unwrap(), 100);
    let first = part(&link, (RUN, 60), 0, 10).unwrap();
    assert_eq!(left(&link, "").unwrap(), 40);
    let over = part(&link, (OTHER, 41), 0, 1).unwrap_err();
    assert_eq!(over.code(), Code::ResourceExhausted);
    assert!(
        over.message().contains("this run has 41"),
        "{}",
        over.message()
    );

    // What was evaluated is evaluated again, and costs nothing.
    assert_eq!(part(&link, (RUN, 60), 0, 10).unwrap(), first);
    // Another content, another number, an overlap, what lies beyond, another caller's id: refused.
    let wrong = [
        named(&link, (RUN, 60), 0, 10, "OTHER"),
        part(&link, (RUN, 60), 0, 9),
        part(&link, (RUN, 60), 9, 2),
        part(&link, (RUN, 61), 10, 10),
        part(&link, (RUN, 60), 55, 6),
        part(&link, (RUN, 0), 0, 1),
        part(&link, ("not-a-uuid", 60), 10, 10),
    ];
    for refused in wrong {
        assert_eq!(reason(&refused.unwrap_err()), "INVALID");
    }
    assert_eq!(left(&link, "").unwrap(), 40);

    // In any order, and after a death: charged once.
    part(&link, (RUN, 60), 50, 10).unwrap();
    kms.kill();
    kms.restart();
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    // A block that was written ahead counts as spent.
    let still = left(&link, "").unwrap();
    assert!((39..=40).contains(&still), "{still}");
    assert_eq!(part(&link, (RUN, 60), 0, 10).unwrap(), first);
    for offset in [50, 20, 30, 40, 10] {
        part(&link, (RUN, 60), offset, 10).unwrap();
    }
    let changed = named(&link, (RUN, 60), 40, 10, "OTHER").unwrap_err();
    assert_eq!(reason(&changed), "INVALID");
    assert_eq!(left(&link, "").unwrap(), still);

    // The records say it: which part, whether again, a digest that links to nothing.
    let records = evaluations(&mut kms);
    let parts = |offset: u64, again: bool| {
        let ours = |record: &&Value| {
            let run = &record["unmapped"]["kms"]["run"];
            record["status_id"] == 1
                && (&run["id"], &run["expected"]) == (&RUN.into(), &60.into())
                && (&run["offset"], &run["again"]) == (&offset.into(), &again.into())
        };
        records.iter().filter(ours).count()
    };
    assert_eq!((parts(0, false), parts(0, true)), (1, 2));
    assert_eq!((parts(50, false), parts(50, true)), (1, 1));
    assert_eq!((parts(10, false), parts(10, true)), (1, 0));
    let digests: Vec<&str> = records
        .iter()
        .filter_map(|record| record["unmapped"]["kms"]["digest"].as_str())
        .collect();
    assert!(digests.iter().all(|digest| digest.len() == 64));
    let different: BTreeSet<&&str> = digests.iter().collect();
    assert_eq!(
        different.len(),
        digests.len(),
        "the same content twice links to nothing"
    );
    kms.cli("ada").run(["audit", "verify"]).succeeds();
}

/// Whoever dies in the middle, all of it is sent again, and costs what it cost.
#[test]
fn a_kill_in_the_middle_of_a_run_loses_and_doubles_no_charge() {
    const CALLS: u64 = 40;
    const EACH: u64 = 25;
    const ALL: u64 = CALLS * EACH;
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let stella = Gateway::connect(&mut kms, "stella");
    put(&stella, "each", ALL + 500).unwrap();
    let mut kills = 0;
    for enough in [0, 3, 9, 17, 30] {
        let callers = [0, 1].map(|_| Gateway::connect(&mut kms, "link-pseudonymiser"));
        let answers = AtomicUsize::new(0);
        let send = |by: &Gateway, from: u64| {
            for call in (from..CALLS).step_by(2) {
                if part(by, (RUN, ALL), call * EACH, EACH).is_err() {
                    return;
                }
                answers.fetch_add(1, Ordering::SeqCst);
            }
        };
        let send = &send;
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (from, by) in (0..).zip(&callers) {
                threads.push(scope.spawn(move || send(by, from)));
            }
            until("enough answers", || {
                let over = threads.iter().all(thread::ScopedJoinHandle::is_finished);
                (over || answers.load(Ordering::SeqCst) >= enough).then_some(())
            });
            kms.kill();
        });
        kills += 1;
        kms.restart();
    }
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    let mut made = Vec::new();
    for call in 0..CALLS {
        made.extend(part(&link, (RUN, ALL), call * EACH, EACH).unwrap());
    }
    // Each start counts what was written ahead of it, a thousandth of the limit at most.
    let still = left(&link, "").unwrap();
    assert!((500 - 2 * kills..=500).contains(&still), "{still}");
    let names: Vec<String> = (0..ALL).map(|n| format!("SYNTHETIC-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let stella = Gateway::connect(&mut kms, "stella");
    put(&stella, "each", 3 * ALL).unwrap();
    assert_eq!(link.pseudonymise(LINK, &names).unwrap(), made);
}

/// Nearly spent is told once, by a record that stands out and by a metric; so is what is refused.
#[test]
fn what_is_nearly_spent_is_told_once() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let stella = Gateway::connect(&mut kms, "stella");
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    put(&stella, "each", 50).unwrap();
    let near = |kms: &mut Deployment| kms.metrics().sum("kms_near_quota_total");
    crate::evaluate(&link, "a", 39).unwrap();
    assert!(near(&mut kms) < 0.5);
    for beginning in ["b", "c"] {
        crate::evaluate(&link, beginning, 2).unwrap();
        assert!((near(&mut kms) - 1.0).abs() < 0.5, "once");
    }
    crate::evaluate(&link, "d", 20).unwrap_err();
    let told: Vec<(Value, Value, Value)> = evaluations(&mut kms)
        .into_iter()
        .filter(|record| record["severity_id"] == 3)
        .map(|record| {
            let quota = &record["unmapped"]["kms"]["quota"][0];
            (
                quota["level"].clone(),
                quota["left"].clone(),
                record["status_id"].clone(),
            )
        })
        .collect();
    let row = |level: &str, left: u64, status: u64| (level.into(), left.into(), status.into());
    assert_eq!(told, [row("approached", 9, 1), row("exceeded", 7, 2)]);
    // A single identifier has no digest: it is one call's business, and nobody's to recognise.
    crate::evaluate(&link, "e", 1).unwrap();
    let records = evaluations(&mut kms);
    let digests: Vec<bool> = records
        .iter()
        .map(|record| record["unmapped"]["kms"]["digest"].is_string())
        .collect();
    assert_eq!(digests, [true, true, true, false, false]);
}
