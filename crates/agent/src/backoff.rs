//! How long to wait before asking again.

use std::time::Duration;

/// The longest `Retry-After` that is honoured; a longer one is cut to this.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// How waits are spread below their ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Anywhere between a twentieth of the ceiling and the ceiling: a fleet that lost its server
    /// does not come back at once.
    Full,
    /// Between half the ceiling and the ceiling: asking slowly stays slow.
    Half,
}

/// A wait that doubles with every failure, up to a limit.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    limit: Duration,
    spread: Spread,
    failures: u32,
}

impl Backoff {
    /// Waits that begin at `base` and never exceed `limit`.
    #[must_use]
    pub const fn new(base: Duration, limit: Duration, spread: Spread) -> Self {
        Self { base, limit, spread, failures: 0 }
    }

    /// How long to wait after one more failure. `fraction` is random, between 0 and 1.
    #[must_use]
    pub fn next(&mut self, fraction: f64) -> Duration {
        let factor = 2_u32.checked_pow(self.failures).unwrap_or(u32::MAX);
        let ceiling = self.base.saturating_mul(factor).min(self.limit);
        self.failures = self.failures.saturating_add(1);
        let least = match self.spread {
            Spread::Full => 0.05,
            Spread::Half => 0.5,
        };
        ceiling.mul_f64(least + (1.0 - least) * fraction.clamp(0.0, 1.0))
    }

    /// As [`Self::next`], but not before what the server asked for.
    #[must_use]
    pub fn next_after(&mut self, retry_after: Option<Duration>, fraction: f64) -> Duration {
        let wait = self.next(fraction);
        match retry_after {
            // Everybody who was told the same number comes back spread over a tenth of it.
            Some(asked) => {
                let asked = asked.min(LONGEST_RETRY_AFTER);
                wait.max(asked + asked.mul_f64(0.1 * fraction.clamp(0.0, 1.0)))
            }
            None => wait,
        }
    }

    /// Something succeeded: the next wait begins at the base again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// `interval`, a tenth more or less. `fraction` is random, between 0 and 1.
#[must_use]
pub fn jittered(interval: Duration, fraction: f64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fraction.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASE: Duration = Duration::from_secs(60);
    const LIMIT: Duration = Duration::from_secs(900);

    proptest! {
        #[test]
        fn waits_stay_between_their_bounds(failures in 0_usize..200, fraction in 0.0_f64..1.0) {
            for spread in [Spread::Full, Spread::Half] {
                let mut backoff = Backoff::new(BASE, LIMIT, spread);
                for _ in 0..failures {
                    let wait = backoff.next(fraction);
                    prop_assert!(wait <= LIMIT);
                    prop_assert!(wait >= BASE.mul_f64(0.049));
                    prop_assert!(spread == Spread::Full || wait >= BASE / 2);
                }
                backoff.reset();
                prop_assert!(backoff.next(fraction) <= BASE);
            }
        }

        #[test]
        fn never_before_what_the_server_asked_for(asked in 0_u64..100_000, fraction in 0.0_f64..1.0) {
            let mut backoff = Backoff::new(BASE, LIMIT, Spread::Full);
            let asked = Duration::from_secs(asked);
            let wait = backoff.next_after(Some(asked), fraction);
            prop_assert!(wait >= asked.min(LONGEST_RETRY_AFTER));
            prop_assert!(wait <= LONGEST_RETRY_AFTER.mul_f64(1.1));
        }

        #[test]
        fn jitter_is_a_tenth(interval in 1_u64..100_000, fraction in 0.0_f64..1.0) {
            let interval = Duration::from_millis(interval);
            let wait = jittered(interval, fraction);
            prop_assert!(wait >= interval.mul_f64(0.899) && wait <= interval.mul_f64(1.101));
        }
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_the_limit() {
        let mut backoff = Backoff::new(BASE, LIMIT, Spread::Half);
        let waits: Vec<_> = (0..6).map(|_| backoff.next(1.0).as_secs()).collect();
        assert_eq!(waits, [60, 120, 240, 480, 900, 900]);
    }
}
