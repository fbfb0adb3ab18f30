//! Heartbeats, many in one statement.

use std::collections::HashMap;
use std::net::IpAddr;

use countersign_core::ids::DeviceId;
use countersign_core::time::Timestamp;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::transaction::Writing;
use crate::{postgres, sqlite};

/// A device was heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Which device.
    pub device: DeviceId,
    /// When.
    pub at: Timestamp,
    /// From where, if known.
    pub ip: Option<IpAddr>,
    /// Its agent's version, if it said so.
    pub agent_version: Option<String>,
}

impl Writing<'_> {
    /// Records heartbeats in one statement and says how many devices it changed. Of several of one
    /// device the latest counts. Pending and offline devices become online; those in maintenance
    /// keep their status; quarantined and decommissioned ones are not touched at all, and neither are
    /// devices that were heard of later than this.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_presence(&mut self, heard: &[Presence]) -> Result<u64, StoreError> {
        if heard.is_empty() {
            return Ok(0);
        }
        let mut latest: HashMap<DeviceId, &Presence> = HashMap::with_capacity(heard.len());
        for presence in heard {
            let kept = latest.entry(presence.device).or_insert(presence);
            if kept.at < presence.at {
                *kept = presence;
            }
        }
        let latest = latest.into_values();
        match &mut self.connection {
            Connection::Sqlite(inner) => sqlite::presence::record(inner, latest).await,
            Connection::Postgres(inner) => postgres::presence::record(inner, latest).await,
        }
    }
}
