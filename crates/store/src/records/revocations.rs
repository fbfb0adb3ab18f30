//! Revoked certificates: the deny set and the source of CRLs.

use countersign_core::certificate::RevocationReason;
use countersign_core::ids::{CertificateRef, SpkiSha256};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "revocations";

/// A revoked certificate, whether or not it ever had a certificate row. It stays on record for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationRow {
    /// Which certificate.
    pub reference: CertificateRef,
    /// Its key, which proves nothing any more; `None` when it is not known (a signing that did not
    /// reach its record).
    pub spki: Option<SpkiSha256>,
    /// When it was revoked.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// When it would have ended.
    pub expires_at: Timestamp,
}

impl FromRow for RevocationRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            reference: CertificateRef::from_row(row)?,
            spki: row.optional_parsed("spki_sha256")?,
            revoked_at: row.time("revoked_at")?,
            reason: row.parsed("reason")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

impl Reading<'_> {
    /// Every revocation of a certificate that has not ended: the whole deny set.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn live_revocations(&mut self, now: Timestamp) -> Result<Vec<RevocationRow>, StoreError> {
        sql(TABLE, "SELECT * FROM revocations WHERE expires_at >= $1")
            .bind(now)
            .all(&mut self.connection)
            .await
    }

    /// The revoked certificates that ended from `since` until before `now`: their dates refuse them
    /// from here on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revocations_ended(
        &mut self,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<CertificateRef>, StoreError> {
        sql(
            TABLE,
            "SELECT issuer_key_id, serial_number FROM revocations WHERE expires_at >= $1 AND expires_at < $2",
        )
        .bind(since)
        .bind(now)
        .all(&mut self.connection)
        .await
    }

    /// Whether a certificate with this key was ever revoked, other than for being replaced: such a
    /// key proves nothing ever again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn spki_was_revoked(&mut self, spki: SpkiSha256) -> Result<bool, StoreError> {
        let Number(found) = sql(TABLE, "SELECT count(*) AS number FROM revocations WHERE spki_sha256 = $1")
            .bind(spki)
            .one(&mut self.connection)
            .await?;
        Ok(found > 0)
    }
}

impl Writing<'_> {
    /// Records a revocation; `false` when the certificate is revoked already, which changes nothing.
    /// [`Writing::move_certificate`] does this itself: this is for certificates without a row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_revocation(&mut self, revocation: &RevocationRow) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "INSERT INTO revocations (issuer_key_id, serial_number, spki_sha256, revoked_at, reason, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (issuer_key_id, serial_number) DO NOTHING",
        )
        .bind(revocation.reference.issuer)
        .bind(&revocation.reference.serial)
        .bind(revocation.spki)
        .bind(revocation.revoked_at)
        .bind(revocation.reason)
        .bind(revocation.expires_at)
        .changed(&mut self.connection)
        .await
    }
}
