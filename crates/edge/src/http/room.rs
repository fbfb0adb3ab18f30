//! How much of the control plane strangers can take: a request waits for room before it is handed
//! over, and holds its room until the control plane is done with it, whether or not its client
//! still waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::warn;

/// How many requests of one door the control plane works on at once.
const IN_ALL: usize = 1024;
/// How many of them may have come over one connection.
const PER_CONNECTION: usize = 32;
/// How long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(2);

/// The room of a door's requests in the control plane.
#[derive(Debug)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    patience: Duration,
    is_full: AtomicBool,
}

/// The room of one connection's requests.
#[derive(Debug)]
pub(crate) struct Share(Arc<Semaphore>);

/// A request's place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _in_all: OwnedSemaphorePermit,
    _of_connection: OwnedSemaphorePermit,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self::of(IN_ALL, PATIENCE)
    }

    fn of(places: usize, patience: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), patience, is_full: AtomicBool::new(false) }
    }

    /// A place for a request, first among those of its connection and then among all; `None` when
    /// there is none for as long as a request waits.
    pub(crate) async fn take(&self, share: &Share) -> Option<Place> {
        let taken = timeout(self.patience, async {
            // Neither is ever closed.
            let of_connection = Arc::clone(&share.0).acquire_owned().await.ok()?;
            let in_all = Arc::clone(&self.places).acquire_owned().await.ok()?;
            Some(Place { _in_all: in_all, _of_connection: of_connection })
        });
        let place = taken.await.ok().flatten();
        let is_full = place.is_none() && self.places.available_permits() == 0;
        if is_full != self.is_full.swap(is_full, Ordering::Relaxed) && is_full {
            warn!("control plane overloaded, requests turned away");
        }
        place
    }
}

impl Place {
    /// Holds the place until `work` is done.
    pub(crate) async fn during<F: Future>(self, work: F) -> F::Output {
        let done = work.await;
        drop(self);
        done
    }
}

impl Default for Share {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PER_CONNECTION)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_full_control_plane_takes_no_one_until_someone_is_done() {
        let room = Room::of(2, SHORT);
        let shares = [Share::default(), Share::default()];
        let first = room.take(&shares[0]).await;
        let second = room.take(&shares[1]).await;
        assert!(first.is_some() && second.is_some());
        assert!(room.take(&shares[0]).await.is_none());
        let waiting = room.take(&shares[0]);
        drop(second);
        assert!(waiting.await.is_some());
    }

    #[tokio::test]
    async fn one_connection_cannot_take_it_all() {
        let room = Room::of(IN_ALL, SHORT);
        let (greedy, modest) = (Share::default(), Share::default());
        let mut held = Vec::new();
        for _ in 0..PER_CONNECTION {
            held.push(room.take(&greedy).await.unwrap());
        }
        assert!(room.take(&greedy).await.is_none());
        assert!(room.take(&modest).await.is_some());
        held.clear();
        assert!(room.take(&greedy).await.is_some());
    }
}
