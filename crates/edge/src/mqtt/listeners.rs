//! Devices that listen: that subscribed to something, or came back to a session that is remembered.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_core::snapshot::DeviceKey;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Devices that began to listen, for whoever has something to tell them.
#[derive(Debug, Default)]
pub struct Listeners {
    devices: Mutex<BTreeSet<DeviceKey>>,
    arrived: Notify,
}

impl Listeners {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until a device has begun to listen, and says which. For one caller: what it is told is told to
    /// nobody else.
    pub async fn next(&self) -> DeviceKey {
        loop {
            let device = self.devices.lock().pop_first();
            if let Some(device) = device {
                return device;
            }
            self.arrived.notified().await;
        }
    }

    /// Whether a device has begun to listen, and nobody has been told yet.
    #[must_use]
    pub fn is_new(&self, device: &DeviceKey) -> bool {
        self.devices.lock().contains(device)
    }

    /// Notes that a device listens.
    pub(super) fn note(&self, device: &DeviceKey) {
        self.devices.lock().insert(device.clone());
        self.arrived.notify_one();
    }
}
