//! What a broker that keeps an account for every device must know of each.

use countersign_core::ids::{DeviceId, DeviceName, Tenant};
use countersign_core::time::Timestamp;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::postgres;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "devices";

/// The columns, and where the conditions of each statement begin. A certificate that was replaced in the
/// ordinary way is no reason to end a session: its successor is there.
macro_rules! select_brokered {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, t.slug AS tenant_slug, d.name, d.status, t.suspended_at,
                 (SELECT count(*) FROM device_certificates c WHERE c.device_uuid = d.id AND c.not_after >= $1
                     AND c.status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED')) AS usable,
                 (SELECT count(*) FROM device_certificates c WHERE c.device_uuid = d.id AND c.not_after >= $1
                     AND c.status = 'REVOKED' AND c.revocation_reason <> 'superseded') AS revoked
             FROM devices d JOIN tenants t ON t.id = d.org_id",
            $rest
        )
    };
}

/// A device, as a broker must treat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokeredDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its tenant.
    pub tenant: Tenant,
    /// Its name.
    pub name: DeviceName,
    /// Whether it is served: it is not barred, its tenant is not suspended, and it has a certificate that
    /// counts.
    pub is_served: bool,
    /// How many of its certificates, of those that have not ended, were revoked.
    pub revoked: u32,
    /// Whether it has any certificate that has not ended, good or not.
    pub is_about: bool,
}

impl FromRow for BrokeredDevice {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let status: countersign_core::device::DeviceStatus = row.parsed("status")?;
        let (usable, revoked): (u32, u32) = (row.number("usable")?, row.number("revoked")?);
        let is_running = row.optional_time("suspended_at")?.is_none();
        Ok(Self {
            id: row.parsed("id")?,
            tenant: row.parsed("tenant_slug")?,
            name: row.parsed("name")?,
            is_served: usable > 0 && is_running && !status.is_barred(),
            revoked,
            is_about: usable > 0 || revoked > 0,
        })
    }
}

impl Reading<'_> {
    /// A part of all devices, by their ids.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn brokered_devices(
        &mut self,
        now: Timestamp,
        after: Option<DeviceId>,
        limit: u32,
    ) -> Result<Vec<BrokeredDevice>, StoreError> {
        let statement = match after {
            None => sql(TABLE, select_brokered!(" ORDER BY d.id LIMIT $2")).bind(now),
            Some(id) => {
                sql(TABLE, select_brokered!(" WHERE d.id > $2 ORDER BY d.id LIMIT $3")).bind(now).bind(id)
            }
        };
        statement.bind(limit).all(&mut self.connection).await
    }

    /// One device.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn brokered_device(
        &mut self,
        now: Timestamp,
        id: DeviceId,
    ) -> Result<Option<BrokeredDevice>, StoreError> {
        sql(TABLE, select_brokered!(" WHERE d.id = $2"))
            .bind(now)
            .bind(id)
            .optional(&mut self.connection)
            .await
    }

    /// The devices that doors had to hear of after `epoch`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn brokered_devices_since(
        &mut self,
        now: Timestamp,
        epoch: u64,
    ) -> Result<Vec<BrokeredDevice>, StoreError> {
        sql(TABLE, select_brokered!(" WHERE d.trust_epoch <> 0 AND d.trust_epoch > $2"))
            .bind(now)
            .bind(epoch)
            .all(&mut self.connection)
            .await
    }

    /// The devices that enrolled from a moment on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn brokered_devices_enrolled_since(
        &mut self,
        now: Timestamp,
        moment: Timestamp,
    ) -> Result<Vec<BrokeredDevice>, StoreError> {
        sql(
            TABLE,
            select_brokered!(" WHERE d.id IN (SELECT device_id FROM device_lookup WHERE enrolled_at >= $2)"),
        )
        .bind(now)
        .bind(moment)
        .all(&mut self.connection)
        .await
    }

    /// The devices of tenants that doors had to hear of after `epoch`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn brokered_devices_of_tenants_since(
        &mut self,
        now: Timestamp,
        epoch: u64,
    ) -> Result<Vec<BrokeredDevice>, StoreError> {
        sql(TABLE, select_brokered!(" WHERE t.trust_epoch <> 0 AND t.trust_epoch > $2"))
            .bind(now)
            .bind(epoch)
            .all(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Says to every process on the database that these devices enrolled, once that is committed. On SQLite there
    /// is no other.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tell_of_enrolled(&mut self, devices: &[DeviceId]) -> Result<(), StoreError> {
        if let Connection::Sqlite(_) = self.connection {
            return Ok(());
        }
        for some in devices.chunks(postgres::epochs::AT_ONCE) {
            let ids: Vec<String> = some.iter().map(ToString::to_string).collect();
            sql(TABLE, postgres::epochs::ENROLLED).bind(ids.join(",")).run(&mut self.connection).await?;
        }
        Ok(())
    }
}
