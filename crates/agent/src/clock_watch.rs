//! Notices when the machine's clock was set, or the machine slept.

use std::time::Duration;

use countersign_core::time::Timestamp;
use tokio::time::Instant;

/// How far the two clocks may drift apart between two looks.
const TOLERANCE: Duration = Duration::from_secs(5);

/// Compares the time of day with the time that has run.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    of_day: Timestamp,
    running: Instant,
}

impl ClockWatch {
    pub(crate) const fn new(of_day: Timestamp, running: Instant) -> Self {
        Self { of_day, running }
    }

    /// Whether the time of day moved otherwise than time ran since the last look.
    pub(crate) fn has_jumped(&mut self, of_day: Timestamp, running: Instant) -> bool {
        let ran = running.saturating_duration_since(self.running);
        let expected = self.of_day + ran;
        *self = Self { of_day, running };
        of_day.since(expected) > TOLERANCE || expected.since(of_day) > TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_a_clock_set_forward_and_back_and_nothing_else() {
        let (day, run) = (Timestamp::from_secs(1_000_000), Instant::now());
        let minute = Duration::from_secs(60);
        let mut watch = ClockWatch::new(day, run);
        assert!(!watch.has_jumped(day + minute, run + minute));
        assert!(watch.has_jumped(day + minute * 60, run + minute * 2));
        assert!(!watch.has_jumped(day + minute * 61, run + minute * 3));
        assert!(watch.has_jumped(day, run + minute * 4));
    }
}
