//! Doing something with many at once.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Does `act` with each, at most `at_once` of them at a time; what came of it, in no order. Whoever panics is
/// missing from that.
pub(crate) async fn each<T, R, F>(
    items: impl IntoIterator<Item = T>,
    at_once: usize,
    act: impl Fn(T) -> F,
) -> Vec<R>
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let room = Arc::new(Semaphore::new(at_once.max(1)));
    let mut crowd = JoinSet::new();
    let mut came = Vec::new();
    for item in items {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { break };
        let acting = act(item);
        crowd.spawn(async move {
            let result = acting.await;
            drop(place);
            result
        });
        while let Some(done) = crowd.try_join_next() {
            came.extend(done);
        }
    }
    while let Some(done) = crowd.join_next().await {
        came.extend(done);
    }
    came
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn all_are_done_and_never_more_at_once_than_may_be() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut came = each(0..100, 7, |number| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                number
            }
        })
        .await;
        came.sort_unstable();
        assert_eq!(came, (0..100).collect::<Vec<_>>());
        assert!((2..=7).contains(&most.load(Ordering::SeqCst)));
    }
}
