//! The networks in which devices were heard of, of those that moved.

use countersign_core::ids::{DeviceId, DeviceName, Tenant};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "device_networks";

/// How many networks of a device are remembered.
const NETWORKS: u32 = 16;

/// A device came to a network in which it had not been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNetworkRow {
    /// Whose it is.
    pub tenant: Tenant,
    /// What it is called.
    pub device: DeviceName,
    /// The network.
    pub network: String,
    /// When.
    pub came_at: Timestamp,
}

impl FromRow for NewNetworkRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: row.parsed("slug")?,
            device: row.parsed("name")?,
            network: row.text("network")?,
            came_at: row.time("came_at")?,
        })
    }
}

impl Reading<'_> {
    /// The devices that came to a network for the first time since a moment, the latest first, `limit` at most.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn new_networks(
        &mut self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<NewNetworkRow>, StoreError> {
        sql(
            TABLE,
            "SELECT t.slug, d.name, n.network, n.came_at FROM device_networks n
             JOIN devices d ON d.id = n.device_id JOIN tenants t ON t.id = d.org_id
             WHERE n.came_at > $1 ORDER BY n.came_at DESC, n.device_id LIMIT $2",
        )
        .bind(since)
        .bind(limit)
        .all(&mut self.connection)
        .await
    }
}

impl Writing<'_> {
    /// Records that a device came from one network to another one. Of many of one device the oldest are
    /// forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_network(
        &mut self,
        device: DeviceId,
        (from, to): (&str, &str),
        at: Timestamp,
    ) -> Result<(), StoreError> {
        for (network, came_at) in [(from, None), (to, Some(at))] {
            sql(
                TABLE,
                "INSERT INTO device_networks (device_id, network, came_at) VALUES ($1, $2, $3)
                 ON CONFLICT (device_id, network) DO NOTHING",
            )
            .bind(device)
            .bind(network)
            .bind(came_at)
            .run(&mut self.connection)
            .await?;
        }
        sql(
            TABLE,
            "DELETE FROM device_networks WHERE device_id = $1 AND network NOT IN
                 (SELECT network FROM device_networks WHERE device_id = $1
                  ORDER BY came_at IS NULL, came_at DESC LIMIT $2)",
        )
        .bind(device)
        .bind(NETWORKS)
        .run(&mut self.connection)
        .await
        .map(drop)
    }
}
