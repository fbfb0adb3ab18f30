//! What somebody has been shown before it is revoked: a selection is carried out once, or not at all.

use countersign_core::certificate::RevocationReason;
use countersign_core::ids::{SelectionId, TenantId};
use countersign_core::time::Timestamp;

use super::falling::RevocationSelector;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::Writing;

const TABLE: &str = "revocation_selections";

/// A selection that waits to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectionRow {
    /// Its id.
    pub id: SelectionId,
    /// Who made it, in the text form of [`countersign_core::audit::Actor`]; nobody else may carry it
    /// out.
    pub actor: String,
    /// What was selected.
    pub selector: RevocationSelector,
    /// The only tenant whose devices it is about.
    pub scope: Option<TenantId>,
    /// Why it is to be revoked.
    pub reason: RevocationReason,
    /// SHA-256, lower-case hex, of what was shown.
    pub digest: String,
    /// The moment from which on it is refused.
    pub expires_at: Timestamp,
}

impl FromRow for SelectionRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let selector = row.text("selector")?;
        Ok(Self {
            id: row.parsed("id")?,
            actor: row.text("actor")?,
            selector: serde_json::from_str(&selector)
                .map_err(|_unreadable| row.corrupt("selector", &selector))?,
            scope: row.optional_parsed("org_id")?,
            reason: row.parsed("reason")?,
            digest: row.text("digest")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

impl Writing<'_> {
    /// Keeps a selection; those that have expired are removed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_selection(
        &mut self,
        selection: &SelectionRow,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sql(TABLE, "DELETE FROM revocation_selections WHERE expires_at <= $1")
            .bind(now)
            .run(&mut self.connection)
            .await?;
        let selector = serde_json::to_string(&selection.selector)
            .map_err(|error| StoreError::corrupt(TABLE, "selector", &error.to_string()))?;
        sql(
            TABLE,
            "INSERT INTO revocation_selections (id, actor, selector, org_id, reason, digest, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(selection.id)
        .bind(selection.actor.as_str())
        .bind(selector)
        .bind(selection.scope)
        .bind(selection.reason)
        .bind(selection.digest.as_str())
        .bind(selection.expires_at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Takes a selection, which can be done once. Fails closed: `None` when it is another's, was taken,
    /// or has expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_selection(
        &mut self,
        id: SelectionId,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<SelectionRow>, StoreError> {
        sql(
            TABLE,
            "DELETE FROM revocation_selections WHERE id = $1 AND actor = $2 AND expires_at > $3
             RETURNING id, actor, selector, org_id, reason, digest, expires_at",
        )
        .bind(id)
        .bind(actor)
        .bind(now)
        .optional(&mut self.connection)
        .await
    }
}
