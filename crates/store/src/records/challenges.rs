//! Open proof-of-possession challenges.

use countersign_core::ids::{ChallengeId, DeviceId};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Row};
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
    /// Opens a challenge. The device's expired ones are removed first, then the oldest, until at most
    /// `max_open` are open: whoever asks for many cannot keep another from getting one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_challenge(
        &mut self,
        challenge: &ChallengeRow,
        now: Timestamp,
        max_open: u32,
    ) -> Result<(), StoreError> {
        sql(
            TABLE,
            "DELETE FROM challenges WHERE device_id = $1 AND (expires_at <= $2 OR id NOT IN
                 (SELECT id FROM challenges WHERE device_id = $1 ORDER BY expires_at DESC, id LIMIT $3))",
        )
        .bind(challenge.device)
        .bind(now)
        .bind(max_open.saturating_sub(1))
        .run(&mut self.connection)
        .await?;
        sql(TABLE, "INSERT INTO challenges (id, device_id, nonce, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(challenge.id)
            .bind(challenge.device)
            .bind(challenge.nonce.as_str())
            .bind(challenge.expires_at)
            .run(&mut self.connection)
            .await
            .map(|_one| ())
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
