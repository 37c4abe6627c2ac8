//! Client and server are killed in the middle of a translation: it goes on, and comes to the same.

use crate::bench::{Bench, LINK};
use softhsm_tests::wait::until;
use std::collections::BTreeSet;
use std::process::Stdio;

const WHO: &str = "link-pseudonymiser";

fn asked(table: &str) -> Vec<String> {
    let all = [
        "pseudonym",
        "renew",
        "translate",
        "patients.csv",
        "--column",
        "ID",
        "--edge",
        LINK,
        "--batch",
        "200",
        "--table",
        table,
    ];
    all.map(ToOwned::to_owned).to_vec()
}

/// The parts of a table, by number, rows and digest.
fn parts(bench: &Bench, table: &str) -> BTreeSet<String> {
    let all = bench.listed(table).into_keys();
    all.filter(|name| name.starts_with("part-")).collect()
}

#[test]
fn killed_in_the_middle_it_comes_to_the_same_table() {
    let mut bench = Bench::new();
    bench.patients(4_000);
    bench.map(WHO, LINK, "opaque", "patients.csv", "old.csv");
    bench.start(LINK, "recompute", "service/link-pseudonymiser");
    for (round, server_too) in [false, true].into_iter().enumerate() {
        let mut child = bench
            .cli(WHO)
            .command(asked("killed.table"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let enough = 3 * (round + 1);
        until("a few parts", || {
            assert!(child.try_wait().unwrap().is_none(), "it was over too soon");
            let table = bench.path("killed.table");
            (table.exists() && parts(&bench, "killed.table").len() >= enough).then_some(())
        });
        if server_too {
            bench.kms.kill();
            child.wait().unwrap();
            bench.kms.restart();
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    let before = parts(&bench, "killed.table").len();
    assert!((1..20).contains(&before), "{before} parts");
    bench.cli(WHO).run(asked("killed.table")).succeeds();
    bench.cli(WHO).run(asked("whole.table")).succeeds();
    assert_eq!(parts(&bench, "killed.table"), parts(&bench, "whole.table"));
    assert_eq!(parts(&bench, "whole.table").len(), 20);
    // Asked again it finds that everything is there; another file's table is refused.
    bench.cli(WHO).run(asked("whole.table")).succeeds();
    std::fs::copy(bench.path("old.csv"), bench.path("patients.csv")).unwrap();
    bench
        .cli(WHO)
        .run(asked("whole.table"))
        .fails(3)
        .saying("not made from");
}

#[test]
fn a_table_that_lacks_something_is_not_verified() {
    let bench = Bench::new();
    bench.patients(1_500);
    bench.map(WHO, LINK, "opaque", "patients.csv", "old.csv");
    bench.start(LINK, "recompute", "service/link-pseudonymiser");
    bench.cli(WHO).run(asked("link.table")).succeeds();
    let verify = ["patients.csv", "--column", "ID", "--table", "link.table"];
    let last = parts(&bench, "link.table").into_iter().next_back().unwrap();
    let last = bench.path("link.table").join(last);
    let kept = std::fs::read(&last).unwrap();
    std::fs::remove_file(&last).unwrap();
    bench
        .renew(WHO, "verify", LINK, &verify)
        .fails(3)
        .saying("more rows");
    std::fs::write(&last, kept).unwrap();
    // A part that says of itself what it is not.
    let name = last.file_name().unwrap().to_str().unwrap().to_owned();
    let (head, digest) = name.rsplit_once('-').unwrap();
    let other = format!("{head}-{}.kms", "0".repeat(digest.len() - 4));
    std::fs::rename(&last, last.with_file_name(&other)).unwrap();
    bench
        .renew(WHO, "verify", LINK, &verify)
        .fails(3)
        .saying("comes out otherwise");
    let apply = [
        "old.csv",
        "--column",
        "ID",
        "--table",
        "link.table",
        "-O",
        "new.csv",
    ];
    bench
        .renew("warehouse-etl", "apply", LINK, &apply)
        .fails(3)
        .saying("what its name says");
    std::fs::rename(last.with_file_name(&other), &last).unwrap();
    bench.renew(WHO, "verify", LINK, &verify).succeeds();
    assert!(!bench.path("new.csv").exists());
}
