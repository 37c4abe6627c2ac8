//! What client and server take in a campaign, whatever the size of its file and of its table.

use crate::bench::{Bench, LINK};
use kms_core::pseudonym::Pseudonym;
use sha2::{Digest, Sha256};
use softhsm_tests::memory::{peak, peak_of};
use softhsm_tests::scaled;
use std::fs;
use std::io::Write;
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

/// So many pseudonyms, as the edge might have made them: in a layered campaign nobody asks from what.
fn pseudonyms(bench: &Bench, name: &str, rows: u32) {
    let file = fs::File::create(bench.path(name)).unwrap();
    let mut file = std::io::BufWriter::new(file);
    writeln!(file, "ID").unwrap();
    for number in 0..rows {
        let digest = Sha256::digest(number.to_be_bytes());
        let value = *digest.first_chunk().unwrap();
        let made = Pseudonym {
            code: "whlink".parse().unwrap(),
            version: 1,
            value,
        };
        writeln!(file, "{}", made.to_text().unwrap()).unwrap();
    }
    file.flush().unwrap();
}

#[test]
fn a_table_ten_times_as_long_takes_as_much_memory() {
    let mut bench = Bench::new();
    let rows = u32::try_from(scaled(200_000)).unwrap();
    pseudonyms(&bench, "small.csv", rows);
    pseudonyms(&bench, "large.csv", 10 * rows);
    let expected = 11 * u64::from(rows);
    bench.starts((LINK, "layered", "service/link-pseudonymiser"), expected);
    let mut measured = Vec::new();
    for name in ["small", "large"] {
        let [file, table, new] = ["csv", "table", "new.csv"].map(|end| format!("{name}.{end}"));
        let common = ["--edge", LINK, "--table", &table, "--batch", "4000"];
        let translate = ["pseudonym", "renew", "translate", &file, "--column", "ID"];
        let translate = taken(&bench, WHO, &[&translate[..], &common].concat());
        let server = peak(bench.kms.server().pid()).unwrap();
        // Two MiB hold some 50,000 pseudonyms: the large table is read several times.
        let apply = [
            "pseudonym",
            "renew",
            "apply",
            &file,
            "--column",
            "ID",
            "--memory",
            "2",
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
    assert!(small.len() == rows as usize && large.len() == 10 * rows as usize);
    assert!(large.starts_with(&small));
    assert!(large.iter().all(|new| new.starts_with("h1-whlink-v2-1")));
    let different: std::collections::BTreeSet<&String> = large.iter().collect();
    assert_eq!(different.len(), large.len());
}
