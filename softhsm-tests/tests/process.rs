//! What the process owes its secrets: no core dumps, and no reading of its memory by other
//! processes of the same user.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::{
    fs,
    process::{Command, Stdio},
};

use softhsm_tests::{
    Deployment, Finished, cli::finish, configuration::Endpoints, guard::Guarded, program::under,
    wait::until,
};

#[test]
fn nobody_looks_into_the_server() {
    let kms = Deployment::emc2().prepare();
    kms.init().succeeds();
    let mut server = without_capabilities(&kms.command("serve"));
    server.stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = Guarded::spawn(&mut server, None).unwrap();
    let pid = server.child().id();
    until("the server to serve", || Endpoints::read(kms.data()));

    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let cores = limits.lines().find(|line| line.contains("core file size"));
    let words: Vec<&str> = cores.unwrap().split_whitespace().collect();
    assert_eq!(words, ["Max", "core", "file", "size", "0", "0", "bytes"]);

    let refused = look_into(pid);
    assert_ne!(refused.code(), Some(0), "{refused}");
    assert!(refused.stderr.contains("ermission denied"), "{refused}");

    // The same look into a process that does not forbid it shows what is there.
    let mut other = without_capabilities(Command::new("sleep").arg("600").env("SEEN", "plainly"));
    let mut other = Guarded::spawn(&mut other, None).unwrap();
    let pid = other.child().id();
    until("what another process shows", || {
        look_into(pid).text().contains("SEEN=plainly").then_some(())
    });
}

/// Reads another process's environment as an ordinary process of the same user: what is allowed
/// there is allowed of all of its memory (ptrace(2), "Ptrace access mode checking").
fn look_into(pid: u32) -> Finished {
    let mut look = Command::new("cat");
    look.arg(format!("/proc/{pid}/environ"));
    finish(without_capabilities(&look))
}

/// The command as somebody who is not allowed everything: root's capabilities are dropped, others
/// have none to drop.
fn without_capabilities(command: &Command) -> Command {
    let wrapper: &[&str] = if rustix::process::geteuid().is_root() {
        &["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    } else {
        &[]
    };
    under(wrapper, command)
}
