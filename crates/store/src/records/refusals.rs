//! The facts behind refusals, for `countersign explain`; kept for a while, no audit.

use countersign_core::ids::RequestId;
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "refusals";

/// One refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusalRow {
    /// The request that was refused.
    pub id: RequestId,
    /// When.
    pub at: Timestamp,
    /// The stable code.
    pub code: String,
    /// What led to it.
    pub facts: serde_json::Value,
}

impl FromRow for RefusalRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let facts = row.text("facts")?;
        Ok(Self {
            id: row.parsed("id")?,
            at: row.time("at")?,
            code: row.text("code")?,
            facts: serde_json::from_str(&facts).map_err(|_not_json| row.corrupt("facts", &facts))?,
        })
    }
}

impl Reading<'_> {
    /// The refusal of a request.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refusal(&mut self, id: RequestId) -> Result<Option<RefusalRow>, StoreError> {
        sql(TABLE, "SELECT id, at, code, facts FROM refusals WHERE id = $1")
            .bind(id)
            .optional(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Records refusals; the first one of a request counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_refusals(&mut self, refusals: &[RefusalRow]) -> Result<(), StoreError> {
        for refusal in refusals {
            sql(
                TABLE,
                "INSERT INTO refusals (id, at, code, facts) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (id) DO NOTHING",
            )
            .bind(refusal.id)
            .bind(refusal.at)
            .bind(refusal.code.as_str())
            .bind(refusal.facts.to_string())
            .run(&mut self.connection)
            .await?;
        }
        Ok(())
    }

    /// Removes refusals from before a moment and says how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_refusals(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        sql(TABLE, "DELETE FROM refusals WHERE at < $1").bind(before).run(&mut self.connection).await
    }
}
