//! What processes take.

use crate::wait::within;
use std::fs;
use std::process::Child;
use std::time::Duration;

/// The most that a process has had in memory so far, in KiB (`VmHWM` of `/proc`).
#[must_use]
pub fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The most that a child takes until it ends, in KiB; it must succeed.
///
/// # Panics
/// When it fails or does not end.
pub fn peak_of(mut child: Child) -> u64 {
    let mut most = 0;
    let ended = within(Duration::from_secs(1_200), || {
        most = peak(child.id()).unwrap_or(0).max(most);
        child.try_wait().expect("a child of ours")
    });
    assert!(ended.is_some_and(|ended| ended.success()), "it failed");
    most
}
