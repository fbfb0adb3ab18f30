//! Who depends on a CA, and who could do without it.

use std::collections::BTreeSet;

use countersign_core::certificate::CertificateState;
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{
    DeviceId, DeviceName, IssuerKeyId, ServiceLabel, Tenant, TenantId, TrustBundleHash,
};
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use super::cursor::Cursor;
use crate::error::StoreError;
use crate::row::{FromRow, Item, Number, Row};
use crate::statement::{Conditions, Statement, sql};
use crate::transaction::Reading;

const CERTIFICATES: &str = "device_certificates";

/// Where a page of dependent devices ended.
pub type DependentCursor = Cursor<DeviceId>;

/// What still goes back to a CA, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dependents {
    /// Active certificates of devices.
    pub active: u64,
    /// Those that wait to be confirmed.
    pub pending: u64,
    /// Replaced ones with which sessions may still be open.
    pub superseded: u64,
    /// Certificates of services that are in use, without those of doors and responders.
    pub services: u64,
    /// Certificates that are being signed at this moment.
    pub unrecorded: u64,
}

impl Dependents {
    /// Whether nothing does.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        let devices = self.active + self.pending + self.superseded;
        devices + self.services + self.unrecorded == 0
    }
}

impl FromRow for Dependents {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            active: row.number("active")?,
            pending: row.number("pending")?,
            superseded: row.number("superseded")?,
            services: 0,
            unrecorded: 0,
        })
    }
}

/// A device with a live certificate of a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependentDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its tenant.
    pub tenant: Tenant,
    /// Its name.
    pub name: DeviceName,
    /// Where it stands.
    pub status: DeviceStatus,
    /// When it was last heard of.
    pub last_seen_at: Option<Timestamp>,
    /// Where the certificate stands.
    pub state: CertificateState,
    /// When that ends.
    pub expires_at: Timestamp,
    at: Timestamp,
}

impl FromRow for DependentDevice {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            tenant: row.parsed("slug")?,
            name: row.parsed("name")?,
            status: row.parsed("status")?,
            last_seen_at: row.optional_time("last_seen_at")?,
            state: row.certificate_state("certificate_state")?,
            expires_at: row.time("not_after")?,
            at: row.time("enrolled_at")?,
        })
    }
}

/// A page of them, those first that enrolled last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependentPage {
    /// The devices, each once.
    pub devices: Vec<DependentDevice>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<DependentCursor>,
}

/// A device that was seen, with who signed its latest certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its tenant.
    pub tenant: Tenant,
    /// Who signed its latest certificate; `None`: it has none.
    pub issuer: Option<IssuerKeyId>,
}

impl FromRow for SeenDevice {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            tenant: row.parsed("slug")?,
            issuer: row.optional_parsed("certificate_issuer")?,
        })
    }
}

