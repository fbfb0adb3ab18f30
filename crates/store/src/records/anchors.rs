//! Anchors of the audit log and the key that signs them.

use std::fmt;

use countersign_core::anchor::{AnchorStatement, AnchoredHead};
use countersign_core::audit::ChainHash;
use countersign_core::ids::{IssuerKeyId, Tenant};
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use super::audit::{HEADS, Head, TABLE as ENTRIES, hash};
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::{Conditions, sql};
use crate::transaction::{Reading, Writing};

const KEYS: &str = "anchor_keys";
const TABLE: &str = "audit_anchors";

/// The key that signs anchors.
#[derive(Clone, PartialEq, Eq)]
pub struct AnchorKeyRow {
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key_id: IssuerKeyId,
    /// Its SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// Its private key, sealed by the issuing side.
    pub sealed_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl fmt::Debug for AnchorKeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnchorKeyRow")
            .field("key_id", &self.key_id)
            .field("sealed_key", &"[redacted]")
            .finish_non_exhaustive()
    }
}

impl FromRow for AnchorKeyRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            key_id: row.parsed("key_id")?,
            public_key: row.bytes("public_key")?,
            sealed_key: row.bytes("sealed_key")?,
            created_at: row.time("created_at")?,
        })
    }
}

/// A signed anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorRow {
    /// What it says.
    pub statement: AnchorStatement,
    /// Which key signed.
    pub key_id: IssuerKeyId,
    /// The signature over the statement's text.
    pub signature: Vec<u8>,
}

impl FromRow for AnchorRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let anchor = Self {
            statement: row.parsed("statement")?,
            key_id: row.parsed("key_id")?,
            signature: row.bytes("signature")?,
        };
        let number: u64 = row.number("number")?;
        if anchor.statement.number == number {
            Ok(anchor)
        } else {
            Err(row.corrupt("number", &number.to_string()))
        }
    }
}

/// The end of a chain, with whose it is.
struct NamedHead(AnchoredHead);

impl FromRow for NamedHead {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let chain = row.text("chain")?;
        let tenant: Option<Tenant> = if chain.is_empty() { None } else { Some(row.parsed("chain")?) };
        let Head { sequence, hash } = Head::from_row(row)?;
        Ok(Self(AnchoredHead { tenant, sequence, hash }))
    }
}

/// One hash: the column `hash`.
struct Hash(ChainHash);

impl FromRow for Hash {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        hash(row, "hash").map(Self)
    }
}

impl Reading<'_> {
    /// The key that signs anchors, if it was made already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn anchor_key(&mut self) -> Result<Option<AnchorKeyRow>, StoreError> {
        sql(KEYS, "SELECT key_id, public_key, sealed_key, created_at FROM anchor_keys ORDER BY created_at")
            .optional(&mut self.connection)
            .await
    }

    /// The ends of all chains, the platform's own first, then by slug.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_heads(&mut self) -> Result<Vec<AnchoredHead>, StoreError> {
        let heads: Vec<NamedHead> =
            sql(HEADS, "SELECT chain, sequence, hash FROM audit_heads ORDER BY chain")
                .all(&mut self.connection)
                .await?;
        Ok(heads.into_iter().map(|NamedHead(head)| head).collect())
    }

    /// The newest anchor.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn latest_anchor(&mut self) -> Result<Option<AnchorRow>, StoreError> {
        sql(TABLE, "SELECT * FROM audit_anchors ORDER BY number DESC LIMIT 1")
            .optional(&mut self.connection)
            .await
    }

    /// Anchors, newest first: those with a number below `before`, if that is given, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn anchors(&mut self, before: Option<u64>, limit: u32) -> Result<Vec<AnchorRow>, StoreError> {
        Conditions::none()
            .and("number < ?", before)
            .select(TABLE, "SELECT * FROM audit_anchors", "ORDER BY number DESC", limit.clamp(1, LIST_LIMIT))
            .all(&mut self.connection)
            .await
    }

    /// Anchors in the order they were made: those with a number above `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn anchors_after(&mut self, after: u64, limit: u32) -> Result<Vec<AnchorRow>, StoreError> {
        sql(TABLE, "SELECT * FROM audit_anchors WHERE number > $1 ORDER BY number LIMIT $2")
            .bind(after)
            .bind(limit.clamp(1, LIST_LIMIT))
            .all(&mut self.connection)
            .await
    }

    /// The hash after an entry, as it is stored, also after the last one that was removed; `None` when there is no
    /// such entry.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_hash(
        &mut self,
        tenant: Option<&Tenant>,
        sequence: u64,
    ) -> Result<Option<ChainHash>, StoreError> {
        let found: Option<Hash> = sql(
            ENTRIES,
            "SELECT hash FROM audit_entries WHERE chain = $1 AND sequence = $2
                 UNION SELECT hash FROM audit_cuts WHERE chain = $1 AND sequence = $2",
        )
        .bind(tenant.map_or("", Tenant::as_str))
        .bind(sequence)
        .optional(&mut self.connection)
        .await?;
        Ok(found.map(|Hash(hash)| hash))
    }
}

impl Writing<'_> {
    /// Records the key that signs anchors; `false` when there is one already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_anchor_key(&mut self, key: &AnchorKeyRow) -> Result<bool, StoreError> {
        sql(
            KEYS,
            "INSERT INTO anchor_keys (key_id, public_key, sealed_key, created_at)
             SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT 1 FROM anchor_keys)",
        )
        .bind(key.key_id)
        .bind(key.public_key.as_slice())
        .bind(key.sealed_key.as_slice())
        .bind(key.created_at)
        .changed(&mut self.connection)
        .await
    }

    /// Replaces the sealed form of the key that signs anchors; `false` when there is no such key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_sealed_anchor_key(
        &mut self,
        key: IssuerKeyId,
        sealed: &[u8],
    ) -> Result<bool, StoreError> {
        sql(KEYS, "UPDATE anchor_keys SET sealed_key = $2 WHERE key_id = $1")
            .bind(key)
            .bind(sealed)
            .changed(&mut self.connection)
            .await
    }

    /// Records an anchor.
    ///
    /// # Errors
    /// [`StoreError`], also when there is one with its number.
    pub async fn insert_anchor(&mut self, anchor: &AnchorRow) -> Result<(), StoreError> {
        sql(TABLE, "INSERT INTO audit_anchors (number, key_id, statement, signature) VALUES ($1, $2, $3, $4)")
            .bind(anchor.statement.number)
            .bind(anchor.key_id)
            .bind(anchor.statement.text())
            .bind(anchor.signature.as_slice())
            .run(&mut self.connection)
            .await
            .map(|_one| ())
    }
}
