//! The installation: one row.

use countersign_core::TrustDomain;
use countersign_core::ids::{DeviceId, TenantId};
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::postgres;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "installation";

/// What was settled when the installation was made, and how far its trust has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Under which its identities live; never changes.
    pub trust_domain: TrustDomain,
    /// The first byte of its serial numbers, 1 to 127.
    pub node: u8,
    /// When it was made.
    pub created_at: Timestamp,
    /// The present trust snapshot's version.
    pub version: SnapshotVersion,
}

impl FromRow for Installation {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            trust_domain: row.parsed("trust_domain")?,
            node: row.number("node")?,
            created_at: row.time("created_at")?,
            version: SnapshotVersion::from_row(row)?,
        })
    }
}

impl FromRow for SnapshotVersion {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { generation: row.number("generation")?, epoch: row.number("epoch")? })
    }
}

impl Reading<'_> {
    /// The installation, if it was made already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn installation(&mut self) -> Result<Option<Installation>, StoreError> {
        sql(TABLE, "SELECT trust_domain, node, created_at, generation, epoch FROM installation WHERE id = 1")
            .optional(&mut self.connection)
            .await
    }

    /// The present trust snapshot's version. Fails closed without an installation.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn snapshot_version(&mut self) -> Result<SnapshotVersion, StoreError> {
        sql(TABLE, "SELECT generation, epoch FROM installation WHERE id = 1").one(&mut self.connection).await
    }
}

impl Writing<'_> {
    /// Records the installation; `false` when there is one already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_installation(&mut self, installation: &Installation) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "INSERT INTO installation (id, trust_domain, node, created_at, generation, epoch)
             VALUES (1, $1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
        )
        .bind(installation.trust_domain.as_str())
        .bind(installation.node)
        .bind(installation.created_at)
        .bind(installation.version.generation)
        .bind(installation.version.epoch)
        .changed(&mut self.connection)
        .await
    }

    /// Raises the epoch because of a device: to be called in every transaction that changes whether
    /// doors trust it or one of its certificates.
    ///
    /// # Errors
    /// [`StoreError`], also when there is no installation.
    pub async fn device_trust_changed(&mut self, device: DeviceId) -> Result<SnapshotVersion, StoreError> {
        let version = self.raise_epoch().await?;
        sql("devices", "UPDATE devices SET trust_epoch = $2 WHERE id = $1")
            .bind(device)
            .bind(version.epoch)
            .run(&mut self.connection)
            .await?;
        Ok(version)
    }

    /// Raises the epoch because of a tenant: to be called in every transaction that changes what doors
    /// must know about it.
    ///
    /// # Errors
    /// [`StoreError`], also when there is no installation.
    pub async fn tenant_trust_changed(&mut self, tenant: TenantId) -> Result<SnapshotVersion, StoreError> {
        let version = self.raise_epoch().await?;
        sql("tenants", "UPDATE tenants SET trust_epoch = $2 WHERE id = $1")
            .bind(tenant)
            .bind(version.epoch)
            .run(&mut self.connection)
            .await?;
        Ok(version)
    }

    /// Raises the epoch because of the rules, which are in the configuration and not on record.
    ///
    /// # Errors
    /// [`StoreError`], also when there is no installation.
    pub async fn rules_changed(&mut self) -> Result<SnapshotVersion, StoreError> {
        self.raise_epoch().await
    }

    pub(crate) async fn raise_epoch(&mut self) -> Result<SnapshotVersion, StoreError> {
        let raise = match self.connection {
            Connection::Sqlite(_) => {
                "UPDATE installation SET epoch = epoch + 1 WHERE id = 1 RETURNING generation, epoch"
            }
            Connection::Postgres(_) => postgres::epochs::RAISE,
        };
        sql(TABLE, raise).one(&mut self.connection).await
    }
}
