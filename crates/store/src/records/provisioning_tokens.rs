//! Provisioning tokens: what devices without a certificate show over MQTT. One that was replaced or removed keeps
//! its row until no session can be left that it opened.

use countersign_core::ids::{CertificateRef, DeviceId, IssuerKeyId, SecretHash, SerialNumber};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Item, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "provisioning_tokens";

/// A provisioning token that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvisioningTokenRow {
    /// Its name.
    pub serial: SerialNumber,
    /// Whose it is.
    pub device: DeviceId,
    /// Its hash.
    pub token: SecretHash,
    /// When it was set.
    pub set_at: Timestamp,
}

impl FromRow for ProvisioningTokenRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            serial: row.parsed("serial_number")?,
            device: row.parsed("device_id")?,
            token: row.parsed("token_sha256")?,
            set_at: row.time("set_at")?,
        })
    }
}

impl Reading<'_> {
    /// The token of a device.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn provisioning_token_of(
        &mut self,
        device: DeviceId,
    ) -> Result<Option<ProvisioningTokenRow>, StoreError> {
        sql(TABLE, "SELECT * FROM provisioning_tokens WHERE device_id = $1 AND ended_at IS NULL")
            .bind(device)
            .optional(&mut self.connection)
            .await
    }

    /// The tokens that ended from `since` until before `until`, as doors know them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn provisioning_tokens_ended(
        &mut self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<CertificateRef>, StoreError> {
        let ended: Vec<Item<SerialNumber>> = sql(
            TABLE,
            "SELECT serial_number AS item FROM provisioning_tokens WHERE ended_at >= $1 AND ended_at < $2",
        )
        .bind(since)
        .bind(until)
        .all(&mut self.connection)
        .await?;
        let of_token = |Item(serial)| CertificateRef { issuer: IssuerKeyId::OF_TOKENS, serial };
        Ok(ended.into_iter().map(of_token).collect())
    }
}

impl Writing<'_> {
    /// Gives a device that has none a token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_provisioning_token(&mut self, row: &ProvisioningTokenRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO provisioning_tokens (serial_number, device_id, token_sha256, set_at)
             VALUES ($1, $2, $3, $4)",
        )
        .bind(row.serial.clone())
        .bind(row.device)
        .bind(row.token)
        .bind(row.set_at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Ends the token of a device; `false` when it has none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_provisioning_token(
        &mut self,
        device: DeviceId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE provisioning_tokens SET ended_at = $2 WHERE device_id = $1 AND ended_at IS NULL")
            .bind(device)
            .bind(now)
            .changed(&mut self.connection)
            .await
    }

    /// Removes the tokens that ended before this moment and says how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_provisioning_tokens(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        sql(TABLE, "DELETE FROM provisioning_tokens WHERE ended_at < $1")
            .bind(before)
            .run(&mut self.connection)
            .await
    }
}
