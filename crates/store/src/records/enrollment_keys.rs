//! Enrolment keys: what lets a new device in.

use countersign_core::ids::{DeviceId, EnrollmentKeyId, SecretHash, SiteId, SpkiSha256, TenantId, UserId};
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "enrollment_keys";

spelled_enum! {
    /// Whether devices that enrol with a key wait for an admin's approval.
    Approval {
        /// They do not.
        NotNeeded => "not_needed",
        /// They start in quarantine.
        Required => "required",
    }
}

/// An enrolment key's record; the key itself is not on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentKeyRow {
    /// Id of the record.
    pub id: EnrollmentKeyId,
    /// The key's hash.
    pub key: SecretHash,
    /// The tenant its devices join.
    pub tenant: TenantId,
    /// The site its devices join.
    pub site: SiteId,
    /// How many devices it lets in.
    pub max_uses: u32,
    /// How many it has let in.
    pub uses: u32,
    /// The moment from which on it is refused.
    pub expires_at: Timestamp,
    /// Whether its devices wait for approval.
    pub approval: Approval,
    /// Which device names it is good for; `None`: any.
    pub name_pattern: Option<String>,
    /// The existing device it is for; `None`: new ones.
    pub device: Option<DeviceId>,
    /// The public key it is for; `None`: any.
    pub spki: Option<SpkiSha256>,
    /// The networks it is good from, in CIDR notation; empty: any.
    pub networks: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it; `None`: the platform.
    pub created_by: Option<UserId>,
    /// When it was revoked, if so.
    pub revoked_at: Option<Timestamp>,
}

impl FromRow for EnrollmentKeyRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let networks = row.text("networks")?;
        Ok(Self {
            id: row.parsed("id")?,
            key: row.parsed("key_sha256")?,
            tenant: row.parsed("org_id")?,
            site: row.parsed("site_id")?,
            max_uses: row.number("max_uses")?,
            uses: row.number("uses")?,
            expires_at: row.time("expires_at")?,
            approval: row.parsed("approval")?,
            name_pattern: row.optional_text("name_pattern")?,
            device: row.optional_parsed("device_id")?,
            spki: row.optional_parsed("spki_sha256")?,
            networks: serde_json::from_str(&networks)
                .map_err(|_not_a_list| row.corrupt("networks", &networks))?,
            created_at: row.time("created_at")?,
            created_by: row.optional_parsed("created_by")?,
            revoked_at: row.optional_time("revoked_at")?,
        })
    }
}

impl Reading<'_> {
    /// The record of a key, in whatever condition it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enrollment_key_by_hash(
        &mut self,
        key: &SecretHash,
    ) -> Result<Option<EnrollmentKeyRow>, StoreError> {
        sql(TABLE, "SELECT * FROM enrollment_keys WHERE key_sha256 = $1")
            .bind(*key)
            .optional(&mut self.connection)
            .await
    }

    /// The record with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enrollment_key(
        &mut self,
        id: EnrollmentKeyId,
    ) -> Result<Option<EnrollmentKeyRow>, StoreError> {
        sql(TABLE, "SELECT * FROM enrollment_keys WHERE id = $1")
            .bind(id)
            .optional(&mut self.connection)
            .await
    }

    /// A tenant's keys, newest first; at most [`LIST_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enrollment_keys(&mut self, tenant: TenantId) -> Result<Vec<EnrollmentKeyRow>, StoreError> {
        sql(
            TABLE,
            "SELECT * FROM enrollment_keys WHERE org_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2",
        )
        .bind(tenant)
        .bind(LIST_LIMIT)
        .all(&mut self.connection)
        .await
    }
}

impl Writing<'_> {
    /// Records a key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_enrollment_key(&mut self, key: &EnrollmentKeyRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO enrollment_keys (id, key_sha256, org_id, site_id, max_uses, uses, expires_at,
                 approval, name_pattern, device_id, spki_sha256, networks, created_at, created_by, revoked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        )
        .bind(key.id)
        .bind(key.key)
        .bind(key.tenant)
        .bind(key.site)
        .bind(key.max_uses)
        .bind(key.uses)
        .bind(key.expires_at)
        .bind(key.approval)
        .bind(key.name_pattern.as_deref())
        .bind(key.device)
        .bind(key.spki)
        .bind(serde_json::Value::from(key.networks.as_slice()).to_string())
        .bind(key.created_at)
        .bind(key.created_by)
        .bind(key.revoked_at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Uses a key once. Fails closed: `false` when it is used up, has expired or was revoked, decided
    /// and counted in one statement.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn consume_enrollment_key(
        &mut self,
        id: EnrollmentKeyId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.consume_enrollment_key_times(id, 1, now).await
    }

    /// Uses a key so many times, or not at all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn consume_enrollment_key_times(
        &mut self,
        id: EnrollmentKeyId,
        times: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE enrollment_keys SET uses = uses + $3
             WHERE id = $1 AND uses + $3 <= max_uses AND revoked_at IS NULL AND expires_at > $2",
        )
        .bind(id)
        .bind(now)
        .bind(times)
        .changed(&mut self.connection)
        .await
    }

    /// Revokes a key; `false` when there is none or it was revoked before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_enrollment_key(
        &mut self,
        id: EnrollmentKeyId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE enrollment_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(id)
            .bind(at)
            .changed(&mut self.connection)
            .await
    }
}
