//! Bearer tokens that are to replace their devices', and wait to be confirmed.

use countersign_core::ids::{DeviceId, SecretHash};
use countersign_core::time::Timestamp;

use super::devices::{DeviceRow, TABLE as DEVICES, select_devices};
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "staged_tokens";

/// A bearer token that waits to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedTokenRow {
    /// Whose it will be.
    pub device: DeviceId,
    /// Its hash.
    pub token: SecretHash,
    /// The token that it replaces; it counts only while that one is the device's.
    pub replaces: SecretHash,
    /// The moment from which on it is refused.
    pub expires_at: Timestamp,
}

impl FromRow for StagedTokenRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            device: row.parsed("device_id")?,
            token: row.parsed("token_sha256")?,
            replaces: row.parsed("replaces_sha256")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

impl Reading<'_> {
    /// The device for which a token with this hash waits. Fails closed: none once it has expired, or
    /// when the device's token is not the one any more that it was to replace.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn device_by_staged_token(
        &mut self,
        token: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<DeviceRow>, StoreError> {
        sql(
            DEVICES,
            select_devices!(
                " JOIN staged_tokens n ON n.device_id = d.id AND n.replaces_sha256 = d.token_sha256
                  WHERE n.token_sha256 = $1 AND n.expires_at > $2"
            ),
        )
        .bind(*token)
        .bind(now)
        .optional(&mut self.connection)
        .await
    }

    /// The token that waits for a device, in whatever condition it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn staged_token_of(&mut self, device: DeviceId) -> Result<Option<StagedTokenRow>, StoreError> {
        sql(TABLE, "SELECT * FROM staged_tokens WHERE device_id = $1")
            .bind(device)
            .optional(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Lets a token wait, in the place of the device's former one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stage_token(&mut self, staged: &StagedTokenRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO staged_tokens (device_id, token_sha256, replaces_sha256, expires_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (device_id) DO UPDATE SET token_sha256 = excluded.token_sha256,
                 replaces_sha256 = excluded.replaces_sha256, expires_at = excluded.expires_at",
        )
        .bind(staged.device)
        .bind(staged.token)
        .bind(staged.replaces)
        .bind(staged.expires_at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Forgets the token that waits for a device; `false` when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_staged_token(&mut self, device: DeviceId) -> Result<bool, StoreError> {
        sql(TABLE, "DELETE FROM staged_tokens WHERE device_id = $1")
            .bind(device)
            .changed(&mut self.connection)
            .await
    }

    /// Removes the tokens that were not confirmed in time and says how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_staged_tokens(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        sql(TABLE, "DELETE FROM staged_tokens WHERE expires_at <= $1")
            .bind(now)
            .run(&mut self.connection)
            .await
    }
}
