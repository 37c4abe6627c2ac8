//! When to ask again, and after how long.

use std::time::Duration;

/// Exponential backoff with full jitter: each wait is drawn from zero to a ceiling that doubles,
/// so that many clients that were refused together do not come back together.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The ceiling of the first wait.
    pub first: Duration,
    /// The ceiling that no wait exceeds.
    pub most: Duration,
    /// How often to ask in all; 1 never asks again.
    pub attempts: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            most: Duration::from_secs(5),
            attempts: 5,
        }
    }
}

impl Backoff {
    /// The wait after attempt number `attempt`, counted from 1; none when it was the last.
    pub(crate) fn wait_after(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let ceiling = self
            .first
            .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)))
            .min(self.most);
        Some(ceiling.mul_f64(fraction()))
    }
}

/// Of the system's generator, in `0.0..=1.0`. Where it fails, the middle: a wait without jitter is
/// better than none.
fn fraction() -> f64 {
    getrandom::u32().map_or(0.5, |drawn| f64::from(drawn) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_under_a_ceiling_that_doubles_and_then_end() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            most: Duration::from_millis(300),
            attempts: 4,
        };
        for _ in 0..200 {
            assert!(backoff.wait_after(1) <= Some(Duration::from_millis(100)));
            assert!(backoff.wait_after(2) <= Some(Duration::from_millis(200)));
            assert!(backoff.wait_after(3) <= Some(Duration::from_millis(300)));
        }
        assert!(backoff.wait_after(3).is_some());
        assert_eq!(backoff.wait_after(4), None);
        assert_eq!(backoff.wait_after(u32::MAX), None);
    }
}
