//! Waiting for a condition. Nothing else in the suite looks at a clock in order to wait.

use std::time::{Duration, Instant};

/// How long a condition may take before the test fails: far beyond what it takes on a busy
/// machine, so that only a condition that never comes true meets it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(10);

/// Looks until `condition` gives a value, at most for `patience`; `None` when it never did.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that polls: it waits for a condition, the clock only bounds it"
)]
pub fn within<T>(patience: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if start.elapsed() > patience {
            return None;
        }
        std::thread::sleep(PACE);
    }
}

/// Looks until `condition` gives a value and fails the test after [`PATIENCE`].
///
/// # Panics
/// When the condition did not come true; `what` is the sentence's subject, for instance
/// `"the server's health to be NOT_SERVING"`.
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, condition)
        .unwrap_or_else(|| panic!("waited {} s in vain for {what}", PATIENCE.as_secs()))
}
