//! A file from end to end, as a pseudonymiser works: CSV, command line, gRPC, token, CSV.

use crate::raw::{Object, Raw};
use crate::{Operation, absolute};
use softhsm_tests::{Deployment, patients, wait::within};
use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Prints the token's own rate, that of the file, their ratio, and what client and server took.
pub(crate) fn measure(lines: u64, time: Duration) {
    let token = Raw::new();
    let mut best: f64 = 0.0;
    for object in Object::ALL {
        for threads in [1, 2] {
            let Some(figure) = token.measure(Operation::Hmac, object, threads, time) else {
                continue;
            };
            best = best.max(figure.rate);
            println!(
                "token alone, HMAC, {}, threads: {threads}: {}",
                object.name(),
                absolute(figure)
            );
        }
    }
    drop(token);

    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let limit = format!("items/day={}", 2 * lines);
    let allow = [
        "quota",
        "set",
        "--edge",
        "warehouse/link",
        "--each",
        "--limit",
        &limit,
        "--reason",
        "a measurement",
    ];
    kms.cli("stella").run(allow).succeeds();
    let path = kms.directory().join("patients.csv");
    patients::write(File::create(&path).unwrap(), lines, 1).unwrap();
    let map = [
        "pseudonym",
        "map",
        "patients.csv",
        "--column",
        "ID",
        "--edge",
        "warehouse/link",
    ];
    let begun = Instant::now();
    let mut child = kms
        .cli("link-pseudonymiser")
        .command(map)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut client = 0;
    let ended = within(Duration::from_secs(3_600), || {
        client = peak(child.id()).max(client);
        child.try_wait().unwrap()
    });
    let took = begun.elapsed();
    assert!(ended.unwrap().success());
    let written = fs::read_to_string(kms.directory().join("patients.pseudonymised.csv")).unwrap();
    let count = u64::try_from(written.lines().count()).unwrap() - 1;
    assert_eq!(count, lines, "every line is there");
    let rate = lines as f64 / took.as_secs_f64();
    let server = peak(kms.server().pid());
    println!(
        "{lines} identifiers from CSV to CSV in {:.1} s: {:.1}k a second, {:.2}x the token's best",
        took.as_secs_f64(),
        rate / 1000.0,
        rate / best
    );
    println!(
        "at most in memory: client {} MiB, server {} MiB",
        client / 1024,
        server / 1024
    );
}

/// The most that a process has had in memory so far, in KiB; 0 when it is gone.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
