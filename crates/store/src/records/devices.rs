//! Devices.

use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::{
    AgentId, DeviceId, DeviceName, IssuerKeyId, SecretHash, SerialNumber, SiteId, Tenant, TenantId,
};
use countersign_core::time::Timestamp;

use super::reports::AgentReport;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::rows::Rows;
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

pub(crate) const TABLE: &str = "devices";

/// What a new one is written with.
const COLUMNS: [&str; 24] = [
    "id",
    "org_id",
    "site_id",
    "agent_id",
    "name",
    "hostname",
    "os_type",
    "os_version",
    "architecture",
    "agent_version",
    "hardware_serial",
    "status",
    "token_sha256",
    "mtls_cert_serial_number",
    "mtls_cert_expires_at",
    "mtls_cert_issued_at",
    "certificate_issuer",
    "quarantined_at",
    "quarantined_reason",
    "pending_key",
    "grant_until",
    "enrolled_at",
    "decommissioned_at",
    "revision",
];

/// A device as far as it is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// Its id in admin URLs.
    pub id: DeviceId,
    /// Its tenant; never changes.
    pub tenant: TenantId,
    /// Its tenant's slug; read with the row, not written.
    pub tenant_slug: Tenant,
    /// Its site.
    pub site: SiteId,
    /// Its site's short name; read with the row, not written.
    pub site_slug: String,
    /// Its id in agent URLs.
    pub agent: AgentId,
    /// Its name, unique in the tenant and never used again; never changes.
    pub name: DeviceName,
    /// What it calls itself.
    pub hostname: String,
    /// Its operating system: `windows`, `macos` or `linux`.
    pub os_type: String,
    /// The operating system's version.
    pub os_version: String,
    /// Its processor architecture.
    pub architecture: String,
    /// Its agent's version.
    pub agent_version: String,
    /// Its hardware's serial number, if it gave one.
    pub hardware_serial: Option<String>,
    /// Where it stands.
    pub status: DeviceStatus,
    /// The hash of its bearer token; `None` once revoked.
    pub token: Option<SecretHash>,
    /// Its last heartbeat; written by [`Writing::record_presence`] alone.
    pub last_seen_at: Option<Timestamp>,
    /// Where that came from; written by [`Writing::record_presence`] alone.
    pub last_ip: Option<String>,
    /// Since when it is in quarantine, if it is.
    pub quarantined_at: Option<Timestamp>,
    /// Why it is in quarantine.
    pub quarantined_reason: Option<QuarantineReason>,
    /// The key (SubjectPublicKeyInfo, DER) kept from an enrolment that got no certificate.
    pub pending_key: Option<Vec<u8>>,
    /// Until when an admin's approval waits to be used.
    pub grant_until: Option<Timestamp>,
    /// Its latest certificate, kept after that ends; written with a new device and by
    /// [`Writing::set_certificate_summary`] alone. `None`: it never had one.
    pub certificate: Option<CertificateSummary>,
    /// What its agent last said of itself; written by [`Writing::record_report`] alone.
    pub reported: AgentReport,
    /// When the last of its open commands ends; `None`: it has none. Written with the commands alone.
    pub commands_until: Option<Timestamp>,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// When it was decommissioned, if it was.
    pub decommissioned_at: Option<Timestamp>,
    /// Counts the changes, for compare-and-set; 0 for a new one.
    pub revision: u64,
}

/// What a device's row says about its latest certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSummary {
    /// Its serial number.
    pub serial: SerialNumber,
    /// Who signed it; `None` when that is not on record.
    pub issuer: Option<IssuerKeyId>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What became of a new device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is on record.
    Done,
    /// Its name is, or was, another device's in the tenant.
    NameTaken,
}

impl FromRow for DeviceRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            tenant: row.parsed("org_id")?,
            tenant_slug: row.parsed("tenant_slug")?,
            site: row.parsed("site_id")?,
            site_slug: row.text("site_slug")?,
            agent: row.parsed("agent_id")?,
            name: row.parsed("name")?,
            hostname: row.text("hostname")?,
            os_type: row.text("os_type")?,
            os_version: row.text("os_version")?,
            architecture: row.text("architecture")?,
            agent_version: row.text("agent_version")?,
            hardware_serial: row.optional_text("hardware_serial")?,
            status: row.parsed("status")?,
            token: row.optional_parsed("token_sha256")?,
            last_seen_at: row.optional_time("last_seen_at")?,
            last_ip: row.optional_text("last_ip")?,
            quarantined_at: row.optional_time("quarantined_at")?,
            quarantined_reason: row.optional_parsed("quarantined_reason")?,
            pending_key: row.optional_bytes("pending_key")?,
            grant_until: row.optional_time("grant_until")?,
            certificate: summary(row)?,
            reported: AgentReport::from_row(row)?,
            commands_until: row.optional_time("commands_until")?,
            enrolled_at: row.time("enrolled_at")?,
            decommissioned_at: row.optional_time("decommissioned_at")?,
            revision: row.number("revision")?,
        })
    }
}

fn summary(row: &Row) -> Result<Option<CertificateSummary>, StoreError> {
    let Some(serial) = row.optional_parsed("mtls_cert_serial_number")? else { return Ok(None) };
    Ok(Some(CertificateSummary {
        serial,
        issuer: row.optional_parsed("certificate_issuer")?,
        issued_at: row.time("mtls_cert_issued_at")?,
        expires_at: row.time("mtls_cert_expires_at")?,
    }))
}

