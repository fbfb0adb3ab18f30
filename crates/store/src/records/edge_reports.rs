//! What running authorities say of the edges that are attached to them.

use countersign_core::ids::{AuthorityId, IssuerKeyId};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "edge_reports";

/// What an authority says of its edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeReportRow {
    /// Which authority.
    pub authority: AuthorityId,
    /// How many edges are attached to it.
    pub edges: u32,
    /// The lowest epoch that one of them enforces.
    pub applied_epoch: u64,
    /// Who signed the certificate that its doors show; `None`: they show none of ours.
    pub door_issuer: Option<IssuerKeyId>,
    /// How often devices came to it or fell silent since it started.
    pub presence: u64,
    /// When it said so.
    pub at: Timestamp,
}

impl FromRow for EdgeReportRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            authority: row.parsed("authority_id")?,
            edges: row.number("edges")?,
            applied_epoch: row.number("applied_epoch")?,
            door_issuer: row.optional_parsed("door_issuer")?,
            presence: row.number("presence")?,
            at: row.time("at")?,
        })
    }
}

impl Reading<'_> {
    /// What authorities have said since a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn edge_reports(&mut self, since: Timestamp) -> Result<Vec<EdgeReportRow>, StoreError> {
        sql(TABLE, "SELECT * FROM edge_reports WHERE at >= $1 ORDER BY authority_id LIMIT 1000")
            .bind(since)
            .all(&mut self.connection)
            .await
    }
}

impl Reading<'_> {
    /// How often devices came or fell silent at other authorities, as each counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn presence_elsewhere(&mut self, than: AuthorityId) -> Result<u64, StoreError> {
        sql(
            TABLE,
            "SELECT CAST(coalesce(sum(presence), 0) AS bigint) AS number FROM edge_reports WHERE authority_id <> $1",
        )
        .bind(than)
        .one::<Number>(&mut self.connection)
        .await
        .map(|Number(sum)| sum)
    }
}

impl Writing<'_> {
    /// Replaces what an authority says, and forgets what was said before a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_edge_report(
        &mut self,
        row: &EdgeReportRow,
        forget_before: Timestamp,
    ) -> Result<(), StoreError> {
        sql(TABLE, "DELETE FROM edge_reports WHERE at < $1")
            .bind(forget_before)
            .run(&mut self.connection)
            .await?;
        sql(
            TABLE,
            "INSERT INTO edge_reports (authority_id, edges, applied_epoch, door_issuer, presence, at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (authority_id) DO UPDATE SET edges = excluded.edges,
                 applied_epoch = excluded.applied_epoch, door_issuer = excluded.door_issuer,
                 presence = excluded.presence, at = excluded.at",
        )
        .bind(row.authority)
        .bind(row.edges)
        .bind(row.applied_epoch)
        .bind(row.door_issuer)
        .bind(row.presence)
        .bind(row.at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Forgets what an authority said: it ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_edge_report(&mut self, authority: AuthorityId) -> Result<(), StoreError> {
        sql(TABLE, "DELETE FROM edge_reports WHERE authority_id = $1")
            .bind(authority)
            .run(&mut self.connection)
            .await
            .map(|_one| ())
    }
}
