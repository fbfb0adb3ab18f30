//! Counts who asked how often, in memory that does not grow with how many there are.
//!
//! The generic cell rate algorithm keeps one number for each asker: the moment at which it would have
//! used up nothing. An asker has one of eight cells of a fixed table; where all eight are taken, the one
//! gives way that is closest to having used up nothing, so that whoever brings many addresses pushes out
//! those who asked for little, and nobody who is at a limit.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::rate::Rate;

const WAYS: usize = 8;
const SETS: usize = 16;
/// With the above 65,536 cells of 16 bytes: 1 MiB for each door that has a limit.
const SHARDS: usize = 512;

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// A hash under a key of this process: nobody can aim at a cell.
    who: u64,
    /// Nanoseconds after the meter's beginning.
    free_at: u64,
}

type Shard = Mutex<[[Cell; WAYS]; SETS]>;

/// What the limits of a door are counted by.
#[derive(Debug)]
pub(crate) struct Meter {
    began: Instant,
    hasher: RandomState,
    /// Made when something is counted for the first time.
    shards: OnceLock<Box<[Shard]>>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), hasher: RandomState::new(), shards: OnceLock::new() }
    }

    /// Counts one request of `who`.
    ///
    /// # Errors
    /// When it comes too early; then it is not counted, and the error says how long to wait.
    pub(crate) fn take(&self, who: impl Hash, rate: Rate) -> Result<(), Duration> {
        let who = self.hasher.hash_one(who);
        self.take_at(who, rate, nanos(self.began.elapsed()))
    }

    fn take_at(&self, who: u64, rate: Rate, now: u64) -> Result<(), Duration> {
        let shards = self.shards.get_or_init(|| (0..SHARDS).map(|_| Mutex::default()).collect());
        let place = usize::try_from(who % ((SHARDS * SETS) as u64)).unwrap_or_default();
        // Neither can be missing; were it so, nothing would be let through.
        let Some(shard) = shards.get(place / SETS) else { return Err(rate.interval()) };
        let mut sets = shard.lock();
        let Some(cells) = sets.get_mut(place % SETS) else { return Err(rate.interval()) };
        let known = cells.iter().position(|cell| cell.who == who && cell.free_at > now);
        let index = known.or_else(|| (0..WAYS).min_by_key(|i| cells.get(*i).map(|cell| cell.free_at)));
        let Some(cell) = index.and_then(|index| cells.get_mut(index)) else { return Err(rate.interval()) };
        let free_at = if known.is_some() { cell.free_at } else { now };
        let ahead = free_at.saturating_sub(now);
        let tolerance = nanos(rate.tolerance());
        if ahead > tolerance {
            return Err(Duration::from_nanos(ahead - tolerance));
        }
        *cell = Cell { who, free_at: free_at.saturating_add(nanos(rate.interval())) };
        Ok(())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_is_let_through_and_then_one_at_a_time() {
        let meter = Meter::new();
        let rate = rate("2/s burst 3");
        for _ in 0..3 {
            meter.take_at(1, rate, 0).unwrap();
        }
        assert_eq!(meter.take_at(1, rate, 0), Err(Duration::from_millis(500)));
        meter.take_at(2, rate, 0).unwrap();
        meter.take_at(1, rate, SECOND / 2).unwrap();
        assert!(meter.take_at(1, rate, SECOND / 2).is_err());
        for _ in 0..3 {
            meter.take_at(1, rate, 10 * SECOND).unwrap();
        }
        assert!(meter.take_at(1, rate, 10 * SECOND).is_err());
    }

    #[test]
    fn who_is_at_the_limit_is_not_forgotten_for_many_who_are_not() {
        let meter = Meter::new();
        let rate = rate("1/h burst 2");
        let same_set = |n: u64| 7 + n * (SHARDS * SETS) as u64;
        meter.take_at(same_set(0), rate, 0).unwrap();
        meter.take_at(same_set(0), rate, 0).unwrap();
        for other in 1..1000 {
            meter.take_at(same_set(other), rate, 0).unwrap();
            assert!(meter.take_at(same_set(0), rate, 0).is_err(), "after {other}");
        }
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_one_burst(gaps in prop::collection::vec(0_u64..SECOND, 1..200)) {
            let meter = Meter::new();
            let rate = rate("10/s burst 5");
            let (mut now, mut passed) = (0, 0);
            for gap in gaps {
                now += gap;
                passed += u64::from(meter.take_at(1, rate, now).is_ok());
            }
            prop_assert!(passed <= 5 + now / (SECOND / 10), "{passed} in {now}");
        }
    }
}
