//! Waiting for a condition, with a deadline.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until there is something to see, and fails when there is not within `patience`.
#[track_caller]
pub(crate) fn eventually<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + patience;
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
            assert!(Instant::now() < end, "not within {patience:?}: {what}, at {caller}");
        }
    }
}

/// Looks until it is so, and fails when it is not within half a minute.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    eventually(Duration::from_secs(30), what, async move || is_so().await.then_some(()))
}

/// Waits for a process to end, but no longer than this; whether it did.
pub(crate) async fn within(patience: Duration, process: &mut std::process::Child) -> bool {
    let end = Instant::now() + patience;
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    while Instant::now() < end {
        ticks.tick().await;
        if process.try_wait().unwrap().is_some() {
            return true;
        }
    }
    false
}
