//! What the store counts of itself: commits, how long they take, and the audit entries in them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// The upper ends of the buckets of commits by duration, in seconds.
pub const COMMIT_BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 10.0];

/// Counts for the writer.
#[derive(Debug, Default)]
pub(crate) struct StoreMeter {
    changes: AtomicU64,
    failed: AtomicU64,
    committed: Mutex<Commits>,
}

/// Groups of changes that were committed, and what was in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commits {
    /// How many.
    pub count: u64,
    /// How long they took in all, from the first statement to the commit.
    pub seconds: f64,
    /// How many took at most as long as each of [`COMMIT_BUCKETS`], and longer than the one before.
    pub buckets: [u64; COMMIT_BUCKETS.len()],
    /// Audit entries by event.
    pub entries: BTreeMap<&'static str, u64>,
}

/// The store's numbers since it was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreNumbers {
    /// Changes that were asked for.
    pub changes: u64,
    /// Groups that could not be committed.
    pub failed: u64,
    /// Groups that were.
    pub commits: Commits,
    /// Connections that read, and how many of them are idle.
    pub readers: (u32, u32),
    /// Changes that wait for the writer.
    pub waiting: u64,
}

impl StoreMeter {
    pub(crate) fn committed(&self, changes: usize, took: Duration, entries: &[&'static str]) {
        self.changes.fetch_add(u64::try_from(changes).unwrap_or(u64::MAX), Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let mut commits = self.committed.lock();
        commits.count += 1;
        commits.seconds += seconds;
        let place = COMMIT_BUCKETS.iter().position(|end| seconds <= *end);
        if let Some(bucket) = place.and_then(|place| commits.buckets.get_mut(place)) {
            *bucket += 1;
        }
        for event in entries {
            *commits.entries.entry(event).or_default() += 1;
        }
    }

    pub(crate) fn failed(&self, changes: usize) {
        self.changes.fetch_add(u64::try_from(changes).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn numbers(&self) -> StoreNumbers {
        StoreNumbers {
            changes: self.changes.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            commits: self.committed.lock().clone(),
            ..StoreNumbers::default()
        }
    }
}
