//! Processes of the binary `durability`, to be killed, traced, or run on a small disk.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_durability");

/// A process that tells what it was acknowledged, a line each, until it is killed.
pub(crate) struct Child {
    process: std::process::Child,
}

impl Child {
    pub(crate) fn start(scene: &str, dir: &Path, run: usize) -> Self {
        let process = Command::new(BINARY)
            .arg(scene)
            .arg(dir)
            .args(["--run", &run.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process }
    }

    /// SIGKILL, once it has told a random number of lines below `most`; all that it told.
    pub(crate) fn kill_after_random_lines(mut self, most: u64) -> Vec<String> {
        let random = RandomState::new().build_hasher().finish() % most;
        let mut lines = BufReader::new(self.process.stdout.take().unwrap()).lines();
        let mut told: Vec<String> = Vec::new();
        for _ in 0..=random {
            told.push(lines.next().unwrap().unwrap());
        }
        self.process.kill().unwrap();
        told.extend(lines.map(Result::unwrap));
        self.process.wait().unwrap();
        told
    }
}

/// Runs a scene on a file system of its own, so small that the scene fills it, in a mount
/// namespace that ends with it. What it told.
pub(crate) fn on_small_disk(size: &str, scene: &str) -> String {
    let root = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o "size=$1" tmpfs "$2" && exec "$3" "$4" "$2""#;
    let unshare = |flags: &[&str], command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(flags).arg("--").args(command);
        unshare.output().unwrap()
    };
    // Without root where user namespaces are allowed, else as root.
    let user: &[&str] = &["--user", "--map-root-user", "--mount"];
    let flags = if unshare(
        user,
        &[
            "mount",
            "-t",
            "tmpfs",
            "tmpfs",
            root.path().to_str().unwrap(),
        ],
    )
    .status
    .success()
    {
        user
    } else {
        &["--mount"]
    };
    let dir = root.path().to_str().unwrap();
    let output = unshare(flags, &["sh", "-c", script, "sh", size, dir, BINARY, scene]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    told
}

/// Runs a scene that no file may grow beyond `bytes` for: a write that fails although the
/// disk has room. What it told.
pub(crate) fn with_largest_file(bytes: u64, scene: &str, dir: &Path) -> String {
    let output = Command::new("prlimit")
        .arg(format!("--fsize={bytes}"))
        .args(["sh", "-c", r#"trap "" XFSZ; exec "$0" "$@""#, BINARY, scene])
        .arg(dir)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{complaint}");
    told
}

/// The system calls of a scene that write, sync or tell, with the names of their files.
pub(crate) fn trace(scene: &str, dir: &Path) -> String {
    let file = dir.join("trace");
    let status = Command::new("strace")
        .args(["-f", "-y", "-s", "40", "-e"])
        .arg("trace=write,pwrite64,fsync,fdatasync,sync_file_range")
        .arg("-o")
        .args([&file, Path::new(BINARY)])
        .arg(scene)
        .arg(dir)
        .stdout(Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("strace is needed (Debian package strace): {error}"));
    assert!(status.success());
    fs::read_to_string(file).unwrap()
}

/// Before each line that tells `word`, the file was written and then its `fdatasync` ended
/// well, since the line before.
pub(crate) fn assert_synced(trace: &str, word: &str, file: &str) {
    let mut told = 0;
    let mut written = false;
    let mut synced = false;
    let mut syncing: Option<&str> = None;
    for line in trace.lines() {
        let thread = line.split_whitespace().next().unwrap();
        let is = |call: &str| line.contains(&format!(" {call}(")) && line.contains(file);
        if is("pwrite64") {
            (written, synced) = (true, false);
        } else if is("fdatasync") && line.contains("<unfinished") {
            syncing = Some(thread);
        } else if (is("fdatasync") || syncing == Some(thread) && line.contains("fdatasync resumed"))
            && line.ends_with("= 0")
        {
            synced = written;
            syncing = None;
        } else if line.contains(&format!("\"{word} ")) {
            assert!(
                written && synced,
                "{line}: written {written}, synced {synced}"
            );
            (written, synced) = (false, false);
            told += 1;
        }
    }
    assert_eq!(told, 20, "{trace}");
}
