//! Old entries of the audit that were removed: up to where, and what vouches for it.

use std::collections::BTreeMap;

use countersign_core::anchor::AnchoredHead;
use countersign_core::audit::ChainHash;
use countersign_core::ids::Tenant;
use countersign_core::time::Timestamp;

use super::audit::{TABLE as ENTRIES, hash};
use super::journal::requests_of;
use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "audit_cuts";

/// Where a chain begins now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCutRow {
    /// The last entry that was removed, and the chain's hash after it.
    pub end: AnchoredHead,
    /// Which anchor vouches for it.
    pub anchor: u64,
    /// When it was removed.
    pub at: Timestamp,
}

impl FromRow for AuditCutRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let chain = row.text("chain")?;
        let tenant: Option<Tenant> = if chain.is_empty() { None } else { Some(row.parsed("chain")?) };
        let hash: ChainHash = hash(row, "hash")?;
        Ok(Self {
            end: AnchoredHead { tenant, sequence: row.number("sequence")?, hash },
            anchor: row.number("anchor")?,
            at: row.time("cut_at")?,
        })
    }
}

/// An entry that goes, with what leads to it.
struct Going {
    id: u64,
    requests: Vec<String>,
}

impl FromRow for Going {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let details: BTreeMap<String, String> =
            serde_json::from_str(&row.text("details")?).unwrap_or_default();
        Ok(Self { id: row.number("id")?, requests: requests_of(&details) })
    }
}

impl Reading<'_> {
    /// Every chain's cut, the platform's own first, then by slug.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_cuts(&mut self) -> Result<Vec<AuditCutRow>, StoreError> {
        sql(TABLE, "SELECT * FROM audit_cuts ORDER BY chain").all(&mut self.connection).await
    }

    /// Where a chain was cut.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn audit_cut(&mut self, chain: &str) -> Result<Option<AuditCutRow>, StoreError> {
        sql(TABLE, "SELECT * FROM audit_cuts WHERE chain = $1")
            .bind(chain)
            .optional(&mut self.connection)
            .await
    }

    /// The number in the whole log of an entry of a chain; `None` when there is no such entry.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_id(
        &mut self,
        tenant: Option<&Tenant>,
        sequence: u64,
    ) -> Result<Option<u64>, StoreError> {
        let text = "SELECT id AS number FROM audit_entries WHERE chain = $1 AND sequence = $2";
        let found: Option<Number> = sql(ENTRIES, text)
            .bind(tenant.map_or("", Tenant::as_str))
            .bind(sequence)
            .optional(&mut self.connection)
            .await?;
        Ok(found.map(|Number(id)| id))
    }
}

impl Writing<'_> {
    /// Moves the cut of a chain forward. `false` when it is there already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cut_audit(&mut self, cut: &AuditCutRow) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "INSERT INTO audit_cuts (chain, sequence, hash, anchor, cut_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (chain) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash,
                 anchor = excluded.anchor, cut_at = excluded.cut_at
             WHERE audit_cuts.sequence < excluded.sequence",
        )
        .bind(cut.end.tenant.as_ref().map_or("", Tenant::as_str))
        .bind(cut.end.sequence)
        .bind(hex::encode(cut.end.hash))
        .bind(cut.anchor)
        .bind(cut.at)
        .changed(&mut self.connection)
        .await
    }

    /// Removes entries that lie behind the cut of a chain, the oldest first, at most `limit`; how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_cut_audit(&mut self, cut: &AuditCutRow, limit: u32) -> Result<u64, StoreError> {
        let going: Vec<Going> = sql(
            ENTRIES,
            "SELECT id, details FROM audit_entries WHERE chain = $1 AND sequence <= $2 ORDER BY sequence LIMIT $3",
        )
        .bind(cut.end.tenant.as_ref().map_or("", Tenant::as_str))
        .bind(cut.end.sequence)
        .bind(limit)
        .all(&mut self.connection)
        .await?;
        let mut removed = 0;
        for Going { id, requests } in going {
            for request in requests {
                sql("audit_requests", "DELETE FROM audit_requests WHERE request_id = $1 AND entry_id = $2")
                    .bind(request)
                    .bind(id)
                    .run(&mut self.connection)
                    .await?;
            }
            removed += sql(ENTRIES, "DELETE FROM audit_entries WHERE id = $1")
                .bind(id)
                .run(&mut self.connection)
                .await?;
        }
        Ok(removed)
    }
}
