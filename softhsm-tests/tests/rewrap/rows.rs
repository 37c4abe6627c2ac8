//! JSON lines and CSV.

use crate::bench::{Bench, SHORT, context};
use serde_json::{Value, json};
use std::fs;

/// A line for each data key, and what of it must stay as it is.
fn lines(wrapped: &[String]) -> String {
    let line = |(number, text): (usize, &String)| {
        let context = json!(context(number));
        format!("{{\"id\": {number}.50, \"dek\":\"{text}\", \"context\":{context}}}\n")
    };
    wrapped.iter().enumerate().map(line).collect()
}

fn deks(text: &str) -> Vec<String> {
    let dek = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["dek"].as_str().unwrap().to_owned()
    };
    text.lines().map(dek).collect()
}

const JSONL: [&str; 16] = [
    "rewrap",
    "--jsonl",
    "keys.jsonl",
    "-O",
    "new.jsonl",
    "--key",
    SHORT,
    "--field",
    "dek",
    "--context-field",
    "context",
    "--batch",
    "10",
    "--parallel",
    "2",
    "-o",
];

fn jsonl() -> Vec<&'static str> {
    [&JSONL[..], &["json"]].concat()
}

#[test]
fn killed_again_and_again_it_finishes_and_moves_each_once() {
    let mut bench = Bench::new();
    let count = 4_000;
    let wrapped = bench.wrapped(count);
    let text = lines(&wrapped);
    bench.write("keys.jsonl", &text);
    bench.rotate();
    let mut kills = 0;
    for _ in 0..4 {
        let state = bench.path("new.jsonl.part.state");
        let before = fs::read(&state).ok();
        // It got further than it was, and is killed wherever it is then.
        let further = |_: &std::path::Path| fs::read(&state).ok() != before;
        if bench.killed("olivia", &jsonl(), further) {
            break;
        }
        kills += 1;
        assert!(!bench.path("new.jsonl").exists(), "half an output");
    }
    assert!(kills >= 2, "it was over before it could be killed");
    let report = bench.cli("olivia").run(jsonl()).succeeds().json();
    assert_eq!(report["items"], count);
    let moved = json!([{ "from": Bench::version(1), "to": Bench::version(2), "count": count }]);
    assert_eq!(report["moved"], moved);
    let new = deks(&bench.read("new.jsonl"));
    assert_eq!(bench.opened(&new), [(Bench::version(2), count)].into());
    // Everything but the data key is as it was, byte by byte.
    let mut back = bench.read("new.jsonl");
    for (new, old) in new.iter().zip(&wrapped) {
        back = back.replacen(new, old, 1);
    }
    assert!(back == text);
    for gone in [
        "new.jsonl.part",
        "new.jsonl.part.state",
        "new.jsonl.failures",
    ] {
        assert!(!bench.path(gone).exists(), "{gone} is left");
    }
    // What a kill makes it do twice is what was under way, and not more.
    let again = kills * (16 + 4) * 10;
    let (_, processed) = bench.used(1);
    let processed = usize::try_from(processed).unwrap();
    assert!((count..=count + again).contains(&processed), "{processed}");
}

#[test]
fn what_is_current_is_not_sent_and_stays_as_it_is() {
    let mut bench = Bench::new();
    let wrapped = bench.wrapped(500);
    bench.write("keys.jsonl", &lines(&wrapped));
    let report = bench.cli("lyon-etl").run(jsonl()).succeeds().json();
    assert_eq!(report["current"][0]["count"], 500);
    assert_eq!(bench.read("new.jsonl"), bench.read("keys.jsonl"));
    // One item told which version is current.
    let (protected, processed) = bench.used(1);
    assert!((501..=503).contains(&protected), "{protected}");
    assert!((1..=3).contains(&processed), "{processed}");
}

#[test]
fn what_fails_stays_as_it_is_and_is_told_without_content() {
    let mut bench = Bench::new();
    let mut wrapped = bench.wrapped(3);
    bench.rotate();
    // A ciphertext of a version that was never made, one with another's context, and noise.
    let good = lines(&wrapped);
    wrapped.swap(0, 1);
    let swapped = lines(&wrapped[..1]);
    let text = format!("{good}{swapped}secret\n{{\"dek\":\"c2VjcmV0\"}}\n\n");
    bench.write("keys.jsonl", &text);
    let told = bench.cli("olivia").run(jsonl()).fails(3);
    let told = told.saying("3 of 6 items were not re-wrapped");
    let report = told.json();
    assert_eq!(report["moved"][0]["count"], 3);
    let left = json!([{ "version": Bench::version(1), "count": 1 }]);
    assert_eq!(report["failed"], left);
    assert_eq!(report["unreadable"], 2);
    assert_eq!(report["oldVersions"][0]["verdict"], "needed");
    assert_eq!(report["oldVersions"][0]["left"], 1);
    let new = bench.read("new.jsonl");
    let tail: Vec<&str> = new.lines().skip(3).collect();
    assert_eq!(tail, text.lines().skip(3).collect::<Vec<_>>());
    let failures = bench.read("new.jsonl.failures");
    let failures: Vec<Value> = failures
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let lines: Vec<&Value> = failures.iter().map(|failure| &failure["line"]).collect();
    assert_eq!(lines, [4, 5, 6]);
    assert_eq!(failures[0]["version"], Bench::version(1));
    let all = format!("{failures:?}{}", told.stderr);
    assert!(
        !all.contains("secret") && !all.contains("c2VjcmV0"),
        "{all}"
    );
}

