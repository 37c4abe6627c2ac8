//! What a campaign was started for: translated as runs, charged once, to the campaign and to no quota.

use crate::bench::{Bench, LINK};
use kms_proto::v1;
use serde_json::Value;
use softhsm_tests::Deployment;
use softhsm_tests::gateway::{Gateway, reason};
use std::collections::BTreeSet;
use tonic::Status;

const EDGE: &str = "spaces/warehouse/edges/link";
const WHO: &str = "link-pseudonymiser";
const RUN: &str = "6f1c2a5e-52d8-4f0e-9d3a-2f2f0c7b9e11";
const OTHER: &str = "16fd2706-8baf-433b-82eb-8c7fada847da";

type Pairs = Vec<(String, String)>;

fn names(beginning: &str, numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| format!("{beginning}-{n}")).collect()
}

/// So many identifiers of a run, from this one on.
fn part(
    by: &Gateway,
    (id, expected): (&str, u64),
    (offset, count): (u64, u64),
    beginning: &str,
) -> Result<Pairs, Status> {
    let batch = v1::Batch {
        id: id.to_owned(),
        expected,
        offset,
    };
    by.translate(EDGE, &names(beginning, offset..offset + count), Some(batch))
}

fn translations(kms: &mut Deployment) -> Vec<Value> {
    let records = Gateway::connect(kms, "ada").records(v1::Log::Uses).unwrap();
    let one = |record: &Value| record["api"]["operation"] == "Translate";
    records.into_iter().filter(one).collect()
}

#[test]
fn a_campaign_translates_what_it_was_started_for_and_no_quota_is_charged() {
    let mut bench = Bench::new();
    // An edge that hardly anybody may evaluate.
    let quota = [
        "quota",
        "set",
        "--edge",
        LINK,
        "--each",
        "--limit",
        "items/day=5",
    ];
    let quota = quota.iter().chain(&["--reason", "a test"]);
    bench.cli("stella").run(quota).succeeds();
    let campaign = bench.starts((LINK, "recompute", "service/link-pseudonymiser"), 100);
    assert_eq!(campaign["expected"], "100");
    let by = Gateway::connect(&mut bench.kms, WHO);
    let whole = (RUN, 60);

    // More than it was started for is refused whole, before anything is translated.
    let never = part(&by, (OTHER, 101), (0, 10), "P").unwrap_err();
    assert_eq!(reason(&never), "KEY_STATE");
    let words = "started for 100 translations, 100 are left, and this run has 101";
    assert!(never.message().contains(words), "{}", never.message());
    let first = part(&by, whole, (0, 10), "P").unwrap();
    let over = part(&by, (OTHER, 41), (0, 1), "Q").unwrap_err();
    assert!(over.message().contains("40 are left"), "{}", over.message());
    let shown = bench.renew("olivia", "show", LINK, &[]).succeeds().json();
    assert_eq!(shown["translated"], "10", "{shown}");

    // What was translated is translated again, and costs nothing; another content, place or number
    // under the same id is refused.
    assert_eq!(part(&by, whole, (0, 10), "P").unwrap(), first);
    for refused in [
        part(&by, whole, (0, 10), "OTHER"),
        part(&by, whole, (0, 9), "P"),
        part(&by, whole, (9, 2), "P"),
        part(&by, (RUN, 61), (10, 10), "P"),
        part(&by, whole, (55, 6), "P"),
    ] {
        assert_eq!(reason(&refused.unwrap_err()), "INVALID");
    }

    // After a death too; a call that is of no run is charged by itself.
    bench.crash();
    let by = Gateway::connect(&mut bench.kms, WHO);
    assert_eq!(part(&by, whole, (0, 10), "P").unwrap(), first);
    for offset in [50, 20, 30, 40, 10] {
        part(&by, whole, (offset, 10), "P").unwrap();
    }
    by.translate(EDGE, &names("ALONE", 0..30), None).unwrap();
    let over = by.translate(EDGE, &names("ALONE", 0..11), None);
    assert_eq!(reason(&over.unwrap_err()), "KEY_STATE");
    // All of it was the campaign's: the edge's quota has what it had.
    let shown = ["quota", "show", "--edge", LINK, "-o", "json"];
    let shown = bench.cli(WHO).run(shown).succeeds().json();
    assert_eq!(shown["limits"][0]["left"], "5", "{shown}");

    // The records say it: which part, whether again, a digest that links to nothing.
    let records = translations(&mut bench.kms);
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
    assert_eq!((parts(50, false), parts(50, true)), (1, 0));
    let digests: Vec<&str> = records
        .iter()
        .filter_map(|record| record["unmapped"]["kms"]["digest"].as_str())
        .collect();
    let different: BTreeSet<&&str> = digests.iter().collect();
    assert!(digests.len() >= 9 && different.len() == digests.len());
    assert!(digests.iter().all(|digest| digest.len() == 64));
    bench.cli("ada").run(["audit", "verify"]).succeeds();
}
