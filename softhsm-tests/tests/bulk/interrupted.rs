//! SIGKILL of the client and of the server, in the middle.

use crate::{LINK_CLI, begin, evaluated, table};
use softhsm_tests::cli::Cli;
use softhsm_tests::{Deployment, patients, wait::until};
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

const LINES: u64 = 6_000;
const BATCH: u64 = 100;

fn map(file: &str, output: &str) -> Vec<String> {
    let batch = BATCH.to_string();
    let words = [
        "pseudonym",
        "map",
        file,
        "-O",
        output,
        "--column",
        "ID",
        "--edge",
        LINK_CLI,
        "--batch",
        &batch,
    ];
    words.map(str::to_owned).to_vec()
}

fn patients(kms: &Deployment, name: &str) {
    let file = fs::File::create(kms.directory().join(name)).unwrap();
    patients::write(file, LINES, 11).unwrap();
}

/// A run in the background, of which a good part is done.
fn half_way(cli: &Cli, arguments: &[String], part: &Path) -> Child {
    let mut command = cli.command(arguments);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Some chunks of 60: each answer has more than 40 bytes.
    until("a part of the answers to be kept", || {
        let kept = fs::metadata(part).map_or(0, |metadata| metadata.len());
        assert!(child.try_wait().unwrap().is_none(), "it is through already");
        (kept > 10 * BATCH * 40).then_some(())
    });
    child
}

#[test]
fn a_killed_client_goes_on_to_the_same_bytes_and_evaluates_nothing_twice() {
    let mut kms = begin();
    let directory = kms.directory().to_owned();
    patients(&kms, "p.csv");
    let link = kms.cli("link-pseudonymiser");
    link.run(map("p.csv", "once.csv")).succeeds();
    let once = fs::read(directory.join("once.csv")).unwrap();

    let before = evaluated(&mut kms);
    let part = directory.join("out.csv.part");
    let mut deaths = 0;
    for _ in 0..2 {
        let mut arguments = map("p.csv", "out.csv");
        if part.exists() {
            // It grows from where it was: cut so that half a frame is left at its end.
            let file = fs::OpenOptions::new().write(true).open(&part).unwrap();
            file.set_len(file.metadata().unwrap().len() - 7).unwrap();
            arguments.push("--resume".to_owned());
            link.run(map("p.csv", "out.csv"))
                .fails(11)
                .saying("--resume");
        }
        let mut child = half_way(&link, &arguments, &part);
        child.kill().unwrap();
        child.wait().unwrap();
        deaths += 1;
        assert!(
            !directory.join("out.csv").exists(),
            "half a result has no name"
        );
        let kept = fs::read(&part).unwrap();
        let text = String::from_utf8_lossy(&kept);
        let identifiers = fs::read_to_string(directory.join("p.csv")).unwrap();
        let mut identifiers = identifiers
            .lines()
            .skip(1)
            .map(|l| l.split(',').next().unwrap());
        assert!(
            identifiers.all(|id| !text.contains(id)),
            "an identifier in the part"
        );
    }
    let mut resume = map("p.csv", "out.csv");
    resume.push("--resume".to_owned());
    // Another file, another column and another edge are not what was begun.
    let text = fs::read_to_string(directory.join("p.csv")).unwrap();
    fs::write(directory.join("q.csv"), text.replacen("LYON", "LION", 1)).unwrap();
    let mut other = map("q.csv", "out.csv");
    other.push("--resume".to_owned());
    link.run(&other)
        .fails(3)
        .saying("was not made from this file");
    let mut other = resume.clone();
    other[6] = "SITE".to_owned();
    link.run(&other).fails(3).saying("with these columns");

    link.run(&resume).succeeds();
    assert!(fs::read(directory.join("out.csv")).unwrap() == once);
    assert!(!part.exists());
    // What was under way at each death, and the frame that was torn.
    let twice = evaluated(&mut kms) - before - LINES;
    let under_way = u64::try_from(kms_client::Pseudonyms::UNDER_WAY).unwrap() + 1;
    assert!(
        twice <= deaths * under_way * BATCH,
        "{twice} were evaluated twice"
    );
    link.run(&resume).fails(11).saying("leave --resume out");
}

#[test]
fn a_killed_server_that_comes_back_is_waited_for() {
    let mut kms = begin();
    let directory = kms.directory().to_owned();
    patients(&kms, "p.csv");
    let rows: Vec<_> = (0..12).map(|group| table::rows(group * 500, 500)).collect();
    table::write(&directory.join("p.parquet"), &rows, table::zstd());
    let link = kms.cli("link-pseudonymiser");
    for (file, once, out) in [
        ("p.csv", "once.csv", "out.csv"),
        ("p.parquet", "once.parquet", "out.parquet"),
    ] {
        link.run(map(file, once)).succeeds();
        let part = directory.join(format!("{out}.part"));
        let child = half_way(&link, &map(file, out), &part);
        kms.kill();
        kms.restart();
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{said}");
        let [once, out] = [once, out].map(|name| fs::read(directory.join(name)).unwrap());
        assert!(once == out, "{file}");
    }
    // One that stays away is given up after a while, and gone on with later.
    let mut arguments = map("p.csv", "late.csv");
    arguments.extend(["--patience", "1", "--timeout", "2"].map(str::to_owned));
    let part = directory.join("late.csv.part");
    let child = half_way(&link, &arguments, &part);
    assert!(kms.terminate().success(), "the stream is drained");
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(8), "{said}");
    assert!(
        said.contains("lines are finished") && said.contains("--resume"),
        "{said}"
    );
    kms.restart();
    arguments.push("--resume".to_owned());
    link.run(&arguments).succeeds();
    let [once, late] = ["once.csv", "late.csv"].map(|n| fs::read(directory.join(n)).unwrap());
    assert!(once == late);
    kms.cli("ada").run(["audit", "verify"]).succeeds();
}
