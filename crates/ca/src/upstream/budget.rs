//! How often the API may be asked: whoever asks too often is blocked from all of it.

use std::collections::VecDeque;
use std::time::Duration;

use countersign_core::time::Timestamp;

/// The stretch of time that Cloudflare counts calls over.
pub const WINDOW: Duration = Duration::from_secs(300);

/// How many calls we make in it, of the 1,200 that are allowed: others use the account too.
pub const BUDGET: usize = 1_000;

/// Counts calls, and remembers that we are to stay away.
#[derive(Debug, Default)]
pub struct Budget {
    made: VecDeque<Timestamp>,
    away_until: Option<Timestamp>,
}

impl Budget {
    /// Takes one call.
    ///
    /// # Errors
    /// How long to wait, when there is none left; nothing is taken then.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        if let Some(until) = self.away_until {
            if now < until {
                return Err(until.since(now));
            }
            self.away_until = None;
        }
        while self.made.front().is_some_and(|first| *first + WINDOW <= now) {
            self.made.pop_front();
        }
        match self.made.front() {
            Some(first) if self.made.len() >= BUDGET => Err((*first + WINDOW).since(now)),
            Some(_) | None => {
                self.made.push_back(now);
                Ok(())
            }
        }
    }

    /// Stays away for so long; by default for the whole window, as long as a block lasts.
    pub fn stay_away(&mut self, now: Timestamp, wanted: Option<Duration>) {
        let until = now + wanted.unwrap_or(WINDOW).clamp(Duration::from_secs(1), WINDOW * 12);
        self.away_until = Some(self.away_until.map_or(until, |before| before.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_over_five_minutes() {
        let (mut budget, start) = (Budget::default(), Timestamp::from_secs(1000));
        for _call in 0..BUDGET {
            budget.take(start).unwrap();
        }
        assert_eq!(budget.take(start + Duration::from_secs(60)), Err(Duration::from_secs(240)));
        budget.take(start + WINDOW).unwrap();
    }

    #[test]
    fn a_block_is_sat_out() {
        let (mut budget, start) = (Budget::default(), Timestamp::from_secs(1000));
        budget.take(start).unwrap();
        budget.stay_away(start, None);
        budget.stay_away(start, Some(Duration::from_secs(10)));
        assert_eq!(budget.take(start + Duration::from_secs(299)), Err(Duration::from_secs(1)));
        budget.take(start + WINDOW).unwrap();
    }
}
