//! The installation's CAs.

use std::fmt;

use countersign_core::ids::{CaName, Environment, IssuerKeyId};
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;

use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "issuers";

spelled_enum! {
    /// What a CA is for.
    IssuerRole {
        /// Signs CAs.
        Root => "root",
        /// Signs devices; the only kind whose certificates make a device.
        Device => "device",
        /// Signs servers and services.
        Service => "service",
        /// Signs services and CAs, below a root.
        Intermediate => "intermediate",
    }
}

spelled_enum! {
    /// How far a CA is in its life.
    IssuerState {
        /// Trusted already, signs nothing yet.
        Prepared => "prepared",
        /// Signs. Of the CAs of a role that makes devices or services one per environment.
        Active => "active",
        /// Trusted still, signs nothing new but its CRLs.
        Retiring => "retiring",
        /// Trusted no more.
        Retired => "retired",
    }
}

spelled_enum! {
    /// Where a CA or a certificate came from.
    Origin {
        /// From here.
        Made => "made",
        /// From elsewhere, brought along.
        Imported => "imported",
    }
}

/// Where a CA's private key is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum KeptKey {
    /// Here, sealed by the issuing side.
    Sealed(Vec<u8>),
    /// In a token: its PKCS #11 URI (RFC 7512), without a PIN.
    Pkcs11(String),
    /// Away; somebody keeps it, and the CA signs nothing until it is back.
    Offline,
}

impl KeptKey {
    /// The stored word for the kind of custody.
    #[must_use]
    pub const fn custody(&self) -> &'static str {
        match self {
            Self::Sealed(_) => "sealed",
            Self::Pkcs11(_) => "pkcs11",
            Self::Offline => "offline",
        }
    }

    pub(super) const fn sealed(&self) -> Option<&[u8]> {
        match self {
            Self::Sealed(key) => Some(key.as_slice()),
            Self::Pkcs11(_) | Self::Offline => None,
        }
    }

    pub(super) const fn location(&self) -> Option<&str> {
        match self {
            Self::Pkcs11(uri) => Some(uri.as_str()),
            Self::Sealed(_) | Self::Offline => None,
        }
    }
}

impl fmt::Debug for KeptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed(_) => f.write_str("Sealed([redacted])"),
            Self::Pkcs11(uri) => f.debug_tuple("Pkcs11").field(uri).finish(),
            Self::Offline => f.write_str("Offline"),
        }
    }
}

impl FromRow for KeptKey {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let custody = row.text("custody")?;
        match custody.as_str() {
            "sealed" => row.bytes("sealed_key").map(Self::Sealed),
            "pkcs11" => row.text("key_location").map(Self::Pkcs11),
            "offline" => Ok(Self::Offline),
            _ => Err(row.corrupt("custody", &custody)),
        }
    }
}

/// A CA of the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerRow {
    /// Its key.
    pub key_id: IssuerKeyId,
    /// Its name, unique and never used again.
    pub name: CaName,
    /// What it is for.
    pub role: IssuerRole,
    /// Who signed it; `None` for a root, or when that CA is not on record.
    pub parent: Option<IssuerKeyId>,
    /// For which environment it signs; `None`: the default one.
    pub environment: Option<Environment>,
    /// How far it is in its life.
    pub state: IssuerState,
    /// Where it came from.
    pub origin: Origin,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: KeptKey,
    /// When it came into the installation.
    pub created_at: Timestamp,
}

impl FromRow for IssuerRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            key_id: row.parsed("key_id")?,
            name: row.parsed("name")?,
            role: row.parsed("role")?,
            parent: row.optional_parsed("parent_key_id")?,
            environment: row.optional_parsed("environment")?,
            state: row.parsed("state")?,
            origin: row.parsed("origin")?,
            certificate: row.bytes("certificate")?,
            key: KeptKey::from_row(row)?,
            created_at: row.time("created_at")?,
        })
    }
}

impl Reading<'_> {
    /// Every CA, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn issuers(&mut self) -> Result<Vec<IssuerRow>, StoreError> {
        sql(TABLE, "SELECT * FROM issuers ORDER BY created_at, key_id LIMIT 1000")
            .all(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Records a CA. In an installation that exists already, [`Self::issuer_trust_changed`] follows.
    ///
    /// # Errors
    /// [`StoreError`], also when its key or its name is on record already, and when another one is
    /// active in its role and environment.
    pub async fn insert_issuer(&mut self, issuer: &IssuerRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO issuers (key_id, name, role, parent_key_id, environment, state, origin, custody,
                 certificate, sealed_key, key_location, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(issuer.key_id)
        .bind(&issuer.name)
        .bind(issuer.role)
        .bind(issuer.parent)
        .bind(issuer.environment.as_ref())
        .bind(issuer.state)
        .bind(issuer.origin)
        .bind(issuer.key.custody())
        .bind(issuer.certificate.as_slice())
        .bind(issuer.key.sealed())
        .bind(issuer.key.location())
        .bind(issuer.created_at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Moves a CA on in its life; `false` when it is not in the state `from` any more.
    /// [`Self::issuer_trust_changed`] follows.
    ///
    /// # Errors
    /// [`StoreError`], also when another one is active in its role and environment.
    pub async fn move_issuer(
        &mut self,
        issuer: IssuerKeyId,
        from: IssuerState,
        to: IssuerState,
    ) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE issuers SET state = $3 WHERE key_id = $1 AND state = $2")
            .bind(issuer)
            .bind(from)
            .bind(to)
            .changed(&mut self.connection)
            .await
    }

    /// Says where a CA's key is kept from now on; `false` when there is no such CA.
    /// [`Self::issuer_trust_changed`] follows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_issuer_key(&mut self, issuer: IssuerKeyId, key: &KeptKey) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE issuers SET custody = $2, sealed_key = $3, key_location = $4 WHERE key_id = $1")
            .bind(issuer)
            .bind(key.custody())
            .bind(key.sealed())
            .bind(key.location())
            .changed(&mut self.connection)
            .await
    }

    /// Raises the epoch because of a CA: to be called in every transaction that adds one or changes it,
    /// so that all authorities and doors hear of it.
    ///
    /// # Errors
    /// [`StoreError`], also when there is no installation.
    pub async fn issuer_trust_changed(&mut self, issuer: IssuerKeyId) -> Result<SnapshotVersion, StoreError> {
        let version = self.raise_epoch().await?;
        sql(TABLE, "UPDATE issuers SET trust_epoch = $2 WHERE key_id = $1")
            .bind(issuer)
            .bind(version.epoch)
            .run(&mut self.connection)
            .await?;
        Ok(version)
    }
}
