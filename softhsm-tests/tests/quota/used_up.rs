//! A quota that is used up: what is told, what outlives the process, how to go on.

use crate::{LINK, evaluate, left, put};
use kms_proto::v1;
use softhsm_tests::{
    Deployment,
    gateway::{Gateway, identifier, reason},
    patients,
};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use v1::identifier::Identifier::Opaque;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn wait(status: &Status) -> Option<Duration> {
    let retry = status.get_error_details().retry_info().cloned();
    retry.and_then(|retry| retry.retry_delay)
}

#[test]
fn what_is_left_is_told_and_a_death_gives_nothing_back() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let stella = Gateway::connect(&mut kms, "stella");
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");

    // By default lookups pass, and nobody had to set anything.
    assert_eq!(left(&link, "").unwrap(), 20_000);
    evaluate(&link, "cohort", 10).unwrap();
    put(&stella, "each", 30).unwrap();
    assert_eq!(left(&link, "").unwrap(), 20, "what was spent stays spent");

    // Refused whole, with the true wait; nothing is charged, so all that is left can be had.
    let began = Instant::now();
    let refused = evaluate(&link, "whole", 21).unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused), "EXHAUSTED");
    assert!(
        refused.message().contains("20 are left"),
        "{}",
        refused.message()
    );
    let told = wait(&refused).expect("when it is free again");
    assert!(
        told <= DAY && told + began.elapsed() + Duration::from_secs(60) > DAY,
        "{told:?}"
    );
    // Whoever guesses fails, and pays for it.
    let wrong = vec![identifier(Opaque(" not an identifier".to_owned())); 5];
    let results = link.evaluate(LINK, wrong).unwrap();
    assert!(results.iter().all(Result::is_err));
    assert_eq!(left(&link, "").unwrap(), 15);
    evaluate(&link, "rest", 15).unwrap();
    let refused = evaluate(&link, "more", 1).unwrap_err();
    assert_eq!(reason(&refused), "EXHAUSTED");
    // What never fits is to be mended, not waited for.
    let never = evaluate(&link, "never", 31).unwrap_err();
    assert_eq!((reason(&never).as_str(), wait(&never)), ("INVALID", None));
    assert!(
        never.message().contains("make smaller calls"),
        "{}",
        never.message()
    );
    assert!(kms.metrics().sum("kms_over_quota_total") >= 3.0);
    let page = kms.metrics();
    assert!(
        !page.text().contains("link-pseudonymiser"),
        "no names as labels"
    );

    // SIGKILL: what was spent is spent.
    kms.kill();
    kms.restart();
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    assert_eq!(left(&link, "").unwrap(), 0);
    let refused = evaluate(&link, "dead", 1).unwrap_err();
    assert_eq!(reason(&refused), "EXHAUSTED");

    // The refusals are in the log, as refusals.
    let auditor = Gateway::connect(&mut kms, "ada");
    let records = auditor.records(v1::Log::Uses).unwrap();
    let refused = records.iter().filter(|r| r["status_code"] == "EXHAUSTED");
    assert_eq!(refused.count(), 3);
    kms.cli("ada").run(["audit", "verify"]).succeeds();
}

#[test]
fn who_sees_and_sets_what() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let stella = Gateway::connect(&mut kms, "stella");
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    evaluate(&link, "one", 7).unwrap();
    let who = "service/link-pseudonymiser";
    assert_eq!(left(&stella, who).unwrap(), 19_993);
    assert_eq!(left(&link, who).unwrap(), 19_993);
    // Another's is nobody's business but the steward's, and an edge of others is not there.
    let other = Gateway::connect(&mut kms, "project-01-pseudonymiser");
    for refused in [
        left(&other, who),
        left(&other, ""),
        left(&link, "service/lyon-etl"),
    ] {
        assert_eq!(reason(&refused.unwrap_err()), "REFUSED");
    }
    assert_eq!(reason(&put(&link, who, 1).unwrap_err()), "REFUSED");
    // One's own counts before that of each.
    put(&stella, "each", 100).unwrap();
    put(&stella, who, 10).unwrap();
    assert_eq!(left(&link, "").unwrap(), 3);
    // What is no quota is said to be none.
    for (who, why) in [
        ("service/nobody", "nobody of the name"),
        ("service/", "name"),
        ("each", "nothing would change"),
    ] {
        let refused = put(&stella, who, 100).unwrap_err();
        assert_eq!(reason(&refused), "INVALID", "{who}");
        assert!(refused.message().contains(why), "{}", refused.message());
    }
    let steward = kms.cli("stella");
    for (arguments, why) in [
        (
            [
                "--edge",
                "warehouse/link",
                "--each",
                "--limit",
                "bytes/day=9",
            ],
            "limits its items",
        ),
        (
            [
                "--key",
                "warehouse/edge-link",
                "--each",
                "--limit",
                "items/day=9",
            ],
            "set the quota on the edge",
        ),
        (
            [
                "--key",
                "ingest-lyon/import",
                "--each",
                "--limit",
                "items/day=9",
            ],
            "the key that receives them",
        ),
    ] {
        let set = ["quota", "set", "--reason", "a test"]
            .into_iter()
            .chain(arguments);
        steward.run(set).fails(3).saying(why);
    }
    // Taken back, what holds without it holds.
    let back = [
        "quota",
        "set",
        "--edge",
        "warehouse/link",
        "--default",
        "--reason",
        "over",
    ];
    steward
        .run(back.iter().copied().chain(["--who", who]))
        .succeeds();
    assert_eq!(left(&link, "").unwrap(), 93);
    steward
        .run(back.iter().copied().chain(["--each"]))
        .succeeds();
    let listed = steward.run(["quota", "list"]).succeeds();
    assert_eq!(listed.text().trim(), "ON  OF  AT MOST  SET  BY  REASON");
    let shown = kms.cli("link-pseudonymiser");
    let shown = shown
        .run(["quota", "show", "--edge", "warehouse/link"])
        .succeeds();
    let shown = shown.text();
    assert!(shown.contains("20,000 items a day"), "{shown}");
    assert!(shown.contains("19,993 left"), "{shown}");
}

