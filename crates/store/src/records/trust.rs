//! What trust snapshots are made from.

use countersign_core::certificate::CertificateState;
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{CertificateRef, DeviceId, DeviceName, SpkiSha256, Tenant};
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;

use super::certificates::CertificateRow;
use super::devices::DeviceRow;
use super::revocations::RevocationRow;
use super::tenants::TenantRow;
use crate::error::StoreError;
use crate::row::{FromRow, Item, Row};
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
    /// Denied keys. The keys in [`Self::revocations`] are denied too and not repeated here.
    pub denied_keys: Vec<SpkiSha256>,
}

/// The same facts about one device.
#[derive(Clone, Debug)]
pub struct DeviceTrust {
    /// The version these facts belong to.
    pub version: SnapshotVersion,
    /// Its tenant.
    pub tenant: Tenant,
    /// Its name.
    pub name: DeviceName,
    /// Where it stands.
    pub status: DeviceStatus,
    /// Its replaced certificates that have not ended.
    pub superseded: Vec<SupersededCertificate>,
    /// Its certificates that wait for their first use.
    pub pending: Vec<CertificateRef>,
    /// Its revoked certificates that have not ended.
    pub revocations: Vec<RevocationRow>,
    /// Keys denied because of it. The keys in [`Self::revocations`] are denied too and not repeated here.
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

    /// The same facts about one device; `None` when there is no such device.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn device_trust(
        &mut self,
        device: DeviceId,
        now: Timestamp,
    ) -> Result<Option<DeviceTrust>, StoreError> {
        let Some(DeviceRow { tenant_slug, name, status, .. }) = self.device(device).await? else {
            return Ok(None);
        };
        let certificates = self.certificates_of(device).await?;
        let live = || certificates.iter().filter(|row| !row.lifetime.is_expired(now));
        let denied: Vec<Item<SpkiSha256>> =
            sql("denied_keys", "SELECT spki_sha256 AS item FROM denied_keys WHERE device_id = $1")
                .bind(device)
                .all(&mut self.connection)
                .await?;
        Ok(Some(DeviceTrust {
            version: self.snapshot_version().await?,
            tenant: tenant_slug,
            name,
            status,
            superseded: live().filter_map(superseded).collect(),
            pending: live()
                .filter(|row| row.state == CertificateState::PendingActivation)
                .map(|row| row.reference.clone())
                .collect(),
            revocations: live().filter_map(revocation).collect(),
            denied_keys: denied.into_iter().map(|Item(key)| key).collect(),
        }))
    }
}

fn superseded(row: &CertificateRow) -> Option<SupersededCertificate> {
    let until = row.superseded_until.filter(|_until| row.state == CertificateState::Superseded)?;
    Some(SupersededCertificate { reference: row.reference.clone(), until })
}

fn revocation(row: &CertificateRow) -> Option<RevocationRow> {
    let (revoked_at, reason) = row.revoked_at.zip(row.reason)?;
    Some(RevocationRow {
        reference: row.reference.clone(),
        spki: Some(row.spki),
        revoked_at,
        reason,
        expires_at: row.lifetime.expires_at,
    })
}
