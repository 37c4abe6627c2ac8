//! What client and server take, whatever the size of the file.

use crate::{LINK_CLI, begin};
use softhsm_tests::{patients, scaled, wait::within};
use std::fs;
use std::process::Stdio;
use std::time::Duration;

/// The most that a process has had in memory so far, in KiB (`VmHWM` of `/proc`).
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_file_ten_times_as_long_takes_as_much_memory() {
    let mut kms = begin();
    let directory = kms.directory().to_owned();
    let link = kms.cli("link-pseudonymiser");
    let lines = u64::try_from(scaled(200_000)).unwrap();
    let mut measured = Vec::new();
    for (name, lines) in [("small", lines), ("large", 10 * lines)] {
        let file = fs::File::create(directory.join(format!("{name}.csv"))).unwrap();
        patients::write(file, lines, 3).unwrap();
        let map = [
            "pseudonym",
            "map",
            &format!("{name}.csv"),
            "--batch",
            "1000",
        ];
        let column = ["--column", "ID", "--edge", LINK_CLI];
        let mut child = link
            .command(map.iter().chain(&column))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut most = 0;
        let ended = within(Duration::from_secs(1_200), || {
            most = peak(child.id()).unwrap_or(0).max(most);
            child.try_wait().unwrap()
        });
        assert!(ended.unwrap().success());
        let server = peak(kms.server().pid()).unwrap();
        println!("{lines} lines: client {most} KiB, server {server} KiB at most");
        measured.push((most, server));
    }
    let [(client, server), (later, after)] = measured[..] else {
        panic!("two files");
    };
    assert!(
        later < client + client / 4,
        "client: {client}, then {later} KiB"
    );
    assert!(
        after < server + server / 4,
        "server: {server}, then {after} KiB"
    );
}
