//! What devices hold at the listeners of one process together: their sessions, and what they left behind them.

use std::collections::HashMap;
use std::sync::Arc;

use countersign_core::snapshot::DeviceKey;
use parking_lot::Mutex;

use super::leftovers::Leftovers;
use super::retained::Retained;

/// What devices hold. Listeners that share it count together.
#[derive(Debug, Default)]
pub struct Holdings {
    pub(super) retained: Retained,
    pub(super) leftovers: Leftovers,
    sessions: Mutex<HashMap<DeviceKey, usize>>,
}

impl Holdings {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A place for one more session of a device that may have so many at once; `None`: it has them.
    pub(super) fn seat(self: &Arc<Self>, device: &DeviceKey, at_most: usize) -> Option<Seat> {
        let mut sessions = self.sessions.lock();
        let taken = sessions.entry(device.clone()).or_default();
        if *taken >= at_most {
            return None;
        }
        *taken += 1;
        Some(Seat { holdings: Arc::clone(self), device: device.clone() })
    }
}

/// The place of a session, free again with the value.
#[derive(Debug)]
pub(super) struct Seat {
    holdings: Arc<Holdings>,
    device: DeviceKey,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut sessions = self.holdings.sessions.lock();
        if let Some(taken) = sessions.get_mut(&self.device) {
            *taken -= 1;
            if *taken == 0 {
                sessions.remove(&self.device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_so_many_places_and_each_is_free_again() {
        let holdings = Holdings::new();
        let device = |name: &str| ("acme".parse().unwrap(), name.parse().unwrap());
        let (d1, d2) = (device("d1"), device("d2"));
        let (first, second) = (holdings.seat(&d1, 2), holdings.seat(&d1, 2));
        assert!(first.is_some() && second.is_some());
        assert!(holdings.seat(&d1, 2).is_none());
        assert!(holdings.seat(&d2, 2).is_some(), "another's are its own");
        drop(first);
        assert!(holdings.seat(&d1, 2).is_some());
        drop(second);
        assert!(holdings.sessions.lock().is_empty());
    }
}
