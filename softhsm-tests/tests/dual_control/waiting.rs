//! `--wait` and `--watch`: told as it happens.

use crate::{WAITS, approve_all, furnished, production, shows, waiting, write};
use serde_json::Value;
use softhsm_tests::{Cli, Deployment, deployment::SMALL_INVENTORY, wait::until};
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Output, Stdio};

const SUSPECT: [&str; 5] = [
    "version",
    "compromise",
    "lab/object/1",
    "--reason=incident 43",
    "--yes",
];

/// Begins a command that stays.
fn begin(who: &Cli, arguments: &[&str]) -> Child {
    let mut command = who.command(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn begin_waiting(kms: &Deployment, wait: &str) -> (Child, String) {
    let olivia = kms.cli("olivia");
    let mut arguments = SUSPECT.to_vec();
    arguments.push(wait);
    let child = begin(&olivia, &arguments);
    let name = until("the proposal", || waiting(&olivia).pop());
    (child, name)
}

fn ended(child: Child) -> (Output, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output, stdout, stderr)
}

#[test]
fn whoever_waits_carries_it_out_or_hears_why_not() {
    let kms = furnished();
    let (child, name) = begin_waiting(&kms, "--wait");
    let reject = ["proposal", "reject", &name, "--reason", "it is version 2"];
    kms.cli("carol").run(reject).succeeds();
    let (output, stdout, stderr) = ended(child);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("was rejected by person/carol") && stderr.contains("it is version 2"));
    assert_eq!(stdout, "");

    let (child, name) = begin_waiting(&kms, "--wait=1h");
    approve_all(&kms, "carl");
    let (output, stdout, stderr) = ended(child);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains(&format!("kms proposal approve {name}")),
        "{stderr}"
    );
    let told = |line: &str| line.starts_with("state") && line.ends_with("compromised");
    assert!(stdout.lines().any(told), "{stdout}");

    // A patience that ends leaves the proposal where it is.
    kms.cli("stella")
        .run(["key", "create", "lab/other", "--class", "data-at-rest"])
        .succeeds();
    let mut impatient = SUSPECT.to_vec();
    impatient[2] = "lab/other/1";
    impatient.push("--wait=1s");
    let olivia = kms.cli("olivia");
    olivia
        .run(impatient)
        .fails(WAITS)
        .saying("proposal execute");
    let [name] = waiting(&olivia).try_into().unwrap();
    approve_all(&kms, "carol");
    let done = olivia.run(["proposal", "execute", &name, "--wait"]);
    shows(&done.succeeds(), &["spaces/lab/keys/other/versions/1"]);
}

fn change(lines: &mut Lines<BufReader<ChildStdout>>) -> (String, usize) {
    let line = lines.next().expect("one more change").unwrap();
    let proposal: Value = serde_json::from_str(&line).expect("one line each");
    let approvals = proposal["approvals"].as_array().unwrap().len();
    (proposal["state"].as_str().unwrap().to_owned(), approvals)
}

#[test]
fn a_watch_tells_each_change_as_it_happens() {
    let kms = furnished();
    let mut all = begin(
        &kms.cli("carl"),
        &["proposal", "list", "--watch", "-o", "json"],
    );
    let mut all_lines = BufReader::new(all.stdout.take().unwrap()).lines();
    let olivia = kms.cli("olivia");
    olivia.run(SUSPECT).fails(WAITS);
    let [name] = waiting(&olivia).try_into().unwrap();
    assert_eq!(change(&mut all_lines), ("WAITING".into(), 0));
    let one = begin(&olivia, &["proposal", "show", &name, "--watch"]);
    approve_all(&kms, "carol");
    assert_eq!(change(&mut all_lines), ("WAITING".into(), 1));
    olivia.run(["proposal", "execute", &name]).succeeds();
    assert_eq!(change(&mut all_lines), ("EXECUTED".into(), 1));
    all.kill().unwrap();
    all.wait().unwrap();

    // One is watched until it is over.
    let (output, stdout, stderr) = ended(one);
    assert!(output.status.success(), "{stderr}");
    let last = stdout.lines().last().unwrap();
    assert!(
        last.contains("was carried out by person/olivia"),
        "{stdout}"
    );
}

#[test]
fn what_is_several_changes_is_put_before_others_at_once() {
    let kms = production();
    write(&kms, "small.yaml", SMALL_INVENTORY);
    let apply = ["inventory", "apply", "-f", "small.yaml", "--wait"];
    let child = begin(&kms.cli("stella"), &apply);
    let carl = kms.cli("carl");
    until("both edges", || (waiting(&carl).len() == 2).then_some(()));
    approve_all(&kms, "carl");
    let (output, stdout, stderr) = ended(child);
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains("12 steps taken"), "{stdout}");

    let hugo = kms.cli("hugo");
    let shown = hugo.run(["policy", "show"]).succeeds().text();
    write(&kms, "new.cedar", &format!("{shown}// Reviewed in 2025.\n"));
    let zoe = "bindings:\n  - {principal: person/zoe, roles: [{role: key-operator}]}\n";
    write(&kms, "zoe.yaml", zoe);
    let files = ["-f", "new.cedar", "--bindings", "zoe.yaml"];
    let apply = ["policy", "apply", "--reason", "decision 8", "--wait"];
    let child = begin(&hugo, &[&apply[..], &files].concat());
    until("both changes", || (waiting(&carl).len() == 2).then_some(()));
    approve_all(&kms, "carl");
    approve_all(&kms, "carol");
    let (output, stdout, stderr) = ended(child);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stdout, "in force: policy and bindings\n");
}
