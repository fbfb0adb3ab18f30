//! CAs of somebody else's that doors may trust, by name.

use countersign_core::ids::TrustName;
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "foreign_trusts";

/// CAs of somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignTrustRow {
    /// What people call them.
    pub name: TrustName,
    /// Their certificates, PEM.
    pub certificates: String,
    /// Since when they are trusted.
    pub added_at: Timestamp,
}

impl FromRow for ForeignTrustRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.parsed("name")?,
            certificates: row.text("certificates")?,
            added_at: row.time("added_at")?,
        })
    }
}

impl Reading<'_> {
    /// Those that are trusted, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn foreign_trusts(&mut self) -> Result<Vec<ForeignTrustRow>, StoreError> {
        sql(TABLE, "SELECT * FROM foreign_trusts WHERE removed_at IS NULL ORDER BY name LIMIT 1000")
            .all(&mut self.connection)
            .await
    }

    /// The same if any was added or removed after `epoch`; otherwise `None`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn foreign_trusts_if_changed_since(
        &mut self,
        epoch: u64,
    ) -> Result<Option<Vec<ForeignTrustRow>>, StoreError> {
        let changed: Vec<ForeignTrustRow> =
            sql(TABLE, "SELECT * FROM foreign_trusts WHERE trust_epoch > $1 LIMIT 1")
                .bind(epoch)
                .all(&mut self.connection)
                .await?;
        if changed.is_empty() { Ok(None) } else { self.foreign_trusts().await.map(Some) }
    }
}

impl Writing<'_> {
    /// Trusts these from the epoch on that it raises; `None` when the name is taken.
    ///
    /// # Errors
    /// [`StoreError`], also when there is no installation.
    pub async fn add_foreign_trust(
        &mut self,
        trust: &ForeignTrustRow,
    ) -> Result<Option<SnapshotVersion>, StoreError> {
        let added = sql(
            TABLE,
            "INSERT INTO foreign_trusts (name, certificates, added_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE
                 SET certificates = excluded.certificates, added_at = excluded.added_at, removed_at = NULL
                 WHERE foreign_trusts.removed_at IS NOT NULL",
        )
        .bind(&trust.name)
        .bind(trust.certificates.as_str())
        .bind(trust.added_at)
        .changed(&mut self.connection)
        .await?;
        if added { self.foreign_trust_changed(&trust.name).await.map(Some) } else { Ok(None) }
    }

    /// Trusts these no more, from the epoch on that it raises; `None` when none of this name are trusted.
    ///
    /// # Errors
    /// [`StoreError`], also when there is no installation.
    pub async fn remove_foreign_trust(
        &mut self,
        name: &TrustName,
        at: Timestamp,
    ) -> Result<Option<SnapshotVersion>, StoreError> {
        let removed =
            sql(TABLE, "UPDATE foreign_trusts SET removed_at = $2 WHERE name = $1 AND removed_at IS NULL")
                .bind(name)
                .bind(at)
                .changed(&mut self.connection)
                .await?;
        if removed { self.foreign_trust_changed(name).await.map(Some) } else { Ok(None) }
    }

    async fn foreign_trust_changed(&mut self, name: &TrustName) -> Result<SnapshotVersion, StoreError> {
        let version = self.raise_epoch().await?;
        sql(TABLE, "UPDATE foreign_trusts SET trust_epoch = $2 WHERE name = $1")
            .bind(name)
            .bind(version.epoch)
            .run(&mut self.connection)
            .await?;
        Ok(version)
    }
}
