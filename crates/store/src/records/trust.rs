//! What trust snapshots are made from.

use std::collections::HashMap;
use std::time::Duration;

use countersign_core::certificate::{CertificateState, Lifetime, RevocationReason};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{
    CertificateRef, DeviceId, DeviceName, IssuerKeyId, SecretHash, SerialNumber, SpkiSha256, Tenant,
};
use countersign_core::snapshot::{SnapshotVersion, TOKEN_SESSION};
use countersign_core::time::Timestamp;

use super::foreign_trusts::ForeignTrustRow;
use super::restorations::UnprovedPeriodRow;
use super::revocations::RevocationRow;
use super::rules::KeptRule;
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
    /// The CAs of others that are trusted.
    pub foreign_trusts: Vec<ForeignTrustRow>,
    /// The rules that are kept here.
    pub rules: Vec<KeptRule>,
    /// Of which certificates are denied that are not on record.
    pub unproved: Vec<UnprovedPeriodRow>,
    /// Those that such a period may concern and that are.
    pub proved: Vec<CertificateRef>,
    /// Revoked certificates that have not ended.
    pub revocations: Vec<RevocationRow>,
    /// Certificates that CAs elsewhere signed, whatever their state: those that ended are refused as such.
    pub bound: Vec<BoundCertificate>,
    /// Keys that prove nothing ever again, those of [`Self::revocations`] among them.
    pub denied_keys: Vec<SpkiSha256>,
    /// Provisioning tokens that count no more, while a session may be left that one opened.
    pub ended_tokens: Vec<CertificateRef>,
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
    /// The CAs that were added or changed.
    pub issuers: Vec<IssuerKeyId>,
    /// The CAs of others that are trusted now, if any was added or removed.
    pub foreign_trusts: Option<Vec<ForeignTrustRow>>,
    /// The rules that are kept here, if they changed.
    pub rules: Option<Vec<KeptRule>>,
    /// Certificates of services that doors deny unless they are told that they are on record.
    pub services: Vec<CertificateRef>,
    /// The certificates of services that were revoked.
    pub revoked_services: Vec<CertificateRef>,
    /// Those of their keys that prove nothing any more.
    pub denied_service_keys: Vec<SpkiSha256>,
}

/// A device that doors must hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its tenant.
    pub tenant: Tenant,
    /// Its name.
    pub name: DeviceName,
    /// Where it stands.
    pub status: DeviceStatus,
    /// The hash of its bearer token; `None` once revoked.
    pub token: Option<SecretHash>,
    /// Its certificates.
    pub certificates: Vec<ChangedCertificate>,
    /// The keys that are denied because of it.
    pub denied_keys: Vec<SpkiSha256>,
    /// The keys that were denied because of it, and are so no more for any reason.
    pub lifted_keys: Vec<SpkiSha256>,
    /// Its provisioning tokens that count no more, as doors know them.
    pub ended_tokens: Vec<CertificateRef>,
}

/// What doors must hear of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedCertificate {
    /// Which.
    pub reference: CertificateRef,
    /// Its key.
    pub spki: SpkiSha256,
    /// Where it stands.
    pub state: CertificateState,
    /// From issuance to its end.
    pub lifetime: Lifetime,
    /// Until when sessions opened with it may go on, once it is superseded.
    pub superseded_until: Option<Timestamp>,
    /// Why it was revoked.
    pub reason: Option<RevocationReason>,
    /// The certificate, DER, when a CA elsewhere signed it.
    pub bound: Option<Vec<u8>>,
}

/// A certificate that a CA elsewhere signed, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundCertificate {
    /// Which.
    pub reference: CertificateRef,
    /// The device's tenant.
    pub tenant: Tenant,
    /// The device.
    pub device: DeviceName,
    /// Its key.
    pub spki: SpkiSha256,
    /// The last moment at which it counts.
    pub expires_at: Timestamp,
    /// The certificate, DER.
    pub der: Vec<u8>,
}

impl FromRow for BoundCertificate {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            reference: CertificateRef::from_row(row)?,
            tenant: row.parsed("tenant_id")?,
            device: row.parsed("device_id")?,
            spki: row.parsed("spki_sha256")?,
            expires_at: row.time("not_after")?,
            der: row.bytes("der")?,
        })
    }
}

/// How long after its end a certificate of a CA elsewhere is still known for whose it was: as long as a
/// device may come back with it.
const BOUND_LONG_AFTER: Duration = Duration::from_secs(400 * 86_400);

