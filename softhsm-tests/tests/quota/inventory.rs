//! Budgets that the inventory declares.

use crate::{LINK, evaluate, left};
use softhsm_tests::{
    Deployment,
    deployment::SMALL_INVENTORY,
    gateway::{Gateway, reason},
};
use std::fs;

const BUDGETS: &str = "\
quotas:
  - {edge: warehouse/link, who: each, limits: {items/day: 30}, reason: a cohort}
  - {edge: warehouse/link, who: service/link-pseudonymiser, limits: {items/year: 50}, reason: more}
  - {key: ingest-lyon/object, who: each, limits: {requests/day: 3}, reason: fairness}
";

fn write(kms: &Deployment, name: &str, text: &str) {
    fs::write(kms.directory().join(name), text).unwrap();
}

#[test]
fn budgets_are_as_declared_and_nothing_is_taken_back_by_omission() {
    let mut kms = Deployment::emc2().start();
    let steward = kms.cli("stella");
    let whole = format!("{SMALL_INVENTORY}{BUDGETS}");
    write(&kms, "whole.yaml", &whole);
    let apply = |file: &str| steward.run(["inventory", "apply", "-f", file]).succeeds();
    apply("whole.yaml");
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    assert_eq!(left(&link, "").unwrap(), 50);
    evaluate(&link, "cohort", 20).unwrap();
    let again = apply("whole.yaml").text();
    assert!(again.contains("nothing to do"), "{again}");

    // What is written out is what was declared.
    let exported = steward.run(["inventory", "export"]).succeeds().text();
    write(&kms, "exported.yaml", &exported);
    let plan = ["inventory", "plan", "-f", "exported.yaml"];
    steward.run(plan).succeeds();
    let again = apply("exported.yaml").text();
    assert!(again.contains("nothing to do"), "{again}");

    // A plan is refused once somebody has decided otherwise.
    write(
        &kms,
        "more.yaml",
        &whole.replace("items/year: 50", "items/year: 70"),
    );
    let kept = ["inventory", "plan", "-f", "more.yaml", "--out", "plan.json"];
    let shown = steward.run(kept).succeeds().text();
    assert!(shown.contains("items/year 50 -> items/year 70"), "{shown}");
    let set = ["quota", "set", "--edge", "warehouse/link", "--who"];
    let by_hand = [
        "service/link-pseudonymiser",
        "--limit",
        "items/day=60",
        "--reason",
        "by hand",
    ];
    steward.run(set.into_iter().chain(by_hand)).succeeds();
    let late = ["inventory", "apply", "plan.json"];
    steward.run(late).fails(6).saying("plan again");

    // Left out it is kept; what was spent stays spent.
    write(&kms, "small.yaml", SMALL_INVENTORY);
    let told = steward.run(["inventory", "plan", "-f", "small.yaml"]);
    let told = told.succeeds().text();
    assert!(told.contains("edge warehouse/link of each"), "{told}");
    apply("small.yaml");
    assert_eq!(left(&link, "").unwrap(), 60);
    apply("whole.yaml");
    assert_eq!(left(&link, "").unwrap(), 30, "what was spent stays spent");
    evaluate(&link, "all", 30).unwrap();
    let over = evaluate(&link, "over", 1).unwrap_err();
    assert_eq!(reason(&over), "EXHAUSTED");
    assert!(over.message().contains("in 365 days"), "{}", over.message());
}

/// In production an edge and its budget both take an approval, and the budget waits for its edge.
#[test]
fn a_budget_waits_behind_its_edge() {
    let mut kms = Deployment::emc2().production().start();
    let steward = kms.cli("stella");
    let small = "\
spaces: [{name: warehouse, kind: warehouse}]
domains: [{name: link}]
edges: [{target: warehouse, domain: link, code: whlink, input: opaque}]
quotas: [{edge: warehouse/link, who: each, limits: {items/day: 7}, reason: a trial}]
";
    write(&kms, "inventory.yaml", small);
    let apply = ["inventory", "apply", "-f", "inventory.yaml"];
    let first = steward.run(apply).fails(12);
    first.saying("1 wait for others, and 1 behind them");
    let approve = |kms: &Deployment| {
        let waiting = kms.cli("carl").run(["proposal", "list", "-o", "json"]);
        let waiting = waiting.succeeds().json();
        let name = waiting["proposals"][0]["name"].as_str().unwrap().to_owned();
        let id = name.strip_prefix("proposals/").unwrap();
        kms.cli("carl")
            .run(["proposal", "approve", id, "--reason", "agreed", "--yes"])
            .succeeds();
    };
    approve(&kms);
    let second = steward.run(apply).fails(12);
    second.saying("RaiseQuota");
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    assert_eq!(left(&link, "").unwrap(), 20_000, "it waits");
    approve(&kms);
    steward.run(apply).succeeds();
    assert_eq!(left(&link, "").unwrap(), 7);
    let done = steward.run(apply).succeeds().text();
    assert!(done.contains("nothing to do"), "{done}");
    assert_eq!(reason(&evaluate(&link, "eight", 8).unwrap_err()), "INVALID");
    evaluate(&link, "seven", 7).unwrap();
    let shown = link.pseudonymise(LINK, &["one-more"]).unwrap_err();
    assert_eq!(reason(&shown), "EXHAUSTED");
}
