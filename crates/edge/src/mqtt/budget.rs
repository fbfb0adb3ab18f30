//! How much a device may send at which pace: what is above it waits.

use std::time::Duration;

use tokio::time::Instant;

use super::terms::Terms;

/// A measure that fills with time.
#[derive(Debug)]
struct Measure {
    rate: f64,
    level: f64,
}

impl Measure {
    fn new(rate: u32) -> Self {
        let rate = f64::from(rate.max(1));
        Self { rate, level: rate }
    }

    fn fill(&mut self, passed: Duration) {
        self.level = (self.level + self.rate * passed.as_secs_f64()).min(self.rate);
    }

    /// How long until there is something in it.
    fn wait(&self) -> Duration {
        if self.level > 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64((1.0 - self.level) / self.rate)
        }
    }
}

/// What one connection has left to send.
#[derive(Debug)]
pub(super) struct Budget {
    packets: Measure,
    bytes: Measure,
    seen: Instant,
}

impl Budget {
    pub(super) fn new(terms: &Terms, now: Instant) -> Self {
        let (packets, bytes) = (Measure::new(terms.packets_per_second), Measure::new(terms.bytes_per_second));
        Self { packets, bytes, seen: now }
    }

    /// When the next packet may come, if not now.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Instant> {
        let passed = now.saturating_duration_since(self.seen);
        self.seen = now;
        self.packets.fill(passed);
        self.bytes.fill(passed);
        let wait = self.packets.wait().max(self.bytes.wait());
        (!wait.is_zero()).then(|| now + wait)
    }

    /// One more packet of so many bytes. It may go below nothing: the next then waits.
    pub(super) fn take(&mut self, bytes: usize) {
        self.packets.level -= 1.0;
        self.bytes.level -= f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_the_pace_waits_its_time() {
        let terms = Terms { packets_per_second: 10, bytes_per_second: 1000, ..Terms::default() };
        let start = Instant::now();
        let mut budget = Budget::new(&terms, start);
        for _ in 0..10 {
            assert_eq!(budget.wait(start), None);
            budget.take(10);
        }
        assert_eq!(budget.wait(start), Some(start + Duration::from_millis(100)));
        let later = start + Duration::from_secs(5);
        assert_eq!(budget.wait(later), None);
        budget.take(3000);
        let next = budget.wait(later).unwrap();
        assert!(next > later + Duration::from_millis(1900), "{:?}", next - later);
    }
}