/// Something of a device's.
struct Of<T>(DeviceId, T);

impl FromRow for ChangedDevice {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let BarredDevice { tenant, name, status } = BarredDevice::from_row(row)?;
        Ok(Self {
            id: row.parsed("id")?,
            tenant,
            name,
            status,
            token: row.optional_parsed("token_sha256")?,
            certificates: Vec::new(),
            denied_keys: Vec::new(),
            lifted_keys: Vec::new(),
            ended_tokens: Vec::new(),
        })
    }
}

impl FromRow for Of<ChangedCertificate> {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let certificate = ChangedCertificate {
            reference: CertificateRef::from_row(row)?,
            spki: row.parsed("spki_sha256")?,
            state: row.certificate_state("status")?,
            lifetime: Lifetime { issued_at: row.time("issued_at")?, expires_at: row.time("not_after")? },
            superseded_until: row.optional_time("superseded_until")?,
            reason: row.optional_parsed("revocation_reason")?,
            bound: row.optional_bytes("bound_der")?,
        };
        Ok(Self(row.parsed("device_uuid")?, certificate))
    }
}

impl FromRow for Of<SerialNumber> {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self(row.parsed("device_id")?, row.parsed("serial_number")?))
    }
}

impl FromRow for Of<SpkiSha256> {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self(row.parsed("device_id")?, row.parsed("spki_sha256")?))
    }
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
        let unproved = self.unproved_periods().await?;
        let mut proved = Vec::new();
        for period in &unproved {
            proved.extend(self.certificates_of_period(*period, now).await?);
        }
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
            bound: sql(
                "device_certificates",
                "SELECT c.issuer_key_id, c.serial_number, c.tenant_id, c.device_id, c.spki_sha256, c.not_after,
                     c.der
                 FROM upstream_certificates u JOIN device_certificates c
                     ON c.issuer_key_id = u.issuer_key_id AND c.serial_number = u.serial_number
                 WHERE c.not_after >= $1",
            )
            .bind(now - BOUND_LONG_AFTER)
            .all(&mut self.connection)
            .await?,
            foreign_trusts: self.foreign_trusts().await?,
            rules: self.kept_rules().await?.map(|row| row.rules).unwrap_or_default(),
            unproved,
            proved,
            revocations: self.live_revocations(now).await?,
            denied_keys: self.denied_keys().await?,
            // Clocks of authorities differ: one may have ended by another's a moment from now.
            ended_tokens: self.provisioning_tokens_ended(now - TOKEN_SESSION, now + TOKEN_SESSION).await?,
        })
    }

    /// What [`Writing::device_trust_changed`](crate::Writing::device_trust_changed),
    /// [`Writing::tenant_trust_changed`](crate::Writing::tenant_trust_changed),
    /// [`Writing::issuer_trust_changed`](crate::Writing::issuer_trust_changed) and
    /// [`Writing::service_trust_changed`](crate::Writing::service_trust_changed) were called for after
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
        let devices = self.changed_devices(epoch).await?;
        let issuers: Vec<Item<IssuerKeyId>> =
            sql("issuers", "SELECT key_id AS item FROM issuers WHERE trust_epoch > $1")
                .bind(epoch)
                .all(&mut self.connection)
                .await?;
        let (revoked_services, services) = self.changed_services(epoch).await?;
        let denied: Vec<Item<SpkiSha256>> = sql(
            "service_certificates",
            "SELECT r.spki_sha256 AS item FROM service_certificates s
             JOIN revocations r ON r.issuer_key_id = s.issuer_key_id AND r.serial_number = s.serial_number
             WHERE s.trust_epoch <> 0 AND s.trust_epoch > $1 AND r.spki_sha256 IS NOT NULL",
        )
        .bind(epoch)
        .all(&mut self.connection)
        .await?;
        let issuers = issuers.into_iter().map(|Item(issuer)| issuer).collect();
        let denied_service_keys = denied.into_iter().map(|Item(key)| key).collect();
        let foreign_trusts = self.foreign_trusts_if_changed_since(epoch).await?;
        let rules = self.kept_rules_if_changed_since(epoch).await?;
        Ok(TrustChanges {
            version,
            tenants,
            devices,
            issuers,
            foreign_trusts,
            rules,
            services,
            revoked_services,
            denied_service_keys,
        })
    }

    /// The certificates of services that were revoked since, and the others that doors must hear of.
    async fn changed_services(
        &mut self,
        epoch: u64,
    ) -> Result<(Vec<CertificateRef>, Vec<CertificateRef>), StoreError> {
        let revoked = sql(
            "service_certificates",
            "SELECT issuer_key_id, serial_number FROM service_certificates
             WHERE trust_epoch <> 0 AND trust_epoch > $1 AND status = 'revoked'",
        )
        .bind(epoch)
        .all(&mut self.connection)
        .await?;
        let others = sql(
            "service_certificates",
            "SELECT issuer_key_id, serial_number FROM service_certificates
             WHERE trust_epoch <> 0 AND trust_epoch > $1 AND status <> 'revoked'",
        )
        .bind(epoch)
        .all(&mut self.connection)
        .await?;
        Ok((revoked, others))
    }

    /// Five statements, however many devices there are.
    async fn changed_devices(&mut self, epoch: u64) -> Result<Vec<ChangedDevice>, StoreError> {
        let mut devices: Vec<ChangedDevice> = sql(
            "devices",
            "SELECT d.id, t.slug AS tenant_slug, d.name, d.status, d.token_sha256 FROM devices d
             JOIN tenants t ON t.id = d.org_id WHERE d.trust_epoch <> 0 AND d.trust_epoch > $1",
        )
        .bind(epoch)
        .all(&mut self.connection)
        .await?;
        if devices.is_empty() {
            return Ok(devices);
        }
        let certificates: Vec<Of<ChangedCertificate>> = sql(
            "device_certificates",
            "SELECT c.device_uuid, c.issuer_key_id, c.serial_number, c.spki_sha256, c.status, c.issued_at,
                 c.not_after, c.superseded_until, c.revocation_reason,
                 CASE WHEN u.upstream_id IS NULL THEN NULL ELSE c.der END AS bound_der
             FROM devices d JOIN device_certificates c ON c.device_uuid = d.id
             LEFT JOIN upstream_certificates u
                 ON u.issuer_key_id = c.issuer_key_id AND u.serial_number = c.serial_number
             WHERE d.trust_epoch <> 0 AND d.trust_epoch > $1",
        )
        .bind(epoch)
        .all(&mut self.connection)
        .await?;
        let denied: Vec<Of<SpkiSha256>> = sql(
            "denied_keys",
            "SELECT k.device_id, k.spki_sha256 FROM devices d JOIN denied_keys k ON k.device_id = d.id
             WHERE d.trust_epoch <> 0 AND d.trust_epoch > $1 AND k.lifted_at IS NULL",
        )
        .bind(epoch)
        .all(&mut self.connection)
        .await?;
        let lifted: Vec<Of<SpkiSha256>> = sql(
            "denied_keys",
            "SELECT k.device_id, k.spki_sha256 FROM devices d JOIN denied_keys k ON k.device_id = d.id
             WHERE d.trust_epoch <> 0 AND d.trust_epoch > $1 AND k.lifted_at IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.spki_sha256 = k.spki_sha256)",
        )
        .bind(epoch)
        .all(&mut self.connection)
        .await?;
        let ended: Vec<Of<SerialNumber>> = sql(
            "provisioning_tokens",
            "SELECT p.device_id, p.serial_number FROM devices d
             JOIN provisioning_tokens p ON p.device_id = d.id
             WHERE d.trust_epoch <> 0 AND d.trust_epoch > $1 AND p.ended_at IS NOT NULL",
        )
        .bind(epoch)
        .all(&mut self.connection)
        .await?;
        let mut places: HashMap<DeviceId, &mut ChangedDevice> =
            devices.iter_mut().map(|device| (device.id, device)).collect();
        for Of(id, certificate) in certificates {
            if let Some(device) = places.get_mut(&id) {
                device.certificates.push(certificate);
            }
        }
        for Of(id, key) in denied {
            if let Some(device) = places.get_mut(&id) {
                device.denied_keys.push(key);
            }
        }
        for Of(id, key) in lifted {
            if let Some(device) = places.get_mut(&id) {
                device.lifted_keys.push(key);
            }
        }
        for Of(id, serial) in ended {
            if let Some(device) = places.get_mut(&id) {
                device.ended_tokens.push(CertificateRef { issuer: IssuerKeyId::OF_TOKENS, serial });
            }
        }
        Ok(devices)
    }
}
