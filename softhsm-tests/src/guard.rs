//! A process that ends with the test, however the test ends.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Failure;

/// A child in a process group of its own. Dropping it kills the group; and should this
/// process be killed before it can, a watcher that holds one end of a pipe from us sees it
/// close, kills the group and removes the directory.
///
/// (A parent-death signal would need `unsafe`, and follows the thread, not the process.)
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    watcher: Child,
}

impl Guarded {
    /// Starts `command`. `directory`, when given, is removed if this process dies.
    ///
    /// # Errors
    /// When the program or the watcher cannot be started.
    pub fn spawn(command: &mut Command, directory: Option<&Path>) -> Result<Self, Failure> {
        let child = command.process_group(0).spawn().map_err(|cause| {
            Failure::because(
                format!("cannot start {}", command.get_program().display()),
                cause,
            )
        })?;
        let watcher = watch(&child, directory);
        match watcher {
            Ok(watcher) => Ok(Self { child, watcher }),
            Err(cause) => {
                let mut child = child;
                end(&mut child);
                Err(Failure::because(
                    "cannot start the watcher of a process",
                    cause,
                ))
            }
        }
    }

    /// The child, for its identifier and its exit status.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal to the child's whole group. A group that is gone is no error.
    pub fn signal(&self, signal: Signal) {
        signal_group(&self.child, signal);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        end(&mut self.child);
        end(&mut self.watcher);
    }
}

fn watch(child: &Child, directory: Option<&Path>) -> std::io::Result<Child> {
    let script = r#"cat >/dev/null; kill -s KILL -- "-$1"; [ -z "$2" ] || rm -rf -- "$2""#;
    Command::new("sh")
        .args(["-c", script, "watcher"])
        .arg(child.id().to_string())
        .arg(directory.unwrap_or(Path::new("")))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// Kills and reaps; what is already gone stays gone.
fn end(child: &mut Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    signal_group(child, Signal::KILL);
    child.wait().ok();
}

fn signal_group(child: &Child, signal: Signal) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        kill_process_group(group, signal).ok();
    }
}
