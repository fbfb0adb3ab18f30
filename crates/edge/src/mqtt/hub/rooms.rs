//! Where the hub finds the clients of a device.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_core::snapshot::DeviceKey;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::end::HubEnd;
use super::session::Session;
use crate::mqtt::letters::Letter;

/// The longest time for which a client that is away is remembered.
pub(super) const LONGEST_EXPIRY: Duration = Duration::from_secs(24 * 3600);

/// How many clients of one device are remembered.
const CLIENTS: usize = 8;

/// A client of a device, by the name it chose.
#[derive(Debug)]
pub(super) struct Room {
    name: String,
    pub(super) session: Mutex<Session>,
}

/// What stands behind the door where there is no broker.
#[derive(Debug, Default)]
pub struct Hub {
    rooms: Mutex<HashMap<DeviceKey, Vec<Arc<Room>>>>,
    connections: AtomicU64,
}

impl Hub {
    /// A hub that knows nobody.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Sends a letter to every client of a device that subscribed to its topic, also to those that are away
    /// and remembered. To how many.
    pub fn send(&self, device: &DeviceKey, letter: &Letter) -> usize {
        let rooms = self.rooms.lock().get(device).cloned().unwrap_or_default();
        rooms.iter().filter(|room| room.session.lock().offer(letter)).count()
    }

    /// Whom it remembers.
    pub(in crate::mqtt) fn devices(&self) -> Vec<DeviceKey> {
        self.rooms.lock().keys().cloned().collect()
    }

    /// Forgets whatever waits for a device.
    pub(in crate::mqtt) fn forget(&self, device: &DeviceKey) {
        self.rooms.lock().remove(device);
    }

    pub(in crate::mqtt) fn connect(self: &Arc<Self>) -> HubEnd {
        HubEnd::new(Arc::clone(self), self.connections.fetch_add(1, Ordering::Relaxed))
    }

    /// The room of a client for this connection, and whether it was remembered. A connection that was in it
    /// is told to leave.
    pub(super) fn enter(
        &self,
        device: &DeviceKey,
        name: &str,
        is_clean: bool,
        (connection, expiry): (u64, Duration),
    ) -> (Arc<Room>, bool) {
        let now = Instant::now();
        let mut all = self.rooms.lock();
        let rooms = all.entry(device.clone()).or_default();
        rooms.retain(|room| room.session.lock().ends.is_none_or(|end| now < end));
        let known = rooms.iter().find(|room| room.name == name).cloned();
        let room = known.clone().unwrap_or_else(|| {
            if rooms.len() >= CLIENTS
                && let Some(oldest) = rooms.iter().position(|room| room.session.lock().connection.is_none())
            {
                rooms.remove(oldest);
            }
            let room = Arc::new(Room { name: name.to_owned(), session: Mutex::default() });
            rooms.push(Arc::clone(&room));
            room
        });
        drop(all);
        let mut session = room.session.lock();
        let waker = session.waker.take();
        if is_clean {
            *session = Session::default();
        }
        session.connection = Some(connection);
        session.expiry = expiry.min(LONGEST_EXPIRY);
        session.ends = None;
        drop(session);
        if let Some(waker) = waker {
            waker.wake();
        }
        (room, known.is_some() && !is_clean)
    }

    /// The connection left. What is to be remembered is.
    pub(super) fn leave(&self, device: &DeviceKey, room: &Arc<Room>, connection: u64) {
        let mut all = self.rooms.lock();
        let mut session = room.session.lock();
        if session.connection != Some(connection) {
            return;
        }
        session.connection = None;
        session.waker = None;
        session.ends = Some(Instant::now() + session.expiry);
        let is_over = session.expiry.is_zero();
        drop(session);
        if is_over && let Some(rooms) = all.get_mut(device) {
            rooms.retain(|other| !Arc::ptr_eq(other, room));
            if rooms.is_empty() {
                all.remove(device);
            }
        }
    }
}