impl Reading<'_> {
    /// What depends on a CA at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn dependents(
        &mut self,
        issuer: IssuerKeyId,
        now: Timestamp,
    ) -> Result<Dependents, StoreError> {
        let mut dependents: Dependents = sql(
            CERTIFICATES,
            "SELECT coalesce(sum(CASE WHEN status = 'ACTIVE' THEN 1 ELSE 0 END), 0) AS active,
                 coalesce(sum(CASE WHEN status = 'PENDING_ACTIVATION' THEN 1 ELSE 0 END), 0) AS pending,
                 coalesce(sum(CASE WHEN status = 'SUPERSEDED' THEN 1 ELSE 0 END), 0) AS superseded
             FROM device_certificates
             WHERE issuer_key_id = $1 AND status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED')
                 AND not_after >= $2",
        )
        .bind(issuer)
        .bind(now)
        .one(&mut self.connection)
        .await?;
        let Number(services) = sql(
            "service_certificates",
            "SELECT count(*) AS number FROM service_certificates
             WHERE issuer_key_id = $1 AND status = 'active' AND not_after >= $2 AND profile <> 'ocsp'
                 AND (label IS NULL OR label <> 'door')",
        )
        .bind(issuer)
        .bind(now)
        .one(&mut self.connection)
        .await?;
        let Number(unrecorded) = sql(
            "issuance_intents",
            "SELECT count(*) AS number FROM issuance_intents WHERE issuer_key_id = $1",
        )
        .bind(issuer)
        .one(&mut self.connection)
        .await?;
        (dependents.services, dependents.unrecorded) = (services, unrecorded);
        Ok(dependents)
    }

    /// A page of the devices that depend on a CA at `now`; of all tenants, or of one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn dependent_devices(
        &mut self,
        (issuer, tenant): (IssuerKeyId, Option<TenantId>),
        now: Timestamp,
        after: Option<DependentCursor>,
        limit: u32,
    ) -> Result<DependentPage, StoreError> {
        let limit = limit.clamp(1, LIST_LIMIT);
        let mut devices: Vec<DependentDevice> = Conditions::none()
            .and("c.issuer_key_id = ?", Some(issuer))
            .and("c.not_after >= ?", Some(now))
            .and("l.org_id = ?", tenant)
            .and_pair("(l.enrolled_at, l.device_id) < (?, ?)", after.map(|cursor| (cursor.at, cursor.id)))
            .select(
                CERTIFICATES,
                "SELECT d.id, t.slug, d.name, d.status, d.last_seen_at, d.enrolled_at, c.not_after,
                     c.status AS certificate_state
                 FROM devices d JOIN tenants t ON t.id = d.org_id JOIN device_lookup l ON l.device_id = d.id
                 JOIN device_certificates c ON c.device_uuid = d.id
                     AND c.status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED')
                     AND NOT EXISTS (SELECT 1 FROM device_certificates later
                         WHERE later.device_uuid = c.device_uuid AND later.issuer_key_id = c.issuer_key_id
                             AND later.status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED')
                             AND (later.issued_at, later.id) > (c.issued_at, c.id))",
                "ORDER BY l.enrolled_at DESC, l.device_id DESC",
                limit + 1,
            )
            .all(&mut self.connection)
            .await?;
        let more = devices.len() > limit as usize;
        devices.truncate(limit as usize);
        let next = devices.last().filter(|_last| more).map(|last| Cursor { at: last.at, id: last.id });
        Ok(DependentPage { devices, next })
    }

    /// What the services are called that depend on a CA at `now`, each once; those without a name have
    /// none here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn dependent_services(
        &mut self,
        issuer: IssuerKeyId,
        now: Timestamp,
    ) -> Result<Vec<ServiceLabel>, StoreError> {
        let labels: Vec<Item<ServiceLabel>> = sql(
            "service_certificates",
            "SELECT DISTINCT label AS item FROM service_certificates
             WHERE issuer_key_id = $1 AND status = 'active' AND not_after >= $2 AND profile <> 'ocsp'
                 AND label IS NOT NULL AND label <> 'door'
             ORDER BY label LIMIT 100",
        )
        .bind(issuer)
        .bind(now)
        .all(&mut self.connection)
        .await?;
        Ok(labels.into_iter().map(|Item(label)| label).collect())
    }

    /// Every device that was seen since a moment and is served.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn seen_devices(&mut self, since: Timestamp) -> Result<Vec<SeenDevice>, StoreError> {
        sql(
            "devices",
            "SELECT d.id, t.slug, d.certificate_issuer FROM devices d JOIN tenants t ON t.id = d.org_id
             WHERE d.last_seen_at >= $1 AND d.status NOT IN ('quarantined', 'decommissioned')",
        )
        .bind(since)
        .all(&mut self.connection)
        .await
    }

    /// One of these CAs that is retired, if any is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn retired_among(
        &mut self,
        issuers: impl Iterator<Item = IssuerKeyId> + Send,
    ) -> Result<Option<IssuerKeyId>, StoreError> {
        let issuers: BTreeSet<IssuerKeyId> = issuers.collect();
        if issuers.is_empty() {
            return Ok(None);
        }
        let retired: Option<Item<IssuerKeyId>> = Statement::over_list(
            "issuers",
            "SELECT key_id AS item FROM issuers WHERE key_id IN ({}) AND state = 'retired'",
            issuers,
        )
        .optional(&mut self.connection)
        .await?;
        Ok(retired.map(|Item(issuer)| issuer))
    }

    /// How many devices that were seen since a moment and are served have reported these CA certificates.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices_with_bundle(
        &mut self,
        bundle: TrustBundleHash,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let Number(count) = sql(
            "devices",
            "SELECT count(*) AS number FROM devices
             WHERE last_seen_at >= $1 AND status NOT IN ('quarantined', 'decommissioned')
                 AND reported_trust_bundle = $2",
        )
        .bind(since)
        .bind(bundle)
        .one(&mut self.connection)
        .await?;
        Ok(count)
    }
}
