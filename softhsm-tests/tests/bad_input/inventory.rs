use softhsm_tests::{Deployment, deployment::SMALL_INVENTORY};
use std::fs;

pub(super) fn an_inventory_with_a_fault_is_refused_before_anything_is_made(kms: &Deployment) {
    let steward = kms.cli("stella");
    let lines = SMALL_INVENTORY.trim_end();
    let changed = |from: &str, to: &str| {
        assert!(lines.contains(from), "{from}");
        lines.replace(from, to)
    };
    let more = |line: &str| format!("{lines}\n  - {line}\n");
    for (yaml, says) in [
        (changed("title: Objects}", "titel: Objects}"), "titel"),
        (changed("keys:", "kyes:"), "kyes"),
        (
            more("{name: ingest-lyon/object, class: data-at-rest}"),
            "ingest-lyon/object",
        ),
        (
            more("{name: ingest-lyon/other, name: ingest-lyon/third, class: data-at-rest}"),
            "name",
        ),
        (
            more("{name: ingest-lyon/other, class: data-at-sea}"),
            "data-at-sea",
        ),
        (
            more("{name: ingest-lion/other, class: data-at-rest}"),
            "ingest-lion",
        ),
        (more("{name: other, class: data-at-rest}"), "other"),
        (
            more("{name: ingest-lyon/Other, class: data-at-rest}"),
            "Other",
        ),
        (
            more("{name: warehouse/edge-link, class: data-at-rest}"),
            "edge",
        ),
        (changed("code: p01", "code: whlink"), "whlink"),
        (changed("code: p01", "code: P01!"), "P01!"),
        (changed("domain: link, code", "domain: lonk, code"), "lonk"),
        (
            changed("target: project-01", "target: project-99"),
            "project-99",
        ),
        (changed("input: pseudonym", "input: opaque"), "input"),
        (changed("kind: ingest", "kind: injest"), "injest"),
        (lines.replace("spaces:", "spaces: ["), "line"),
    ] {
        fs::write(kms.directory().join("bad.yaml"), &yaml).unwrap();
        for verb in ["plan", "apply"] {
            let refused = steward.run(["inventory", verb, "-f", "bad.yaml"]);
            assert_eq!(refused.code(), Some(3), "{verb} {says:?}: {refused}");
            assert!(refused.stderr.contains(says), "{says:?}: {refused}");
        }
    }
    let spaces = steward
        .run(["space", "list", "-o", "json"])
        .succeeds()
        .json();
    let names: Vec<&str> = spaces["spaces"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|space| space["name"].as_str())
        .collect();
    assert_eq!(names, ["spaces/kms"], "only what init makes");
}

pub(super) fn what_can_never_change_is_named_and_a_stale_plan_is_refused(kms: &Deployment) {
    let steward = kms.cli("stella");
    let write = |name: &str, text: &str| fs::write(kms.directory().join(name), text).unwrap();

    write(
        "other.yaml",
        &SMALL_INVENTORY.replace(
            "backup, class: data-at-rest",
            "backup, class: import-wrapping",
        ),
    );
    steward
        .run(["inventory", "plan", "-f", "other.yaml"])
        .fails(3)
        .saying("ingest-lyon/backup")
        .saying("data-at-rest")
        .saying("import-wrapping");

    // Twice the same changes nothing; an export plans to nothing.
    steward
        .run(["inventory", "apply", "-f", "small.yaml"])
        .succeeds();
    let exported = steward.run(["inventory", "export"]).succeeds().text();
    write("exported.yaml", &exported);
    let plan = steward
        .run(["inventory", "plan", "-f", "exported.yaml"])
        .succeeds()
        .text();
    assert!(
        plan.contains("0 to make, 0 to change, 0 not declared"),
        "{plan}"
    );

    // Left out is kept.
    write(
        "less.yaml",
        &SMALL_INVENTORY.replace(
            "  - {name: warehouse/object, class: data-at-rest, title: Objects}\n",
            "",
        ),
    );
    steward
        .run(["inventory", "apply", "-f", "less.yaml"])
        .succeeds();
    steward.run(["key", "show", "warehouse/object"]).succeeds();

    write(
        "new.yaml",
        &SMALL_INVENTORY.replace("title: Backups", "title: All backups"),
    );
    steward
        .run(["inventory", "plan", "-f", "new.yaml", "--out", "plan.json"])
        .succeeds();
    let by_hand = ["key", "update", "ingest-lyon/backup", "--title", "By hand"];
    steward.run(by_hand).succeeds();
    steward
        .run(["inventory", "apply", "plan.json"])
        .fails(6)
        .saying("plan again");
    let key = steward
        .run(["key", "show", "ingest-lyon/backup", "-o", "json"])
        .succeeds()
        .json();
    assert_eq!(key["title"], "By hand");
}
