//! Work done and what it took.

use std::time::Duration;

use tokio::task::{JoinHandle, yield_now};

/// Work, the server's processor time for it, and the time on the wall, in rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    rounds: Vec<(usize, Duration, Duration)>,
}

impl Work {
    /// Adds a round.
    pub(crate) fn add(&mut self, count: usize, cpu: Duration, wall: Duration) {
        self.rounds.push((count, cpu, wall));
    }

    /// All of another's rounds.
    pub(crate) fn extend(&mut self, other: Self) {
        self.rounds.extend(other.rounds);
    }

    /// Work for each second of one of the server's processors: the median of the rounds, which other
    /// load on the machine moves least.
    pub(crate) fn per_core(&self) -> f64 {
        median(self.rounds.iter().map(|(count, cpu, _)| *count as f64 / cpu.as_secs_f64()).collect())
    }

    /// The same; `None` when nothing was measured.
    pub(crate) fn any_per_core(&self) -> Option<f64> {
        (!self.rounds.is_empty()).then(|| self.per_core())
    }

    /// Work for each second on the wall, over all rounds.
    pub(crate) fn per_second(&self) -> f64 {
        let count: usize = self.rounds.iter().map(|(count, ..)| count).sum();
        let wall: Duration = self.rounds.iter().map(|(.., wall)| *wall).sum();
        count as f64 / wall.as_secs_f64()
    }
}

/// Keeps the load generator's thread from sleeping while this is there: whoever wakes a sleeping processor pays
/// for it, and the servers would do so the more often the slower they are.
#[derive(Debug)]
pub(crate) struct Awake(JoinHandle<()>);

impl Awake {
    /// From now on, on the runtime that this is called on.
    pub(crate) fn begin() -> Self {
        Self(tokio::spawn(async {
            loop {
                yield_now().await;
            }
        }))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values.get(middle).copied().unwrap_or(f64::NAN),
        _ => values.get(middle - 1..=middle).map_or(f64::NAN, |two| two.iter().sum::<f64>() / 2.0),
    }
}

/// The value below which `share` (0 to 1) of the times lie.
pub(crate) fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort();
    let at = (times.len() as f64 * share).ceil() as usize;
    times.get(at.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]).to_bits(), 2.5_f64.to_bits());
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let mut times: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut times, 0.99), Duration::from_millis(99));
        assert_eq!(percentile(&mut times, 0.5), Duration::from_millis(50));
        assert_eq!(percentile(&mut [], 0.5), Duration::ZERO);
    }
}