#[test]
fn a_column_of_a_csv_file_is_moved_and_a_server_that_goes_away_is_waited_for() {
    let mut bench = Bench::new();
    let wrapped = bench.wrapped(3_000);
    let mut text = "id;wrapped_key;context;note\n".to_owned();
    for (number, dek) in wrapped.iter().enumerate() {
        let context = json!(context(number)).to_string().replace('"', "\"\"");
        text.push_str(&format!("{number};{dek};\"{context}\";\"a;b\"\n"));
    }
    bench.write("keys.csv", &text);
    bench.rotate();
    let arguments = [
        "--timeout",
        "2",
        "rewrap",
        "--csv",
        "keys.csv",
        "--column",
        "wrapped_key",
        "--delimiter",
        ";",
        "--context-field",
        "context",
        "-O",
        "new.csv",
        "--key",
        SHORT,
        "--batch",
        "5",
        "--parallel",
        "1",
    ];
    let mut child = bench.cli("olivia").command(arguments);
    let child = child
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let state = bench.path("new.csv.part.state");
    softhsm_tests::wait::until("something to be done", || state.exists().then_some(()));
    bench.kms.kill();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(8), "{said}");
    assert!(said.contains("run the same command again"), "{said}");
    bench.kms.restart();

    // Another file under the same name is not gone on with.
    bench.write("keys.csv", &text.replacen("a;b", "a;c", 1));
    let other = bench.cli("olivia").run(arguments).fails(3);
    other.saying("from another file");
    bench.write("keys.csv", &text);
    let told = bench.cli("olivia").run(arguments).succeeds();
    assert!(told.stderr.contains("going on where"), "{told}");
    assert!(told.text().contains("3,000"), "{told}");
    let new = bench.read("new.csv");
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b';')
        .from_reader(new.as_bytes());
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert!(records.iter().all(|record| &record[3] == "a;b"));
    let new: Vec<String> = records.iter().map(|record| record[1].to_owned()).collect();
    bench.etl = softhsm_tests::gateway::Gateway::connect(&mut bench.kms, "lyon-etl");
    assert_eq!(bench.opened(&new), [(Bench::version(2), 3_000)].into());
    // There already, and not replaced without being told to.
    bench
        .cli("olivia")
        .run(arguments)
        .fails(11)
        .saying("--force");
}

#[test]
fn the_report_says_which_old_version_can_go() {
    let mut bench = Bench::new();
    let wrapped = bench.wrapped(50);
    bench.write("keys.jsonl", &lines(&wrapped));
    bench.rotate();
    let report = bench.cli("olivia").run(jsonl()).succeeds().json();
    let first = &report["oldVersions"][0];
    assert_eq!(first["version"], Bench::version(1));
    assert_eq!(first["verdict"], "in-use", "{first}");
    assert!(
        first["reason"]
            .as_str()
            .unwrap()
            .contains("service/lyon-etl")
    );
    assert!(first["lastUseTime"].is_string());

    // Nobody but her ever used version 2.
    bench.rotate();
    fs::rename(bench.path("new.jsonl"), bench.path("keys.jsonl")).unwrap();
    let report = bench.cli("olivia").run(jsonl()).succeeds().json();
    let old = report["oldVersions"].as_array().unwrap();
    let verdict = |version: u32| {
        let version = Bench::version(version);
        let found = old.iter().find(|old| old["version"] == version);
        found.unwrap()["verdict"].clone()
    };
    assert_eq!(verdict(1), "in-use");
    assert_eq!(verdict(2), "can-go");

    // Whoever does not see the inventory is told so, and moves all the same.
    bench.rotate();
    fs::rename(bench.path("new.jsonl"), bench.path("keys.jsonl")).unwrap();
    let report = bench.cli("lyon-etl").run(jsonl()).succeeds().json();
    assert_eq!(report["oldVersions"][0]["verdict"], "not-told");
    assert_eq!(report["moved"][0]["count"], 50);
}
