//! Where the built programs are, and how one is run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;

/// The repository's top directory.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// A program of this workspace (`kms-server`, `kms`, `kms-dev`), built into the same target
/// directory as the running test: `cargo build --workspace --bins` puts it there. nextest
/// does that before this package's tests (`.config/nextest.toml`), so no test ever runs
/// yesterday's server.
///
/// # Errors
/// When it is not built.
pub fn find(name: &str) -> Result<PathBuf, Failure> {
    let me = std::env::current_exe()
        .map_err(|cause| Failure::because("cannot tell where this program is", cause))?;
    let mut place = me.parent().unwrap_or(Path::new("/"));
    if place.ends_with("deps") || place.ends_with("examples") {
        place = place.parent().unwrap_or(place);
    }
    let program = place.join(name);
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::new(format!(
        "{} is not built: run cargo build --workspace --bins",
        program.display()
    )))
}

/// The same command, run by another program that takes it as its last arguments: `strace`,
/// `setpriv`.
pub fn under(wrapper: &[impl AsRef<OsStr>], command: &Command) -> Command {
    let mut wrapped = Command::new("env");
    wrapped
        .args(wrapper)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            wrapped.env(name, value);
        }
    }
    if let Some(directory) = command.get_current_dir() {
        wrapped.current_dir(directory);
    }
    wrapped
}