/// On data-at-rest keys a quota is a courtesy: none unless set, and a restart forgives.
#[test]
fn a_courtesy_among_callers_of_a_key() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let key = "spaces/ingest-lyon/keys/object";
    etl.encrypt(key, b"before", &[]).unwrap();
    let steward = kms.cli("stella");
    let set = [
        "quota",
        "set",
        "--key",
        "ingest-lyon/object",
        "--each",
        "--reason",
        "fairness",
        "--limit",
        "requests/day=3",
        "--limit",
        "bytes/day=200",
    ];
    steward.run(set).succeeds();
    etl.encrypt(key, &[1; 60], &[]).unwrap();
    let refused = etl.encrypt(key, &[1; 141], &[]).unwrap_err();
    assert!(
        refused.message().contains("140 are left"),
        "{}",
        refused.message()
    );
    let sealed = etl.encrypt(key, b"x", &[]).unwrap();
    etl.encrypt(key, b"x", &[]).unwrap();
    let refused = etl.decrypt(key, &sealed, &[]).unwrap_err();
    assert!(
        refused.message().contains("requests a day"),
        "{}",
        refused.message()
    );
    // Others have theirs, and other keys none.
    let other = Gateway::connect(&mut kms, "lyon-ingest");
    other.encrypt(key, b"x", &[]).unwrap();
    etl.encrypt("spaces/ingest-lyon/keys/backup", &[1; 200], &[])
        .unwrap();
    kms.kill();
    kms.restart();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    etl.decrypt(key, &sealed, &[]).unwrap();
}

/// A file that is larger than what is left: what is finished is kept, evaluated once, and gone on
/// with when the quota allows.
#[test]
fn a_file_is_charged_whole_before_any_of_it_is_evaluated_and_once() {
    const LINES: u64 = 200;
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let directory = kms.directory().to_owned();
    let path = |name: &str| -> PathBuf { directory.join(name) };
    patients::write(fs::File::create(path("p.csv")).unwrap(), LINES, 7).unwrap();
    let stella = Gateway::connect(&mut kms, "stella");
    let gateway = Gateway::connect(&mut kms, "link-pseudonymiser");
    let link = kms.cli("link-pseudonymiser");
    let map = |out: &str| {
        let map = [
            "pseudonym",
            "map",
            "p.csv",
            "--column",
            "ID",
            "--batch",
            "50",
        ];
        let to = ["--edge", "warehouse/link", "-O", out];
        link.run(map.into_iter().chain(to))
    };
    let nothing = |out: &str| {
        for name in [out.to_owned(), format!("{out}.part")] {
            assert!(!path(&name).exists(), "{name}");
        }
    };

    // More than there ever may be, and more than is left: refused whole.
    put(&stella, "each", 150).unwrap();
    let told = map("one.csv").fails(3).saying("150");
    assert!(
        told.stderr
            .contains("a space-steward of spaces/warehouse can raise it"),
        "{told}"
    );
    nothing("one.csv");
    assert_eq!(left(&gateway, "").unwrap(), 150);
    put(&stella, "each", 300).unwrap();
    map("one.csv").succeeds();
    assert_eq!(left(&gateway, "").unwrap(), 300 - LINES);
    map("two.csv").fails(8).saying("all are free again in");
    nothing("two.csv");
    assert_eq!(left(&gateway, "").unwrap(), 300 - LINES);

    // The same again is charged again, and is the same.
    put(&stella, "each", 1000).unwrap();
    map("two.csv").succeeds();
    assert_eq!(left(&gateway, "").unwrap(), 1000 - 2 * LINES);
    assert_eq!(ids(&path("one.csv")).len(), usize::try_from(LINES).unwrap());
    assert_eq!(
        fs::read(path("one.csv")).unwrap(),
        fs::read(path("two.csv")).unwrap()
    );
}

/// The first column.
fn ids(path: &PathBuf) -> BTreeSet<String> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let records = reader.records().map(Result::unwrap);
    records.map(|record| record[0].to_owned()).collect()
}
