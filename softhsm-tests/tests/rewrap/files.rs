//! Sealed files, in their place.

use crate::bench::{Bench, SHORT};
use kms_client::{HEADER_LENGTH, SealedFile};
use kms_core::envelope::Envelope;
use std::fs;
use std::path::{Path, PathBuf};

/// The version that wraps a sealed file's data key.
fn version(path: &Path) -> u32 {
    let file = SealedFile::open(path).unwrap();
    assert!(file.is_whole());
    Envelope::parse(file.wrapped()).unwrap().id.version
}

#[test]
fn killed_in_the_middle_every_file_opens_and_another_run_finishes() {
    let mut bench = Bench::new();
    bench.write("visits", "content");
    bench
        .cli("lyon-etl")
        .run(["encrypt", "visits", "--key", SHORT, "--context", "a=b"])
        .succeeds();
    let sealed = fs::read(bench.path("visits.kms")).unwrap();
    let count = 3_000;
    let paths: Vec<PathBuf> = (0..count)
        .map(|number| bench.path(&format!("visits-{number}.kms")))
        .collect();
    for path in &paths {
        fs::write(path, &sealed).unwrap();
    }
    let list: String = paths
        .iter()
        .map(|path| format!("{}\n", path.display()))
        .collect();
    bench.write("list", &list);
    bench.rotate();
    let arguments = [
        "rewrap",
        "--files-from",
        "list",
        "--context",
        "a=b",
        "--parallel",
        "2",
        "-o",
        "json",
    ];
    let begun = |_: &Path| fs::read(&paths[100]).is_ok_and(|now| now != sealed);
    let ended = bench.killed("olivia", &arguments, begun);
    assert!(!ended, "it was over before it could be killed");
    let old = paths
        .iter()
        .filter(|path| fs::read(path).unwrap() == sealed);
    assert!(old.count() > 0, "nothing is left for another run");
    let report = bench.cli("olivia").run(arguments).succeeds().json();
    assert_eq!(report["items"], count);
    let there = report["current"][0]["count"].as_u64().unwrap();
    let moved = report["moved"][0]["count"].as_u64().unwrap();
    assert!(there >= 50 && moved > 0, "{report}");
    for path in &paths {
        assert_eq!(version(path), 2, "{}", path.display());
        let now = fs::read(path).unwrap();
        assert!(
            now[HEADER_LENGTH..] == sealed[HEADER_LENGTH..],
            "its content changed"
        );
    }
    let opened = paths[count - 1].with_extension("");
    bench
        .cli("lyon-etl")
        .run([
            "decrypt",
            paths[count - 1].to_str().unwrap(),
            "--context",
            "a=b",
        ])
        .succeeds();
    assert_eq!(fs::read_to_string(opened).unwrap(), "content");
}

#[test]
fn a_file_that_fails_is_told_and_the_others_are_moved() {
    let mut bench = Bench::new();
    bench.write("visits", "content");
    let etl = bench.cli("lyon-etl");
    etl.run(["encrypt", "visits", "--key", SHORT]).succeeds();
    fs::copy(bench.path("visits.kms"), bench.path("more.kms")).unwrap();
    bench.write("foreign.kms", "something else");
    bench.rotate();
    let told = bench
        .cli("olivia")
        .run([
            "rewrap",
            "visits.kms",
            "foreign.kms",
            "more.kms",
            "absent.kms",
            "--failures",
            "failed",
        ])
        .fails(3)
        .saying("2 of 4 files were not re-wrapped");
    assert!(
        told.stderr
            .contains("foreign.kms: it is not a file that kms sealed")
    );
    for name in ["visits.kms", "more.kms"] {
        assert_eq!(version(&bench.path(name)), 2);
    }
    let failures = bench.read("failed");
    assert_eq!(failures.lines().count(), 2, "{failures}");
    assert!(failures.contains("\"file\":\"absent.kms\""), "{failures}");
    // The only one is told in one sentence.
    let told = bench.cli("olivia").run(["rewrap", "foreign.kms"]).fails(3);
    assert_eq!(told.stderr.lines().count(), 1, "{told}");
}
