//! What trust snapshots are made from.

use countersign_core::device::DeviceStatus;
use countersign_core::ids::{CertificateRef, DeviceName, SpkiSha256, Tenant};
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;

use super::certificates::CertificateRow;
use super::devices::{DeviceRow, select_devices};
use super::revocations::RevocationRow;
use super::tenants::TenantRow;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::Reading;

/// Everything a trust snapshot says about tenants, devices and certificates: whole, not a page.
#[derive(Clone, Debug)]
pub struct TrustMaterial {
    /// The version these facts belong to.
    pub version: SnapshotVersion,
    /// Every tenant.
    pub tenants: Vec<TenantRow>,
    /// Quarantined and decommissioned devices.
    pub barred: Vec<BarredDevice>,
    /// Replaced certificates that have not ended.
    pub superseded: Vec<SupersededCertificate>,
    /// Certificates that wait for their first use.
    pub pending: Vec<CertificateRef>,
    /// Revoked certificates that have not ended.
    pub revocations: Vec<RevocationRow>,
    /// Keys that prove nothing ever again, those of [`Self::revocations`] among them.
    pub denied_keys: Vec<SpkiSha256>,
}

/// What doors must hear of since an epoch.
#[derive(Clone, Debug)]
pub struct TrustChanges {
    /// The version that holds all of it.
    pub version: SnapshotVersion,
    /// The tenants, as they are now.
    pub tenants: Vec<TenantRow>,
    /// The devices, as they are now.
    pub devices: Vec<ChangedDevice>,
}

/// A device that doors must hear of.
#[derive(Clone, Debug)]
pub struct ChangedDevice {
    /// The device.
    pub device: DeviceRow,
    /// Its certificates, newest first.
    pub certificates: Vec<CertificateRow>,
    /// The keys that were denied because of it.
    pub denied_keys: Vec<SpkiSha256>,
}

/// A device that is refused whatever it presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarredDevice {
    /// Its tenant.
    pub tenant: Tenant,
    /// Its name.
    pub name: DeviceName,
    /// Quarantined or decommissioned.
    pub status: DeviceStatus,
}

/// A replaced certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupersededCertificate {
    /// Which.
    pub reference: CertificateRef,
    /// Until when sessions opened with it may go on.
    pub until: Timestamp,
}

impl FromRow for BarredDevice {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: row.parsed("tenant_slug")?,
            name: row.parsed("name")?,
            status: row.parsed("status")?,
        })
    }
}

impl FromRow for SupersededCertificate {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { reference: CertificateRef::from_row(row)?, until: row.time("superseded_until")? })
    }
}

impl FromRow for CertificateRef {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { issuer: row.parsed("issuer_key_id")?, serial: row.parsed("serial_number")? })
    }
}

impl Reading<'_> {
    /// Everything a trust snapshot is made from.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn trust_material(&mut self, now: Timestamp) -> Result<TrustMaterial, StoreError> {
        Ok(TrustMaterial {
            version: self.snapshot_version().await?,
            tenants: sql("tenants", "SELECT * FROM tenants").all(&mut self.connection).await?,
            barred: sql(
                "devices",
                "SELECT t.slug AS tenant_slug, d.name AS name, d.status AS status
                 FROM devices d JOIN tenants t ON t.id = d.org_id
                 WHERE d.status IN ('quarantined', 'decommissioned')",
            )
            .all(&mut self.connection)
            .await?,
            superseded: sql(
                "device_certificates",
                "SELECT issuer_key_id, serial_number, superseded_until FROM device_certificates
                 WHERE status = 'SUPERSEDED' AND not_after >= $1",
            )
            .bind(now)
            .all(&mut self.connection)
            .await?,
            pending: sql(
                "device_certificates",
                "SELECT issuer_key_id, serial_number FROM device_certificates
                 WHERE status = 'PENDING_ACTIVATION' AND not_after >= $1",
            )
            .bind(now)
            .all(&mut self.connection)
            .await?,
            revocations: self.live_revocations(now).await?,
            denied_keys: self.denied_keys().await?,
        })
    }

    /// What [`Writing::device_trust_changed`](crate::Writing::device_trust_changed) and
    /// [`Writing::tenant_trust_changed`](crate::Writing::tenant_trust_changed) were called for after
    /// `epoch`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn trust_changes_since(&mut self, epoch: u64) -> Result<TrustChanges, StoreError> {
        let version = self.snapshot_version().await?;
        let tenants = sql("tenants", "SELECT * FROM tenants WHERE trust_epoch > $1")
            .bind(epoch)
            .all(&mut self.connection)
            .await?;
        let changed: Vec<DeviceRow> =
            sql("devices", select_devices!(" WHERE d.trust_epoch <> 0 AND d.trust_epoch > $1"))
                .bind(epoch)
                .all(&mut self.connection)
                .await?;
        let mut devices = Vec::with_capacity(changed.len());
        for device in changed {
            let certificates = self.certificates_of(device.id).await?;
            let denied_keys = self.denied_keys_of(device.id).await?;
            devices.push(ChangedDevice { device, certificates, denied_keys });
        }
        Ok(TrustChanges { version, tenants, devices })
    }
}
