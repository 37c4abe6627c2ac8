//! Time, as an input.

use kms_core::time::Time;
use std::fmt;
use std::time::Duration;

/// Wall time and monotonic time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now, by the wall. It may jump.
    fn now(&self) -> Time;

    /// Since some point in the past. It only grows.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place where time comes in"
)]
impl Default for SystemClock {
    fn default() -> Self {
        SystemClock {
            start: std::time::Instant::now(),
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place where time comes in"
)]
impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Time(
            since
                .ok()
                .and_then(|d| u64::try_from(d.as_millis()).ok())
                .unwrap_or(0),
        )
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
