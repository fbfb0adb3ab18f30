//! Certificates that are about to end, and what has been said about it.

use countersign_core::expiry::ExpiryStep;
use countersign_core::ids::Tenant;
use countersign_core::time::Timestamp;

use super::SWEEP_LIMIT;
use super::service_certificates::ServiceCertificateRow;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const ALERTS: &str = "expiry_alerts";
const COUNTS: &str = "expiry_counts";

/// Under what alerts about certificates that were issued here are noted.
const ISSUED: &str = "issued";

/// Which certificates of services are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServicesEnding {
    /// Those that end after this.
    pub after: Timestamp,
    /// And not after this.
    pub by: Timestamp,
    /// Without those of which this step, or one nearer to the end, has been noted.
    pub step: ExpiryStep,
}

/// Which certificates of devices are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndingCertificates {
    /// Those that end after this.
    pub after: Timestamp,
    /// And not after this.
    pub by: Timestamp,
    /// And were issued no later than this: their devices should have renewed them.
    pub issued_by: Timestamp,
}

/// How many devices of a tenant have a certificate that is about to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiringDevices {
    /// Whose devices.
    pub tenant: Tenant,
    /// How many.
    pub devices: u64,
    /// The first end among them.
    pub soonest: Timestamp,
}

impl FromRow for ExpiringDevices {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: row.parsed("tenant_id")?,
            devices: row.number("devices")?,
            soonest: row.time("soonest")?,
        })
    }
}

struct Until(Timestamp);

impl FromRow for Until {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        row.time("counted_until").map(Self)
    }
}

impl Reading<'_> {
    /// Certificates of services that are in use and about to end, those first that end first; of several
    /// with one label the newest alone. Those of OCSP responders are left out: each is replaced long before
    /// its end. At most [`SWEEP_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn services_ending(
        &mut self,
        wanted: ServicesEnding,
    ) -> Result<Vec<ServiceCertificateRow>, StoreError> {
        sql(
            "service_certificates",
            "SELECT c.* FROM service_certificates c
             WHERE c.status <> 'revoked' AND c.status = 'active' AND c.profile <> 'ocsp'
                 AND c.not_after > $1 AND c.not_after <= $2
                 AND (c.label IS NULL OR NOT EXISTS (SELECT 1 FROM service_certificates newer
                     WHERE newer.label = c.label AND newer.issued_at > c.issued_at
                         AND newer.status = 'active'))
                 AND NOT EXISTS (SELECT 1 FROM expiry_alerts a
                     WHERE a.subject = $3 AND a.certificate = c.issuer_key_id || ':' || c.serial_number
                         AND a.step <= $4)
             ORDER BY c.not_after, c.id LIMIT $5",
        )
        .bind(wanted.after)
        .bind(wanted.by)
        .bind(ISSUED)
        .bind(wanted.step.days())
        .bind(SWEEP_LIMIT)
        .all(&mut self.connection)
        .await
    }

    /// How many devices of each tenant that are served have an active certificate of these; tenants without
    /// any are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn expiring_devices(
        &mut self,
        wanted: EndingCertificates,
    ) -> Result<Vec<ExpiringDevices>, StoreError> {
        sql(
            "device_certificates",
            "SELECT c.tenant_id, count(*) AS devices, min(c.not_after) AS soonest
             FROM device_certificates c JOIN devices d ON d.id = c.device_uuid
             WHERE c.status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED') AND c.status = 'ACTIVE'
                 AND c.not_after > $1 AND c.not_after <= $2 AND c.issued_at <= $3
                 AND d.status NOT IN ('quarantined', 'decommissioned')
             GROUP BY c.tenant_id ORDER BY c.tenant_id",
        )
        .bind(wanted.after)
        .bind(wanted.by)
        .bind(wanted.issued_by)
        .all(&mut self.connection)
        .await
    }

    /// Up to which end certificates of devices have been counted at a step.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn counted_until(&mut self, step: ExpiryStep) -> Result<Option<Timestamp>, StoreError> {
        let found = sql(COUNTS, "SELECT counted_until FROM expiry_counts WHERE step = $1")
            .bind(step.days())
            .optional::<Until>(&mut self.connection)
            .await?;
        Ok(found.map(|Until(until)| until))
    }
}

impl Writing<'_> {
    /// Notes that it is said of a certificate issued here that it is at a step; `false` when that, or a step
    /// nearer to its end, was noted before. `certificate` is issuer and serial number with a colon between.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_expiry_of_issued(
        &mut self,
        certificate: &str,
        step: ExpiryStep,
        times: (Timestamp, Timestamp),
    ) -> Result<bool, StoreError> {
        self.note_expiry((ISSUED, certificate), step, times).await
    }

    /// The same of a certificate that `subject` has; `times` are its end and the present moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_expiry(
        &mut self,
        (subject, certificate): (&str, &str),
        step: ExpiryStep,
        (not_after, now): (Timestamp, Timestamp),
    ) -> Result<bool, StoreError> {
        sql(
            ALERTS,
            "INSERT INTO expiry_alerts (subject, certificate, step, not_after, given_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (subject, certificate) DO UPDATE SET step = excluded.step,
                 given_at = excluded.given_at
             WHERE expiry_alerts.step > excluded.step",
        )
        .bind(subject)
        .bind(certificate)
        .bind(step.days())
        .bind(not_after)
        .bind(now)
        .changed(&mut self.connection)
        .await
    }

    /// Notes up to which end certificates of devices have been counted at a step; `false` when somebody else
    /// has counted since `before` was read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_expiring_until(
        &mut self,
        step: ExpiryStep,
        before: Option<Timestamp>,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(before) = before else {
            return sql(
                COUNTS,
                "INSERT INTO expiry_counts (step, counted_until) VALUES ($1, $2)
                 ON CONFLICT (step) DO NOTHING",
            )
            .bind(step.days())
            .bind(until)
            .changed(&mut self.connection)
            .await;
        };
        sql(COUNTS, "UPDATE expiry_counts SET counted_until = $3 WHERE step = $1 AND counted_until = $2")
            .bind(step.days())
            .bind(before)
            .bind(until)
            .changed(&mut self.connection)
            .await
    }

    /// Forgets what was said of certificates issued here that ended before a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_expiry_of_issued(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        sql(ALERTS, "DELETE FROM expiry_alerts WHERE subject = $1 AND not_after < $2")
            .bind(ISSUED)
            .bind(before)
            .run(&mut self.connection)
            .await
    }
}
