//! Programs run to their end, above all the command line `kms` as somebody.

use std::{
    ffi::OsStr,
    io::Write as _,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
};

use crate::program;

/// The command line with one context: who asks, and where.
#[derive(Debug, Clone)]
pub struct Cli {
    contexts: PathBuf,
    context: String,
    directory: PathBuf,
}

/// A program that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What was run, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl Cli {
    /// `kms --config contexts --context context`, run in `directory`.
    pub fn new(contexts: PathBuf, context: &str, directory: PathBuf) -> Self {
        Self {
            contexts,
            context: context.to_owned(),
            directory,
        }
    }

    /// Runs it to its end with nothing on standard input.
    ///
    /// # Panics
    /// When `kms` is not built or cannot be started.
    pub fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Finished {
        finish(self.command(arguments))
    }

    /// Runs it to its end with `input` on standard input.
    ///
    /// # Panics
    /// As [`Cli::run`].
    pub fn run_with(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        input: &[u8],
    ) -> Finished {
        finish_with(self.command(arguments), input)
    }

    /// The command itself, for a test that kills it half way, or pipes it.
    ///
    /// # Panics
    /// When `kms` is not built.
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let kms = program::find("kms").unwrap_or_else(|cause| panic!("{cause}"));
        let mut command = Command::new(kms);
        command
            .current_dir(&self.directory)
            .arg("--config")
            .arg(&self.contexts)
            .args(["--context", &self.context])
            .args(arguments);
        command
    }
}

impl Finished {
    /// The exit code; `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Its standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output parsed as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|cause| panic!("no JSON ({cause}) from {self}"))
    }

    /// Itself, when it ended with 0.
    ///
    /// # Panics
    /// Otherwise, with everything it said.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert!(self.status.success(), "should have succeeded: {self}");
        self
    }

    /// Itself, when it ended with this code and said why in one sentence on standard error.
    ///
    /// # Panics
    /// Otherwise, with everything it said.
    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        assert!(
            self.code() == Some(code),
            "should have failed with {code}: {self}"
        );
        assert!(
            !self.stderr.trim().is_empty(),
            "failed without a word: {self}"
        );
        self
    }

    /// Itself, when standard error has these words.
    ///
    /// # Panics
    /// Otherwise, with everything it said.
    #[track_caller]
    pub fn saying(self, words: &str) -> Self {
        assert!(
            self.stderr.contains(words),
            "should have said {words:?}: {self}"
        );
        self
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} ended with {}", self.command, self.status)?;
        writeln!(f, "--- stdout\n{}", self.text())?;
        write!(f, "--- stderr\n{}", self.stderr)
    }
}

/// Runs a command to its end with nothing on standard input.
///
/// # Panics
/// When it cannot be started.
pub fn finish(command: Command) -> Finished {
    finish_with(command, &[])
}

/// Runs a command to its end with `input` on standard input.
///
/// # Panics
/// When it cannot be started.
pub fn finish_with(mut command: Command, input: &[u8]) -> Finished {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|cause| panic!("cannot start {shown}: {cause}"));
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // A program may end without reading its input: then writing fails, rightly.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input).ok()));
        child.wait_with_output()
    });
    let output = output.unwrap_or_else(|cause| panic!("cannot wait for {shown}: {cause}"));
    Finished {
        command: shown,
        status: output.status,
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