impl DeviceRow {
    /// What is written of new ones.
    pub(super) fn rows(devices: &[Self]) -> Rows<{ COLUMNS.len() }> {
        let mut rows = Rows::of(TABLE, &COLUMNS);
        for device in devices {
            let certificate = device.certificate.as_ref();
            rows.add([
                device.id.into(),
                device.tenant.into(),
                device.site.into(),
                device.agent.into(),
                (&device.name).into(),
                device.hostname.as_str().into(),
                device.os_type.as_str().into(),
                device.os_version.as_str().into(),
                device.architecture.as_str().into(),
                device.agent_version.as_str().into(),
                device.hardware_serial.as_deref().into(),
                device.status.into(),
                device.token.into(),
                certificate.map(|summary| &summary.serial).into(),
                certificate.map(|summary| summary.expires_at).into(),
                certificate.map(|summary| summary.issued_at).into(),
                certificate.and_then(|summary| summary.issuer).into(),
                device.quarantined_at.into(),
                device.quarantined_reason.as_ref().into(),
                device.pending_key.as_deref().into(),
                device.grant_until.into(),
                device.enrolled_at.into(),
                device.decommissioned_at.into(),
                device.revision.into(),
            ]);
        }
        rows
    }

    /// Whether it ever had a certificate.
    #[must_use]
    pub const fn ever_had_certificate(&self) -> bool {
        self.certificate.is_some()
    }
}

/// A `SELECT` of whole devices with the given rest of the statement.
macro_rules! select_devices {
    ($rest:literal) => {
        concat!(
            "SELECT d.*, t.slug AS tenant_slug, s.slug AS site_slug FROM devices d \
             JOIN tenants t ON t.id = d.org_id JOIN sites s ON s.id = d.site_id",
            $rest
        )
    };
}
pub(crate) use select_devices;

impl Reading<'_> {
    /// The device with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn device(&mut self, id: DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        sql(TABLE, select_devices!(" WHERE d.id = $1")).bind(id).optional(&mut self.connection).await
    }

    /// The device whose agent has this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn device_by_agent(&mut self, agent: AgentId) -> Result<Option<DeviceRow>, StoreError> {
        sql(TABLE, select_devices!(" WHERE d.id = (SELECT device_id FROM device_lookup WHERE agent_id = $1)"))
            .bind(agent)
            .optional(&mut self.connection)
            .await
    }

    /// The device whose token has this hash.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn device_by_token(&mut self, token: &SecretHash) -> Result<Option<DeviceRow>, StoreError> {
        sql(
            TABLE,
            select_devices!(" WHERE d.id = (SELECT device_id FROM device_lookup WHERE token_sha256 = $1)"),
        )
        .bind(*token)
        .optional(&mut self.connection)
        .await
    }

    /// The tenant's device with this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn device_by_name(
        &mut self,
        tenant: TenantId,
        name: &DeviceName,
    ) -> Result<Option<DeviceRow>, StoreError> {
        sql(TABLE, select_devices!(" WHERE d.org_id = $1 AND d.name = $2"))
            .bind(tenant)
            .bind(name)
            .optional(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Records a new device.
    ///
    /// # Errors
    /// [`StoreError`], also when its id, agent id or token is on record already.
    pub async fn insert_device(&mut self, device: &DeviceRow) -> Result<Inserted, StoreError> {
        let name_taken = "ON CONFLICT (org_id, name) DO NOTHING";
        let rows = DeviceRow::rows(std::slice::from_ref(device));
        let written = rows.insert(&mut self.connection, name_taken).await?;
        Ok(if written > 0 { Inserted::Done } else { Inserted::NameTaken })
    }

    /// Replaces a device's row by a changed copy of what was read, if nobody changed it in between;
    /// `false` when somebody did, and then nothing is written. The revision on record goes up by
    /// one. Tenant, name, enrolment time, presence and certificate summary stay as they are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_device(&mut self, device: &DeviceRow) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE devices SET site_id = $3, agent_id = $4, hostname = $5, os_type = $6, os_version = $7,
                 architecture = $8, agent_version = $9, hardware_serial = $10, status = $11,
                 token_sha256 = $12, quarantined_at = $13, quarantined_reason = $14, pending_key = $15,
                 grant_until = $16, decommissioned_at = $17, revision = revision + 1
             WHERE id = $1 AND revision = $2",
        )
        .bind(device.id)
        .bind(device.revision)
        .bind(device.site)
        .bind(device.agent)
        .bind(device.hostname.as_str())
        .bind(device.os_type.as_str())
        .bind(device.os_version.as_str())
        .bind(device.architecture.as_str())
        .bind(device.agent_version.as_str())
        .bind(device.hardware_serial.as_deref())
        .bind(device.status)
        .bind(device.token)
        .bind(device.quarantined_at)
        .bind(device.quarantined_reason.as_ref())
        .bind(device.pending_key.as_deref())
        .bind(device.grant_until)
        .bind(device.decommissioned_at)
        .changed(&mut self.connection)
        .await
    }

    /// Writes what a device's row says about its latest certificate; `false` when there is no such
    /// device. The revision stays: this is no decision.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_certificate_summary(
        &mut self,
        device: DeviceId,
        summary: &CertificateSummary,
    ) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE devices SET mtls_cert_serial_number = $2, mtls_cert_issued_at = $3,
                 mtls_cert_expires_at = $4, certificate_issuer = $5,
                 mtls_cert_cf_id = (SELECT max(u.upstream_id) FROM upstream_certificates u
                     WHERE u.serial_number = $6)
             WHERE id = $1",
        )
        .bind(device)
        .bind(&summary.serial)
        .bind(summary.issued_at)
        .bind(summary.expires_at)
        .bind(summary.issuer)
        // Once more: the columns have other types on PostgreSQL.
        .bind(&summary.serial)
        .changed(&mut self.connection)
        .await
    }
}
