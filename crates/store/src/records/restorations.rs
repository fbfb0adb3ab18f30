//! What is changed when a backup is restored: versions above any that were seen, periods of which
//! certificates are denied unless they are on record, and an end to what was open.

use countersign_core::ids::{CertificateRef, DeviceId, IssuerKeyId};
use countersign_core::snapshot::UnprovedPeriod;
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Item, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "unproved_periods";

/// Opened for a person, a device or an authority by the installation that is lost: nobody can say what
/// became of it.
const OPEN: [(&str, &str); 7] = [
    ("sessions", "DELETE FROM sessions"),
    ("begun_sign_ins", "DELETE FROM begun_sign_ins"),
    ("password_tokens", "DELETE FROM password_tokens"),
    ("staged_tokens", "DELETE FROM staged_tokens"),
    ("challenges", "DELETE FROM challenges"),
    ("revocation_selections", "DELETE FROM revocation_selections"),
    ("edge_reports", "DELETE FROM edge_reports"),
];

/// A period of which an issuer's certificates are denied unless they are on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnprovedPeriodRow {
    /// Who may have issued them.
    pub issuer: IssuerKeyId,
    /// Which notBefore they have.
    pub period: UnprovedPeriod,
}

impl FromRow for UnprovedPeriodRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let period = UnprovedPeriod { from: row.time("denied_from")?, until: row.time("denied_until")? };
        Ok(Self { issuer: row.parsed("issuer_key_id")?, period })
    }
}

impl Reading<'_> {
    /// Every such period.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unproved_periods(&mut self) -> Result<Vec<UnprovedPeriodRow>, StoreError> {
        sql(
            TABLE,
            "SELECT issuer_key_id, denied_from, denied_until FROM unproved_periods
             ORDER BY restored_at, issuer_key_id",
        )
        .all(&mut self.connection)
        .await
    }

    /// The certificates on record, of devices and services, that a period may concern and that have not ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn certificates_of_period(
        &mut self,
        UnprovedPeriodRow { issuer, period }: UnprovedPeriodRow,
        now: Timestamp,
    ) -> Result<Vec<CertificateRef>, StoreError> {
        sql(
            "device_certificates",
            "SELECT issuer_key_id, serial_number FROM device_certificates
             WHERE issued_at >= $1 AND issued_at <= $2 AND not_after >= $3 AND issuer_key_id = $4
             UNION ALL
             SELECT issuer_key_id, serial_number FROM service_certificates
             WHERE issued_at >= $1 AND not_after >= $3 AND issuer_key_id = $4",
        )
        .bind(period.from)
        .bind(period.last_issuance(UnprovedPeriod::DEVICE_BACKDATING))
        .bind(now)
        .bind(issuer)
        .all(&mut self.connection)
        .await
    }

    /// The devices that are not barred.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices_not_barred(&mut self) -> Result<Vec<DeviceId>, StoreError> {
        let ids: Vec<Item<DeviceId>> = sql(
            "devices",
            "SELECT id AS item FROM devices WHERE status NOT IN ('quarantined', 'decommissioned')",
        )
        .all(&mut self.connection)
        .await?;
        Ok(ids.into_iter().map(|Item(id)| id).collect())
    }

    /// Those of them whose standing no revocation list of ours can tell: without a live certificate of a
    /// CA of ours.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices_beyond_lists(&mut self, now: Timestamp) -> Result<Vec<DeviceId>, StoreError> {
        let ids: Vec<Item<DeviceId>> = sql(
            "devices",
            "SELECT d.id AS item FROM devices d
             WHERE d.status NOT IN ('quarantined', 'decommissioned') AND NOT EXISTS (
                 SELECT 1 FROM device_certificates c JOIN issuers i ON i.key_id = c.issuer_key_id
                 WHERE c.device_uuid = d.id AND c.status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED')
                     AND c.not_after >= $1)",
        )
        .bind(now)
        .all(&mut self.connection)
        .await?;
        Ok(ids.into_iter().map(|Item(id)| id).collect())
    }
}

impl Writing<'_> {
    /// Raises generation, epoch and every CA's CRL number to `least`, and by one at any rate.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn raise_versions(&mut self, least: u64) -> Result<(), StoreError> {
        sql(
            "installation",
            "UPDATE installation SET
                 generation = CASE WHEN generation < $1 THEN $1 ELSE generation + 1 END,
                 epoch = CASE WHEN epoch < $1 THEN $1 ELSE epoch + 1 END",
        )
        .bind(least)
        .run(&mut self.connection)
        .await?;
        sql(
            "issuers",
            "UPDATE issuers SET crl_number = CASE WHEN crl_number < $1 THEN $1 ELSE crl_number + 1 END",
        )
        .bind(least)
        .run(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Has every CRL on record signed anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn want_every_crl(&mut self) -> Result<(), StoreError> {
        sql(
            "crl_wanted",
            "INSERT INTO crl_wanted (issuer_key_id, shard, mark)
             SELECT issuer_key_id, shard, 0 FROM crls WHERE number >= 0
             ON CONFLICT DO NOTHING",
        )
        .run(&mut self.connection)
        .await
        .map(drop)
    }

    /// Has certificates of a period denied unless they are on record.
    ///
    /// # Errors
    /// [`StoreError`], also when the issuer is unknown.
    pub async fn insert_unproved_period(
        &mut self,
        row: UnprovedPeriodRow,
        restored_at: Timestamp,
    ) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO unproved_periods (issuer_key_id, restored_at, denied_from, denied_until)
             VALUES ($1, $2, $3, $4)",
        )
        .bind(row.issuer)
        .bind(restored_at)
        .bind(row.period.from)
        .bind(row.period.until)
        .run(&mut self.connection)
        .await
        .map(drop)
    }

    /// Ends what was open: sessions, one-time tokens, tokens that wait for their confirmation, challenges,
    /// selections and word of edges.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_what_was_open(&mut self) -> Result<(), StoreError> {
        for (table, text) in OPEN {
            sql(table, text).run(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Revokes every enrolment key that was good: how often it was used since is not known. Says how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_enrollment_keys(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        sql(
            "enrollment_keys",
            "UPDATE enrollment_keys SET revoked_at = $1
             WHERE revoked_at IS NULL AND expires_at > $1 AND uses < max_uses",
        )
        .bind(now)
        .run(&mut self.connection)
        .await
    }

    /// Revokes every API token that was good: whether it was revoked since is not known. Says how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_api_tokens(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        sql(
            "api_tokens",
            "UPDATE api_tokens SET revoked_at = $1 WHERE revoked_at IS NULL AND expires_at > $1",
        )
        .bind(now)
        .run(&mut self.connection)
        .await
    }

    /// Ends every provisioning token that counted: whether it was replaced or removed since is not known. Says how
    /// many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_provisioning_tokens(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        sql("provisioning_tokens", "UPDATE provisioning_tokens SET ended_at = $1 WHERE ended_at IS NULL")
            .bind(now)
            .run(&mut self.connection)
            .await
    }

    /// Disables every person but the platform's owners: whether they were since is not known. Says how
    /// many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn disable_people(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        sql(
            "users",
            "UPDATE users SET disabled_at = $1
             WHERE disabled_at IS NULL AND NOT (role = 'owner' AND org_id IS NULL)",
        )
        .bind(now)
        .run(&mut self.connection)
        .await
    }
}
