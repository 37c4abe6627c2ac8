//! Time for judging: it never goes back, so that what has expired stays so, and never stands still,
//! so that what is to expire does, whatever becomes of the machine's clock.

use crate::clock::Clock;
use kms_core::time::Time;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The latest time that was ever seen here. Where the machine's clock was set back, it goes on from
/// there at the pace of the monotonic clock, until the machine's has caught up.
#[derive(Debug)]
pub(super) struct Onward(Mutex<Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    time: Time,
    at: Duration,
}

impl Onward {
    /// From that time on.
    pub(super) fn new(from: Time, clock: &dyn Clock) -> Self {
        let at = clock.monotonic();
        Onward(Mutex::new(Seen { time: from, at }))
    }

    pub(super) fn now(&self, clock: &dyn Clock) -> Time {
        // What a panic left is a time all the same.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = clock.monotonic();
        let went = u64::try_from(at.saturating_sub(seen.at).as_millis()).unwrap_or(u64::MAX);
        let time = clock.now().max(seen.time.plus_millis(went));
        *seen = Seen { time, at };
        time
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Hands(Mutex<(u64, u64)>);

    impl Clock for Hands {
        fn now(&self) -> Time {
            Time(self.0.lock().unwrap().0)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.lock().unwrap().1)
        }
    }

    #[test]
    fn time_goes_on_and_never_back() {
        let clock = Hands::default();
        let set = |wall: u64, monotonic: u64| *clock.0.lock().unwrap() = (wall, monotonic);
        set(1000, 0);
        let onward = Onward::new(Time(1000), &clock);
        for (wall, monotonic, expected, what) in [
            (1010, 10, 1010, "with the machine's clock"),
            (5000, 20, 5000, "set forward"),
            (1030, 30, 5010, "set back: it goes on"),
            (1040, 40, 5020, "and on"),
            (6000, 50, 6000, "caught up"),
        ] {
            set(wall, monotonic);
            assert_eq!(onward.now(&clock), Time(expected), "{what}");
        }
    }
}
