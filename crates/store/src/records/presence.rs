//! Heartbeats, many in one statement.

use std::collections::HashMap;
use std::net::IpAddr;

use countersign_core::ids::DeviceId;
use countersign_core::time::Timestamp;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::statement::sql;
use crate::transaction::Writing;
use crate::{postgres, sqlite};

/// Of how many devices it is noted in one statement that they were heard of: it writes an index, and others wait.
const NOTED_AT_ONCE: u32 = 4096;

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
    /// Notes of online devices that were last noted to have been heard of before a moment, and were heard of
    /// since, when that was; of many not all at once. Says whether there may be more.
    ///
    /// Whoever is silent is found by what is noted here: an index over the time of the last heartbeat itself
    /// would be written with every heartbeat, and on PostgreSQL all others of the table with it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_heard_since(&mut self, before: Timestamp) -> Result<bool, StoreError> {
        let noted = sql(
            "devices",
            "UPDATE devices SET last_seen_floor = last_seen_at WHERE id IN
                 (SELECT id FROM devices
                  WHERE status = 'online' AND last_seen_floor < $1 AND last_seen_at >= $1
                  ORDER BY last_seen_floor LIMIT $2)",
        )
        .bind(before)
        .bind(NOTED_AT_ONCE)
        .run(&mut self.connection)
        .await?;
        Ok(noted == u64::from(NOTED_AT_ONCE))
    }

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
