//! What this process owes its secrets: no core dumps, no panics that quote.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Forbids core dumps and tracing by other processes of the same user, and keeps the words of a
/// panic out of the log: they may quote what was at hand.
///
/// # Errors
/// When the system refuses, in one sentence.
pub fn harden() -> Result<(), String> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).map_err(|e| format!("cannot forbid core dumps: {e}"))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|e| format!("cannot forbid memory dumps: {e}"))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(place, "a task panicked");
    }));
    Ok(())
}

/// Under a limit on file sizes (`ulimit -f`) the system kills whoever writes beyond it; caught, the
/// write fails instead, and the log says so.
///
/// # Errors
/// When the system refuses.
pub fn outlive_file_limits() -> std::io::Result<()> {
    const SIGXFSZ: i32 = 25;
    signal(SignalKind::from_raw(SIGXFSZ)).map(drop)
}
