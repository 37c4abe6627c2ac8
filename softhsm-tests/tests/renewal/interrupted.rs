//! Client and server are killed in the middle of a translation: it goes on, and comes to the same.

use crate::bench::{Bench, LINK};
use softhsm_tests::wait::until;
use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Stdio};

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

/// A translation in the background, of which so many parts are sealed.
fn half_way(bench: &Bench, table: &str, enough: usize) -> Child {
    let mut child = bench
        .cli(WHO)
        .command(asked(table))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("a few parts", || {
        assert!(child.try_wait().unwrap().is_none(), "it was over too soon");
        (bench.path(table).exists() && parts(bench, table).len() >= enough).then_some(())
    });
    child
}

#[test]
fn killed_in_the_middle_it_comes_to_the_same_table_and_is_counted_once() {
    let mut bench = Bench::staying();
    bench.patients(4_000);
    bench.map(WHO, LINK, "opaque", "patients.csv", "old.csv");
    // As much as two tables take.
    bench.starts((LINK, "recompute", "service/link-pseudonymiser"), 8_000);
    for round in 1..3 {
        let mut child = half_way(&bench, "killed.table", 3 * round);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let before = parts(&bench, "killed.table");
    assert!((6..20).contains(&before.len()), "{} parts", before.len());
    // The server dies under it too: what is under way is asked again of the next one.
    let child = half_way(&bench, "killed.table", before.len() + 2);
    bench.kms.kill();
    bench.kms.restart();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    bench.cli(WHO).run(asked("whole.table")).succeeds();
    // Their names have the digests of what is in them.
    let whole = parts(&bench, "whole.table");
    assert_eq!(parts(&bench, "killed.table"), whole);
    assert!(whole.len() == 20 && whole.is_superset(&before));
    for (table, out) in [("killed.table", "killed.csv"), ("whole.table", "whole.csv")] {
        let apply = ["old.csv", "--column", "ID", "--table", table, "-O", out];
        bench
            .renew("warehouse-etl", "apply", LINK, &apply)
            .succeeds();
    }
    let [killed, whole] = ["killed.csv", "whole.csv"].map(|n| fs::read(bench.path(n)).unwrap());
    assert!(killed == whole);
    // Asked again it finds that everything is there. Twice 4,000 rows are all that it was started
    // for: what was sent again was not counted again, and there is no room for a third table.
    bench.cli(WHO).run(asked("whole.table")).succeeds();
    bench
        .cli(WHO)
        .run(asked("third.table"))
        .fails(7)
        .saying("started for 8,000 translations");
    // Another file's table is refused.
    fs::copy(bench.path("old.csv"), bench.path("patients.csv")).unwrap();
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
    let kept = fs::read(&last).unwrap();
    fs::remove_file(&last).unwrap();
    bench
        .renew(WHO, "verify", LINK, &verify)
        .fails(3)
        .saying("more rows");
    fs::write(&last, kept).unwrap();
    // A part that says of itself what it is not.
    let name = last.file_name().unwrap().to_str().unwrap().to_owned();
    let (head, digest) = name.rsplit_once('-').unwrap();
    let other = format!("{head}-{}.kms", "0".repeat(digest.len() - 4));
    fs::rename(&last, last.with_file_name(&other)).unwrap();
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
    fs::rename(last.with_file_name(&other), &last).unwrap();
    bench.renew(WHO, "verify", LINK, &verify).succeeds();
    assert!(!bench.path("new.csv").exists());
}
