//! The live channels to devices in this process: one per device, woken when there is something for it,
//! and ended when its device may not have one any more.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::ids::{DeviceId, SecretHash, TenantId};
use countersign_core::time::Timestamp;
use countersign_store::{Presence, StoreError, TrustChanges};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{Notify, watch};

use crate::agent::AgentCaller;
use crate::authority::Authority;
use crate::limits::{Limited, TooMany};

/// How far clocks of authorities may differ, and how long a command may take to be on record, for a
/// look to find it.
pub(crate) const LOOK_BACK: Duration = Duration::from_secs(60);

/// Why a channel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Its device has opened a newer one.
    Replaced,
    /// What it was opened with opens nothing any more.
    NotAuthorised,
    /// This process ends.
    GoingAway,
}

/// The channels of this process.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    by_device: HashMap<DeviceId, Entry>,
    count: u64,
    is_closing: bool,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    tenant: TenantId,
    token: Option<SecretHash>,
    bells: Arc<Bells>,
    parting: watch::Sender<Option<Parting>>,
}

/// What a channel can be rung for.
#[derive(Debug, Default)]
struct Bells {
    commands: Notify,
    trust: Notify,
}

/// What a change of trust is about, as far as channels go.
#[derive(Debug)]
pub(crate) struct Touched {
    devices: Vec<(DeviceId, Option<SecretHash>)>,
    tenants: HashSet<TenantId>,
}

impl Touched {
    pub(crate) fn by(changes: &TrustChanges) -> Self {
        Self {
            devices: changes.devices.iter().map(|one| (one.id, one.token)).collect(),
            tenants: changes.tenants.iter().map(|tenant| tenant.id).collect(),
        }
    }
}

/// A channel was not opened.
#[derive(Debug, Error)]
pub enum OpenChannelError {
    /// Too many in too short a time.
    #[error("too many channels")]
    TooMany(TooMany),
    /// The store failed.
    #[error("cannot open the channel")]
    Store(#[from] StoreError),
}

impl Channels {
    fn open(self: &Arc<Self>, agent: &AgentCaller) -> Channel {
        let (parting, told) = watch::channel(None);
        let bells = Arc::new(Bells::default());
        // There may be something for it already.
        bells.commands.notify_one();
        let mut open = self.open.lock();
        open.count += 1;
        let number = open.count;
        if open.is_closing {
            parting.send_replace(Some(Parting::GoingAway));
        }
        let (tenant, token) = (agent.device().tenant, agent.device().token);
        let entry = Entry { number, tenant, token, bells: Arc::clone(&bells), parting };
        if let Some(older) = open.by_device.insert(agent.id(), entry) {
            older.parting.send_replace(Some(Parting::Replaced));
        }
        Channel { device: agent.id(), number, bells, told, channels: Arc::clone(self) }
    }

    /// Lets the channel of a device, if it is here, look for what there is for it.
    pub(crate) fn wake(&self, device: DeviceId) {
        if let Some(entry) = self.open.lock().by_device.get(&device) {
            entry.bells.commands.notify_one();
        }
    }

    /// From when on commands are to be looked for; `None` when no channel is open.
    pub(crate) fn look(&self, now: Timestamp) -> Option<Timestamp> {
        (!self.open.lock().by_device.is_empty()).then(|| now - LOOK_BACK)
    }

    /// Lets the channels that a change of trust is about look at the new snapshot, and ends those whose
    /// token opens nothing any more.
    pub(crate) fn trust_changed(&self, touched: &Touched) {
        let open = self.open.lock();
        for (device, token) in &touched.devices {
            let Some(entry) = open.by_device.get(device) else { continue };
            if entry.token != *token {
                entry.parting.send_replace(Some(Parting::NotAuthorised));
            }
            entry.bells.trust.notify_one();
        }
        if !touched.tenants.is_empty() {
            let theirs = open.by_device.values().filter(|entry| touched.tenants.contains(&entry.tenant));
            theirs.for_each(|entry| entry.bells.trust.notify_one());
        }
    }

    fn has(&self, device: DeviceId) -> bool {
        self.open.lock().by_device.contains_key(&device)
    }

    fn close(&self) {
        let mut open = self.open.lock();
        open.is_closing = true;
        for entry in open.by_device.values() {
            entry.parting.send_replace(Some(Parting::GoingAway));
        }
    }

    fn remove(&self, device: DeviceId, number: u64) {
        let mut open = self.open.lock();
        if open.by_device.get(&device).is_some_and(|entry| entry.number == number) {
            open.by_device.remove(&device);
        }
    }
}

/// A device's live channel; it leaves the list when dropped.
#[derive(Debug)]
pub struct Channel {
    device: DeviceId,
    number: u64,
    bells: Arc<Bells>,
    told: watch::Receiver<Option<Parting>>,
    channels: Arc<Channels>,
}

impl Channel {
    /// Waits until there may be something for the device: at once the first time.
    pub async fn woken(&self) {
        self.bells.commands.notified().await;
    }

    /// Lets the channel itself look again.
    pub fn wake(&self) {
        self.bells.commands.notify_one();
    }

    /// Waits until the trust snapshot says something else about the device or its tenant than it may
    /// have said before.
    pub async fn trust_changed(&self) {
        self.bells.trust.notified().await;
    }

    /// Waits until the channel is told to end, and says why.
    pub fn parting(&self) -> impl Future<Output = Parting> + Send + use<> {
        let mut told = self.told.clone();
        async move {
            match told.wait_for(Option::is_some).await.map(|parting| *parting) {
                Ok(Some(parting)) => parting,
                // Nobody is left who could tell.
                Ok(None) | Err(_) => Parting::Replaced,
            }
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channels.remove(self.device, self.number);
    }
}

impl Authority {
    /// Whether a device has its channel open to this process.
    #[must_use]
    pub fn has_channel(&self, device: DeviceId) -> bool {
        self.channels.has(device)
    }

    /// Opens a device's channel in this process; an older one of the device ends. What its token opens is
    /// looked at again once the channel can be told: what changed before that is not missed.
    ///
    /// # Errors
    /// See [`OpenChannelError`]: more than 30 a minute are too many.
    pub async fn open_channel(&self, agent: &AgentCaller) -> Result<Channel, OpenChannelError> {
        self.limits.take(Limited::Channel(agent.id()), self.now()).map_err(OpenChannelError::TooMany)?;
        let channel = self.channels.open(agent);
        let id = agent.id();
        let row = self.store.read(move |r| Box::pin(async move { r.device(id).await })).await?;
        let token = row.and_then(|row| row.token);
        self.channels.trust_changed(&Touched { devices: vec![(id, token)], tenants: HashSet::new() });
        Ok(channel)
    }

    /// Counts a message that came over a device's channel.
    ///
    /// # Errors
    /// More than 600 a minute are too many.
    pub fn count_message(&self, agent: &AgentCaller) -> Result<(), TooMany> {
        self.limits.take(Limited::Message(agent.id()), self.now())
    }

    /// Notes that a device was heard of over its channel; written down in batches.
    pub fn heard_of(&self, agent: &AgentCaller, address: IpAddr) {
        let presence =
            Presence { device: agent.id(), at: self.now(), ip: Some(address), agent_version: None };
        self.presence.hear(presence);
    }

    /// Ends every channel, and every later one: this process ends.
    pub fn close_channels(&self) {
        self.channels.close();
    }
}
