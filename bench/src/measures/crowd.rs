//! What workers that send requests side by side have done in a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::process::Process;
use crate::work::{Awake, Work};

/// Lets workers begin that wait at `ready`, and ends them by `over` after `time`: what the server used
/// meanwhile, and how long each request took.
pub(super) async fn finish(
    process: &Process,
    time: Duration,
    (ready, over): (&Barrier, &AtomicBool),
    mut workers: JoinSet<anyhow::Result<Vec<Duration>>>,
) -> anyhow::Result<(Work, Vec<Duration>)> {
    ready.wait().await;
    let _awake = Awake::begin();
    let (cpu, began) = (process.cpu_time(), Instant::now());
    tokio::time::sleep_until((began + time).into()).await;
    over.store(true, Ordering::Relaxed);
    let (cpu, wall) = (process.cpu_time() - cpu, began.elapsed());
    let mut times = Vec::new();
    while let Some(own) = workers.join_next().await {
        times.extend(own.context("send requests")??);
    }
    let mut work = Work::default();
    work.add(times.len(), cpu, wall);
    Ok((work, times))
}

/// Lets workers go on that count what they do, and ends them by `over` after `time`: how much was done, the
/// servers' processor time for it, and the time on the wall.
pub(super) async fn count(
    cpu_time: impl Fn() -> Duration,
    time: Duration,
    (over, done): (&AtomicBool, &AtomicUsize),
    mut workers: JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<(usize, Duration, Duration)> {
    let _awake = Awake::begin();
    let (cpu, began, before) = (cpu_time(), Instant::now(), done.load(Ordering::Relaxed));
    tokio::time::sleep_until((began + time).into()).await;
    let count = done.load(Ordering::Relaxed) - before;
    let (cpu, wall) = (cpu_time() - cpu, began.elapsed());
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = workers.join_next().await {
        ended.context("do what is counted")??;
    }
    Ok((count, cpu, wall))
}
