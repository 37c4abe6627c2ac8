//! What client and server take in a campaign, whatever the size of its file and of its table.

use crate::bench::{Bench, LINK};
use softhsm_tests::memory::{peak, peak_of};
use softhsm_tests::{patients, scaled};
use std::fs;
use std::process::Stdio;

const WHO: &str = "link-pseudonymiser";

/// The most that a command takes, in KiB.
fn taken(bench: &Bench, who: &str, arguments: &[&str]) -> u64 {
    let child = bench
        .cli(who)
        .command(arguments)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    peak_of(child)
}

#[test]
fn a_table_ten_times_as_long_takes_as_much_memory() {
    let mut bench = Bench::new();
    let rows = u64::try_from(scaled(200_000)).unwrap();
    let room = [
        "--each",
        "--limit",
        "items/day=9000000",
        "--reason",
        "a test",
    ];
    let set = ["quota", "set", "--edge", LINK];
    let set = bench.cli("stella").run(set.iter().chain(&room));
    set.succeeds();
    for (name, rows) in [("small", rows), ("large", 10 * rows)] {
        let file = fs::File::create(bench.path(&format!("{name}.csv"))).unwrap();
        patients::write(file, rows, 3).unwrap();
        let (from, to) = (format!("{name}.csv"), format!("{name}.old.csv"));
        bench.map(WHO, LINK, "opaque", &from, &to);
    }
    bench.starts((LINK, "recompute", "service/link-pseudonymiser"), 11 * rows);
    let mut measured = Vec::new();
    for name in ["small", "large"] {
        let [file, table, old, new] =
            ["csv", "table", "old.csv", "new.csv"].map(|end| format!("{name}.{end}"));
        let common = ["--edge", LINK, "--table", &table, "--batch", "1000"];
        let translate = ["pseudonym", "renew", "translate", &file, "--column", "ID"];
        let translate = taken(&bench, WHO, &[&translate[..], &common].concat());
        let server = peak(bench.kms.server().pid()).unwrap();
        // One MiB holds some 25,000 pseudonyms: the large table is read many times.
        let apply = [
            "pseudonym",
            "renew",
            "apply",
            &old,
            "--column",
            "ID",
            "--memory",
            "1",
        ];
        let to = ["--table", &table, "-O", &new];
        let apply = taken(&bench, "warehouse-etl", &[&apply[..], &to].concat());
        println!(
            "{name}: translate {translate} KiB, apply {apply} KiB, server {server} KiB at most"
        );
        measured.push([translate, apply, server]);
    }
    for (small, large) in measured[0].iter().zip(&measured[1]) {
        assert!(*large < small + small / 4, "{small}, then {large} KiB");
    }
    // The larger file begins with the smaller one, and each has one new pseudonym.
    let [small, large] = ["small.new.csv", "large.new.csv"].map(|name| bench.column(name, 0));
    assert!(small.len() as u64 == rows && large.len() as u64 == 10 * rows);
    assert!(large.starts_with(&small));
    assert!(large.iter().all(|new| new.starts_with("h1-whlink-v2-1")));
    let different: std::collections::BTreeSet<&String> = large.iter().collect();
    assert_eq!(different.len(), large.len());
}
