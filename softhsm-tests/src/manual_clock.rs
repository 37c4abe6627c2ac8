//! A clock that a test sets by hand.

use kms_core::time::Time;
use kms_server::clock::Clock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A wall clock and a monotonic one: both stand still until they are told.
#[derive(Debug)]
pub struct ManualClock {
    hands: Mutex<(u64, Duration)>,
}

impl Default for ManualClock {
    /// In February 2026.
    fn default() -> Self {
        ManualClock {
            hands: Mutex::new((1_770_000_000_000, Duration::ZERO)),
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.hands().0)
    }

    fn monotonic(&self) -> Duration {
        self.hands().1
    }
}

impl ManualClock {
    /// Somebody sets the wall clock, so many milliseconds forward or back.
    pub fn jumps(&self, millis: i64) {
        let mut hands = self.hands();
        hands.0 = hands.0.saturating_add_signed(millis);
    }

    /// So many milliseconds pass.
    pub fn goes_on(&self, millis: u64) {
        let mut hands = self.hands();
        hands.0 = hands.0.saturating_add(millis);
        hands.1 = hands.1.saturating_add(Duration::from_millis(millis));
    }

    fn hands(&self) -> MutexGuard<'_, (u64, Duration)> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
