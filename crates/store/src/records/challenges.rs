//! Open proof-of-possession challenges.

use countersign_core::ids::{ChallengeId, DeviceId};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::sql;
use crate::transaction::Writing;

const TABLE: &str = "challenges";

/// A challenge that a device may answer once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeRow {
    /// Id.
    pub id: ChallengeId,
    /// For which device.
    pub device: DeviceId,
    /// The nonce as it was handed out.
    pub nonce: String,
    /// The moment from which on it is refused.
    pub expires_at: Timestamp,
}

impl FromRow for ChallengeRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            device: row.parsed("device_id")?,
            nonce: row.text("nonce")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

impl Writing<'_> {
    /// Opens a challenge, once the device's expired ones are out of the way. Fails closed: `false`
    /// when the device has `max_open` already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_challenge(
        &mut self,
        challenge: &ChallengeRow,
        now: Timestamp,
        max_open: u32,
    ) -> Result<bool, StoreError> {
        sql(TABLE, "DELETE FROM challenges WHERE device_id = $1 AND expires_at <= $2")
            .bind(challenge.device)
            .bind(now)
            .run(&mut self.connection)
            .await?;
        let Number(open) = sql(TABLE, "SELECT count(*) AS number FROM challenges WHERE device_id = $1")
            .bind(challenge.device)
            .one(&mut self.connection)
            .await?;
        if open >= u64::from(max_open) {
            return Ok(false);
        }
        sql(TABLE, "INSERT INTO challenges (id, device_id, nonce, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(challenge.id)
            .bind(challenge.device)
            .bind(challenge.nonce.as_str())
            .bind(challenge.expires_at)
            .changed(&mut self.connection)
            .await
    }

    /// Takes a device's challenge, which can be done once. Fails closed: `None` when it is another
    /// device's, was taken, or has expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_challenge(
        &mut self,
        id: ChallengeId,
        device: DeviceId,
        now: Timestamp,
    ) -> Result<Option<ChallengeRow>, StoreError> {
        sql(
            TABLE,
            "DELETE FROM challenges WHERE id = $1 AND device_id = $2 AND expires_at > $3
             RETURNING id, device_id, nonce, expires_at",
        )
        .bind(id)
        .bind(device)
        .bind(now)
        .optional(&mut self.connection)
        .await
    }
}
