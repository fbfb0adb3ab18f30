//! Heartbeats: who was heard of, written down in batches; what changes a status is committed first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::certificate::Lifetime;
use countersign_core::device::DeviceStatus;
use countersign_core::ids::DeviceId;
use countersign_core::time::Timestamp;
use countersign_store::{CertificateSummary, DeviceRow, Presence, Store, StoreError};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::agent::AgentCaller;
use crate::authority::{Authority, IssuerMode};
use crate::limits::{Limited, TooMany};
use crate::together::Answers;

/// How long heartbeats may wait for company before they are written.
const GATHER: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(crate) struct PresenceQueue {
    waiting: Mutex<HashMap<DeviceId, Presence>>,
    arrived: Notify,
}

impl PresenceQueue {
    /// Lets it be written down with those that come soon.
    pub(crate) fn hear(&self, presence: Presence) {
        self.waiting.lock().insert(presence.device, presence);
        self.arrived.notify_one();
    }
}

/// What a heartbeat is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whether the device should renew its certificate.
    pub renewal: Renewal,
}

/// Whether a device should renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Not yet.
    NotDue,
    /// It may, and is to have done so from this moment on: those that fall due together get different ones.
    From(Timestamp),
    /// Now.
    Due,
}

/// A heartbeat was not taken.
#[derive(Debug, Error)]
pub enum HeartbeatError {
    /// The device is quarantined.
    #[error("the device is quarantined")]
    Quarantined,
    /// Too many.
    #[error("too many heartbeats")]
    TooMany(TooMany),
    /// The store failed.
    #[error("cannot record the heartbeat")]
    Store(#[from] StoreError),
}

/// Records devices that come online.
pub(crate) fn record_arrivals(store: Store, arrived: Vec<Arc<Presence>>) -> Answers<()> {
    Box::pin(async move {
        let batch: Vec<Presence> = arrived.iter().map(|one| (**one).clone()).collect();
        store.write(move |w| Box::pin(async move { w.record_presence(&batch).await })).await?;
        store.note_presence();
        Ok(vec![(); arrived.len()])
    })
}

impl Authority {
    /// Takes a heartbeat.
    ///
    /// # Errors
    /// See [`HeartbeatError`]; a quarantined device stays quarantined.
    pub async fn heartbeat(
        &self,
        agent: &AgentCaller,
        agent_version: Option<String>,
        address: IpAddr,
    ) -> Result<Heard, HeartbeatError> {
        let now = self.now();
        if agent.is_quarantined() {
            return Err(HeartbeatError::Quarantined);
        }
        self.limits.take(Limited::Heartbeat(agent.id()), now).map_err(HeartbeatError::TooMany)?;
        self.heard_from(agent.device(), address, now).await?;
        let presence = Presence { device: agent.id(), at: now, ip: Some(address), agent_version };
        match agent.device().status {
            DeviceStatus::Pending | DeviceStatus::Offline => self.together.arrivals.ask(presence).await?,
            DeviceStatus::Online
            | DeviceStatus::Maintenance
            | DeviceStatus::Quarantined
            | DeviceStatus::Decommissioned => {
                self.presence.waiting.lock().insert(agent.id(), presence);
                self.presence.arrived.notify_one();
            }
        }
        Ok(Heard { renewal: self.renewal_of(agent.device()) })
    }

    /// Due at two thirds of the certificate's life, while an approval waits to be used, when a device that
    /// has a key still waits for its first certificate, and when it is called to another CA; never while
    /// nobody signs here.
    fn renewal_of(&self, device: &DeviceRow) -> Renewal {
        let now = self.now();
        let waits = device.grant_until.is_some() || device.pending_key.is_some();
        let by_life = device.certificate.as_ref().map_or(Renewal::NotDue, |held| of_life(held, now));
        match self.config.issuer {
            IssuerMode::None => Renewal::NotDue,
            IssuerMode::Embedded | IssuerMode::Cloudflare if waits => Renewal::Due,
            IssuerMode::Embedded if self.issuers().calls(device, now) => Renewal::Due,
            IssuerMode::Embedded | IssuerMode::Cloudflare => by_life,
        }
    }

    /// Writes down every heartbeat that waits.
    ///
    /// # Errors
    /// When the store fails; the heartbeats are lost then, the next ones are not.
    pub async fn flush_presence(&self) -> Result<(), StoreError> {
        let batch: Vec<Presence> = self.presence.waiting.lock().drain().map(|(_, one)| one).collect();
        if batch.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |w| Box::pin(async move { w.record_presence(&batch).await.map(|_changed| ()) }))
            .await
    }

    /// Writes heartbeats down in batches, for ever.
    pub async fn gather_presence(self: Arc<Self>) {
        loop {
            self.presence.arrived.notified().await;
            tokio::time::sleep_until(Instant::now() + GATHER).await;
            if let Err(error) = self.flush_presence().await {
                tracing::error!(%error, "cannot record heartbeats");
            }
        }
    }
}

/// Whether it is time by the certificate's life alone. Its share of the spread is from its serial number, which is
/// random.
fn of_life(held: &CertificateSummary, now: Timestamp) -> Renewal {
    let lifetime = Lifetime { issued_at: held.issued_at, expires_at: held.expires_at };
    let share = held.serial.as_bytes().last_chunk().map_or(0, |random| u16::from_be_bytes(*random) % 1001);
    let turn = lifetime.renewal_turn(share);
    if !lifetime.renewal_due(now) {
        Renewal::NotDue
    } else if now < turn {
        Renewal::From(turn)
    } else {
        Renewal::Due
    }
}
