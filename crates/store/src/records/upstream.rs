//! Certificates that a CA elsewhere signs for devices: calls under way, what they call what they made,
//! and what is to be revoked there.

use countersign_core::ids::{CertificateRef, DeviceId, SpkiSha256, UpstreamIntentId};
use countersign_core::time::Timestamp;

use super::SWEEP_LIMIT;
use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const INTENTS: &str = "upstream_intents";
const CERTIFICATES: &str = "upstream_certificates";
const REVOCATIONS: &str = "upstream_revocations";

/// A certificate that is about to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamIntentRow {
    /// Its id.
    pub id: UpstreamIntentId,
    /// Of which zone.
    pub zone: String,
    /// For which key: by it the certificate is found when its answer was lost.
    pub spki: SpkiSha256,
    /// For which device, which may not be on record yet.
    pub device: Option<DeviceId>,
    /// When it was recorded.
    pub at: Timestamp,
}

impl FromRow for UpstreamIntentRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            zone: row.text("zone")?,
            spki: row.parsed("spki_sha256")?,
            device: row.optional_parsed("device_id")?,
            at: row.time("at")?,
        })
    }
}

/// A certificate by both its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamCertificateRow {
    /// Ours.
    pub reference: CertificateRef,
    /// Of which zone.
    pub zone: String,
    /// Theirs.
    pub id: String,
}

impl FromRow for UpstreamCertificateRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            reference: CertificateRef::from_row(row)?,
            zone: row.text("zone")?,
            id: row.text("upstream_id")?,
        })
    }
}

/// A certificate that is to be revoked there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRevocationRow {
    /// Of which zone.
    pub zone: String,
    /// What they call it.
    pub id: String,
    /// Since when it is to be revoked.
    pub queued_at: Timestamp,
    /// How often it was tried, the attempt that it was claimed for included.
    pub attempts: u32,
    /// When they took the request.
    pub asked_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub problem: Option<String>,
}

impl FromRow for UpstreamRevocationRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            zone: row.text("zone")?,
            id: row.text("upstream_id")?,
            queued_at: row.time("queued_at")?,
            attempts: row.number("attempts")?,
            asked_at: row.optional_time("asked_at")?,
            problem: row.optional_text("problem")?,
        })
    }
}

impl Reading<'_> {
    /// A zone's open calls that began before a moment, oldest first; at most [`SWEEP_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn upstream_intents_before(
        &mut self,
        zone: &str,
        before: Timestamp,
    ) -> Result<Vec<UpstreamIntentRow>, StoreError> {
        sql(INTENTS, "SELECT * FROM upstream_intents WHERE zone = $1 AND at < $2 ORDER BY at, id LIMIT $3")
            .bind(zone)
            .bind(before)
            .bind(SWEEP_LIMIT)
            .all(&mut self.connection)
            .await
    }

    /// How many calls for a key began at a moment or later and are open.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn upstream_intents_since(
        &mut self,
        spki: SpkiSha256,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let Number(found) = sql(
            INTENTS,
            "SELECT count(*) AS number FROM upstream_intents WHERE spki_sha256 = $1 AND at >= $2",
        )
        .bind(spki)
        .bind(since)
        .one(&mut self.connection)
        .await?;
        Ok(found)
    }

    /// The certificate of a zone that goes by this name there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn upstream_certificate(
        &mut self,
        zone: &str,
        id: &str,
    ) -> Result<Option<UpstreamCertificateRow>, StoreError> {
        sql(CERTIFICATES, "SELECT * FROM upstream_certificates WHERE zone = $1 AND upstream_id = $2")
            .bind(zone)
            .bind(id)
            .optional(&mut self.connection)
            .await
    }

    /// What is still to be revoked there, whatever the zone, oldest first; at most [`SWEEP_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_upstream_revocations(&mut self) -> Result<Vec<UpstreamRevocationRow>, StoreError> {
        sql(
            REVOCATIONS,
            "SELECT * FROM upstream_revocations WHERE done_at IS NULL ORDER BY queued_at, upstream_id LIMIT $1",
        )
        .bind(SWEEP_LIMIT)
        .all(&mut self.connection)
        .await
    }
}

