//! What client and server take, whatever the size of the file.

use crate::{LINK_CLI, begin};
use softhsm_tests::memory::{peak, peak_of};
use softhsm_tests::{patients, scaled};
use std::fs;
use std::process::Stdio;

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
        let child = link
            .command(map.iter().chain(&column))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let most = peak_of(child);
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
