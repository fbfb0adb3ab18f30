//! The fleet in numbers: how many devices there are of each status, and how many certificates end when.

use countersign_core::device::DeviceStatus;
use countersign_core::ids::{Tenant, TenantId};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::Conditions;
use crate::transaction::Reading;

/// How many devices have a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusCount {
    /// The status.
    pub status: DeviceStatus,
    /// How many.
    pub devices: u64,
}

impl FromRow for StatusCount {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { status: row.parsed("status")?, devices: row.number("number")? })
    }
}

impl Reading<'_> {
    /// How many devices there are of each status that one has; with a tenant, of that tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn device_statuses(
        &mut self,
        tenant: Option<TenantId>,
    ) -> Result<Vec<StatusCount>, StoreError> {
        Conditions::none()
            .and("org_id = ?", tenant)
            .select("devices", "SELECT status, count(*) AS number FROM devices", "GROUP BY status", 100)
            .all(&mut self.connection)
            .await
    }

    /// How many certificates of devices that could be used end after a moment and not after another one;
    /// with a tenant, those that name it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn certificates_ending(
        &mut self,
        tenant: Option<&Tenant>,
        (after, by): (Timestamp, Timestamp),
    ) -> Result<u64, StoreError> {
        // Without a tenant the partial index of these states answers alone.
        let head = match tenant {
            None => "SELECT count(*) AS number FROM certificate_states s",
            Some(_) => {
                "SELECT count(*) AS number FROM certificate_states s
                 JOIN issued_certificates i ON i.id = s.certificate_id
                     AND s.status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED')"
            }
        };
        let Number(count) = Conditions::none()
            .and(
                "s.status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED') AND s.not_after > ?",
                Some(after),
            )
            .and("s.not_after <= ?", Some(by))
            .and("i.tenant_id = ?", tenant.map(Tenant::as_str))
            .select("certificate_states", head, "", 1)
            .one(&mut self.connection)
            .await?;
        Ok(count)
    }
}