impl Writing<'_> {
    /// Records a call before it is made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_upstream_intent(&mut self, intent: &UpstreamIntentRow) -> Result<(), StoreError> {
        sql(
            INTENTS,
            "INSERT INTO upstream_intents (id, zone, spki_sha256, device_id, at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(intent.id)
        .bind(intent.zone.as_str())
        .bind(intent.spki)
        .bind(intent.device)
        .bind(intent.at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Removes a call that has its outcome; `false` when another settled it already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_upstream_intent(&mut self, id: UpstreamIntentId) -> Result<bool, StoreError> {
        sql(INTENTS, "DELETE FROM upstream_intents WHERE id = $1")
            .bind(id)
            .changed(&mut self.connection)
            .await
    }

    /// Records what they call a certificate. It comes before the certificate's own row.
    ///
    /// # Errors
    /// [`StoreError`], also when either name is on record.
    pub async fn insert_upstream_certificate(
        &mut self,
        certificate: &UpstreamCertificateRow,
    ) -> Result<(), StoreError> {
        sql(
            CERTIFICATES,
            "INSERT INTO upstream_certificates (issuer_key_id, serial_number, zone, upstream_id)
             VALUES ($1, $2, $3, $4)",
        )
        .bind(certificate.reference.issuer)
        .bind(&certificate.reference.serial)
        .bind(certificate.zone.as_str())
        .bind(certificate.id.as_str())
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Puts a certificate among those to be revoked there; without effect when it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn queue_upstream_revocation(
        &mut self,
        zone: &str,
        id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(
            REVOCATIONS,
            "INSERT INTO upstream_revocations (zone, upstream_id, queued_at, due_at, attempts)
             VALUES ($1, $2, $3, $3, 0) ON CONFLICT (zone, upstream_id) DO NOTHING",
        )
        .bind(zone)
        .bind(id)
        .bind(now)
        .changed(&mut self.connection)
        .await
    }

    /// Puts every certificate of a zone that is revoked here among those to be revoked there. What is
    /// revoked says so itself, so nothing that revokes can forget it, and no crash can.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn queue_what_is_revoked(&mut self, zone: &str, now: Timestamp) -> Result<u64, StoreError> {
        sql(
            REVOCATIONS,
            "INSERT INTO upstream_revocations (zone, upstream_id, queued_at, due_at, attempts)
             SELECT u.zone, u.upstream_id, $2, $2, 0 FROM upstream_certificates u
             WHERE u.zone = $1
                 AND NOT EXISTS (SELECT 1 FROM upstream_revocations q
                     WHERE q.zone = u.zone AND q.upstream_id = u.upstream_id)
                 AND (EXISTS (SELECT 1 FROM revocations r
                         WHERE r.issuer_key_id = u.issuer_key_id AND r.serial_number = u.serial_number)
                     OR EXISTS (SELECT 1 FROM device_certificates c
                         WHERE c.issuer_key_id = u.issuer_key_id AND c.serial_number = u.serial_number
                             AND c.status = 'REVOKED'))
             ON CONFLICT (zone, upstream_id) DO NOTHING",
        )
        .bind(zone)
        .bind(now)
        .run(&mut self.connection)
        .await
    }

    /// Takes what is due of a zone, so that nobody else does until `until`. Each counts as an attempt.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_upstream_revocations(
        &mut self,
        zone: &str,
        (now, until): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<UpstreamRevocationRow>, StoreError> {
        sql(
            REVOCATIONS,
            "UPDATE upstream_revocations SET claimed_until = $3, attempts = attempts + 1
             WHERE zone = $1 AND done_at IS NULL AND due_at <= $2
                 AND (claimed_until IS NULL OR claimed_until < $2)
                 AND upstream_id IN (SELECT q.upstream_id FROM upstream_revocations q
                     WHERE q.zone = $1 AND q.done_at IS NULL AND q.due_at <= $2
                         AND (q.claimed_until IS NULL OR q.claimed_until < $2)
                     ORDER BY q.due_at, q.upstream_id LIMIT $4)
             RETURNING zone, upstream_id, queued_at, attempts, asked_at, problem",
        )
        .bind(zone)
        .bind(now)
        .bind(until)
        .bind(limit)
        .all(&mut self.connection)
        .await
    }

    /// Gives back what was claimed and is not over: tried again from `due_at` on. `asked_at` and `problem`
    /// are those of the row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_back_upstream_revocation(
        &mut self,
        row: &UpstreamRevocationRow,
        due_at: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(
            REVOCATIONS,
            "UPDATE upstream_revocations
             SET claimed_until = NULL, due_at = $3, attempts = $4, asked_at = $5, problem = $6
             WHERE zone = $1 AND upstream_id = $2 AND done_at IS NULL",
        )
        .bind(row.zone.as_str())
        .bind(row.id.as_str())
        .bind(due_at)
        .bind(row.attempts)
        .bind(row.asked_at)
        .bind(row.problem.as_deref())
        .changed(&mut self.connection)
        .await
    }

    /// It is revoked there, or not known there; `false` when that was on record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_upstream_revocation(
        &mut self,
        zone: &str,
        id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(
            REVOCATIONS,
            "UPDATE upstream_revocations SET claimed_until = NULL, done_at = $3, problem = NULL
             WHERE zone = $1 AND upstream_id = $2 AND done_at IS NULL",
        )
        .bind(zone)
        .bind(id)
        .bind(now)
        .changed(&mut self.connection)
        .await
    }
}
