//! Copies of the audit that are sent elsewhere as it is written: how far each is, and what holds it up.

use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "audit_streams";

/// A copy of the audit that is sent elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditStreamRow {
    /// What it is called.
    pub name: String,
    /// The last entry that has arrived, by its [`super::audit::AuditRecord::id`].
    pub position: u64,
    /// When what comes next is sent.
    pub due_at: Timestamp,
    /// Why what comes next has not arrived.
    pub failure: Option<StreamFailure>,
    /// When something arrived last.
    pub arrived_at: Option<Timestamp>,
}

/// What comes next was sent in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFailure {
    /// How often.
    pub attempts: u32,
    /// Since when.
    pub since: Timestamp,
    /// Why, the last time.
    pub problem: String,
}

impl FromRow for AuditStreamRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let attempts = row.number("attempts")?;
        let failed = row.optional_time("failed_since")?.zip(row.optional_text("problem")?);
        Ok(Self {
            name: row.text("name")?,
            position: row.number("position")?,
            due_at: row.time("due_at")?,
            failure: failed.map(|(since, problem)| StreamFailure { attempts, since, problem }),
            arrived_at: row.optional_time("arrived_at")?,
        })
    }
}

impl Reading<'_> {
    /// Every stream that there ever was, by its name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_streams(&mut self) -> Result<Vec<AuditStreamRow>, StoreError> {
        sql(TABLE, "SELECT * FROM audit_streams ORDER BY name").all(&mut self.connection).await
    }

    /// A stream by its name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_stream(&mut self, name: &str) -> Result<Option<AuditStreamRow>, StoreError> {
        sql(TABLE, "SELECT * FROM audit_streams WHERE name = $1")
            .bind(name)
            .optional(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Begins a stream after an entry, unless it has begun already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_audit_stream(
        &mut self,
        name: &str,
        position: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO audit_streams (name, position, due_at, attempts) VALUES ($1, $2, $3, 0)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(position)
        .bind(now)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Takes what comes next of a stream, when it is due: nobody else gets it until `again`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_audit_stream(
        &mut self,
        name: &str,
        (now, again): (Timestamp, Timestamp),
    ) -> Result<Option<AuditStreamRow>, StoreError> {
        sql(
            TABLE,
            "UPDATE audit_streams SET due_at = $1 WHERE name = $2 AND due_at <= $3
             RETURNING name, position, due_at, attempts, failed_since, problem, arrived_at",
        )
        .bind(again)
        .bind(name)
        .bind(now)
        .optional(&mut self.connection)
        .await
    }

    /// What came after the position of `taken` has arrived, up to `position`; what comes next is due. `false`
    /// when somebody else has taken it meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn move_audit_stream(
        &mut self,
        taken: &AuditStreamRow,
        position: u64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE audit_streams SET position = $1, due_at = $2, arrived_at = $2, attempts = 0,
                 failed_since = NULL, problem = NULL
             WHERE name = $3 AND position = $4 AND due_at = $5",
        )
        .bind(position)
        .bind(now)
        .bind(taken.name.as_str())
        .bind(taken.position)
        .bind(taken.due_at)
        .changed(&mut self.connection)
        .await
    }

    /// What came next has not arrived, and is sent again at `again`. `false` when somebody else has taken it
    /// meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_off_audit_stream(
        &mut self,
        taken: &AuditStreamRow,
        failure: &StreamFailure,
        again: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE audit_streams SET due_at = $1, attempts = $2, failed_since = $3, problem = $4
             WHERE name = $5 AND position = $6 AND due_at = $7",
        )
        .bind(again)
        .bind(failure.attempts)
        .bind(failure.since)
        .bind(failure.problem.as_str())
        .bind(taken.name.as_str())
        .bind(taken.position)
        .bind(taken.due_at)
        .changed(&mut self.connection)
        .await
    }
}
