//! The key that signs what edges elsewhere are told.

use countersign_core::ids::IssuerKeyId;

use super::anchors::AnchorKeyRow;
use crate::error::StoreError;
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "snapshot_keys";

/// The key that signs what edges are told: on record as the one that signs anchors is.
pub type SnapshotKeyRow = AnchorKeyRow;

impl Reading<'_> {
    /// The key that signs what edges are told, if it was made already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn snapshot_key(&mut self) -> Result<Option<SnapshotKeyRow>, StoreError> {
        sql(TABLE, "SELECT key_id, public_key, sealed_key, created_at FROM snapshot_keys ORDER BY created_at")
            .optional(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Records that key; `false` when there is one already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_snapshot_key(&mut self, key: &SnapshotKeyRow) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "INSERT INTO snapshot_keys (key_id, public_key, sealed_key, created_at)
             SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT 1 FROM snapshot_keys)",
        )
        .bind(key.key_id)
        .bind(key.public_key.as_slice())
        .bind(key.sealed_key.as_slice())
        .bind(key.created_at)
        .changed(&mut self.connection)
        .await
    }

    /// Replaces its sealed form; `false` when there is no such key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_sealed_snapshot_key(
        &mut self,
        key: IssuerKeyId,
        sealed: &[u8],
    ) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE snapshot_keys SET sealed_key = $2 WHERE key_id = $1")
            .bind(key)
            .bind(sealed)
            .changed(&mut self.connection)
            .await
    }
}
