//! The second clock, which nobody can set.

use crate::clock::Clock;
use kms_core::due::Steady;
use kms_core::time::Time;
use std::time::Duration;

/// Time that goes on at the pace of the monotonic clock, from what it was when the service
/// started.
#[derive(Debug)]
pub(super) struct Pace {
    from: Time,
    since: Duration,
}

impl Pace {
    pub(super) fn new(from: Time, clock: &dyn Clock) -> Self {
        Pace {
            from,
            since: clock.monotonic(),
        }
    }

    /// As the second clock.
    pub(super) fn steady(&self, clock: &dyn Clock) -> Steady {
        Steady {
            started: self.from,
            now: self.now(clock),
        }
    }

    pub(super) fn now(&self, clock: &dyn Clock) -> Time {
        let went = clock.monotonic().saturating_sub(self.since);
        self.from
            .plus_millis(u64::try_from(went.as_millis()).unwrap_or(u64::MAX))
    }
}
