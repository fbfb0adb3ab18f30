//! How long to wait before something is tried again.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(86_400);

/// After so many attempts, the first of which is 1: 60 s, doubling to 24 h.
#[must_use]
pub fn backoff(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_a_minute_to_a_day() {
        let seconds: Vec<u64> = [0, 1, 2, 3, 11, 12, 1000].map(|times| backoff(times).as_secs()).to_vec();
        assert_eq!(seconds, [60, 60, 120, 240, 61_440, 86_400, 86_400]);
    }
}
