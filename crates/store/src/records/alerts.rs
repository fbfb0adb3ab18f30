//! Alerts, whom they have not reached yet, and when nobody is told.

use countersign_core::ids::{AlertId, SilenceId, Tenant};
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::{Conditions, Statement, sql};
use crate::transaction::{Reading, Writing};

const TABLE: &str = "alerts";
const DELIVERIES: &str = "alert_deliveries";
const SILENCES: &str = "alert_silences";

spelled_enum! {
    /// How grave it is.
    Severity {
        /// Good to know.
        Info => "info",
        /// Somebody should look before long.
        Warning => "warning",
        /// Somebody must look now.
        Critical => "critical",
    }
}

spelled_enum! {
    /// What is told.
    News {
        /// That the cause is there.
        Raised => "raised",
        /// That it is gone.
        Resolved => "resolved",
    }
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRow {
    /// Its id.
    pub id: AlertId,
    /// What kind of cause.
    pub kind: String,
    /// What it is about; with the kind it tells causes apart.
    pub subject: String,
    /// Whose; `None`: the whole installation's.
    pub tenant: Option<Tenant>,
    /// How grave it is.
    pub severity: Severity,
    /// A sentence for people.
    pub summary: String,
    /// Since when.
    pub opened_at: Timestamp,
    /// When the cause was last there.
    pub seen_at: Timestamp,
    /// Since when it is being told; `None`: nobody was to hear of it yet.
    pub told_at: Option<Timestamp>,
    /// Since when the cause is gone.
    pub resolved_at: Option<Timestamp>,
    /// When somebody said that they see to it, and who.
    pub acknowledged: Option<(Timestamp, String)>,
}

impl FromRow for AlertRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let tenant = row.text("tenant")?;
        Ok(Self {
            id: row.parsed("id")?,
            kind: row.text("kind")?,
            subject: row.text("subject")?,
            tenant: if tenant.is_empty() { None } else { Some(row.parsed("tenant")?) },
            severity: row.parsed("severity")?,
            summary: row.text("summary")?,
            opened_at: row.time("opened_at")?,
            seen_at: row.time("seen_at")?,
            told_at: row.optional_time("told_at")?,
            resolved_at: row.optional_time("resolved_at")?,
            acknowledged: row.optional_time("acknowledged_at")?.zip(row.optional_text("acknowledged_by")?),
        })
    }
}

/// Which alerts a list has.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// The only tenant; `None`: all.
    pub tenant: Option<Tenant>,
    /// Only what is open.
    pub only: AlertsOnly,
    /// How many at most: 1 to [`LIST_LIMIT`].
    pub limit: u32,
}

/// Whether resolved alerts are among those of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlertsOnly {
    /// They are.
    #[default]
    All,
    /// They are not.
    Open,
}

/// Somebody who has not been told yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Of which alert.
    pub alert: AlertId,
    /// Who.
    pub target: String,
    /// What.
    pub news: News,
    /// When it is tried next.
    pub due_at: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
}

impl FromRow for DeliveryRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            alert: row.parsed("alert_id")?,
            target: row.text("target")?,
            news: row.parsed("news")?,
            due_at: row.time("due_at")?,
            attempts: row.number("attempts")?,
        })
    }
}

/// A window in which nobody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilenceRow {
    /// Its id.
    pub id: SilenceId,
    /// Of this kind alone; empty: of any.
    pub kind: String,
    /// About this alone; empty: about anything.
    pub subject: String,
    /// Why, for people.
    pub reason: String,
    /// Who made it.
    pub created_by: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
}

impl FromRow for SilenceRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            kind: row.text("kind")?,
            subject: row.text("subject")?,
            reason: row.text("reason")?,
            created_by: row.text("created_by")?,
            created_at: row.time("created_at")?,
            ends_at: row.time("ends_at")?,
        })
    }
}

impl Reading<'_> {
    /// Alerts, latest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn alerts(&mut self, filter: &AlertFilter) -> Result<Vec<AlertRow>, StoreError> {
        let head = match filter.only {
            AlertsOnly::All => "SELECT * FROM alerts",
            AlertsOnly::Open => "SELECT * FROM (SELECT * FROM alerts WHERE resolved_at IS NULL) AS open",
        };
        Conditions::none()
            .and("tenant = ?", filter.tenant.as_ref().map(Tenant::as_str))
            .select(TABLE, head, "ORDER BY opened_at DESC, id DESC", filter.limit.clamp(1, LIST_LIMIT))
            .all(&mut self.connection)
            .await
    }

    /// Every open alert.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_alerts(&mut self) -> Result<Vec<AlertRow>, StoreError> {
        sql(TABLE, "SELECT * FROM alerts WHERE resolved_at IS NULL").all(&mut self.connection).await
    }

    /// An alert by its id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn alert(&mut self, id: AlertId) -> Result<Option<AlertRow>, StoreError> {
        sql(TABLE, "SELECT * FROM alerts WHERE id = $1")
            .bind(id.to_string())
            .optional(&mut self.connection)
            .await
    }

    /// The windows that have not ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn silences(&mut self, now: Timestamp) -> Result<Vec<SilenceRow>, StoreError> {
        sql(SILENCES, "SELECT * FROM alert_silences WHERE ends_at > $1 ORDER BY ends_at, id")
            .bind(now)
            .all(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Raises an alert, unless its cause has raised one already, which is then brought up to date. Whether it is
    /// new: of several authorities one alone hears so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn raise_alert(&mut self, row: &AlertRow) -> Result<bool, StoreError> {
        let is_new = sql(
            TABLE,
            "INSERT INTO alerts (id, kind, subject, tenant, severity, summary, opened_at, seen_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(row.id.to_string())
        .bind(row.kind.as_str())
        .bind(row.subject.as_str())
        .bind(row.tenant.as_ref().map(Tenant::as_str).unwrap_or_default())
        .bind(row.severity.as_str())
        .bind(row.summary.as_str())
        .bind(row.opened_at)
        .bind(row.seen_at)
        .changed(&mut self.connection)
        .await?;
        if !is_new {
            sql(
                TABLE,
                "UPDATE alerts SET severity = $1, summary = $2, seen_at = $3
                 WHERE kind = $4 AND subject = $5 AND resolved_at IS NULL",
            )
            .bind(row.severity.as_str())
            .bind(row.summary.as_str())
            .bind(row.seen_at)
            .bind(row.kind.as_str())
            .bind(row.subject.as_str())
            .run(&mut self.connection)
            .await?;
        }
        Ok(is_new)
    }

    /// Notes that an alert is being told. Whether it was not yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_to_tell(&mut self, id: AlertId, now: Timestamp) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE alerts SET told_at = $1 WHERE id = $2 AND told_at IS NULL")
            .bind(now)
            .bind(id.to_string())
            .changed(&mut self.connection)
            .await
    }

    /// Notes that the cause of an open alert is gone. Whether it was open.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resolve_alert(&mut self, id: AlertId, now: Timestamp) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE alerts SET resolved_at = $1 WHERE id = $2 AND resolved_at IS NULL")
            .bind(now)
            .bind(id.to_string())
            .changed(&mut self.connection)
            .await
    }

    /// Notes who sees to an open alert. Whether nobody did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn acknowledge_alert(
        &mut self,
        id: AlertId,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE alerts SET acknowledged_at = $1, acknowledged_by = $2
             WHERE id = $3 AND resolved_at IS NULL AND acknowledged_at IS NULL",
        )
        .bind(now)
        .bind(by)
        .bind(id.to_string())
        .changed(&mut self.connection)
        .await
    }

    /// Forgets alerts that were resolved before a moment, whoever was not told, and windows that ended before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_alerts(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        sql(
            DELIVERIES,
            "DELETE FROM alert_deliveries WHERE alert_id IN (SELECT id FROM alerts WHERE resolved_at < $1)",
        )
        .bind(before)
        .run(&mut self.connection)
        .await?;
        sql(TABLE, "DELETE FROM alerts WHERE resolved_at < $1")
            .bind(before)
            .run(&mut self.connection)
            .await?;
        sql(SILENCES, "DELETE FROM alert_silences WHERE ends_at < $1")
            .bind(before)
            .run(&mut self.connection)
            .await
    }

    /// Notes that somebody is to be told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn queue_delivery(&mut self, row: &DeliveryRow) -> Result<(), StoreError> {
        sql(
            DELIVERIES,
            "INSERT INTO alert_deliveries (alert_id, target, news, due_at, attempts)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (alert_id, target, news) DO NOTHING",
        )
        .bind(row.alert.to_string())
        .bind(row.target.as_str())
        .bind(row.news.as_str())
        .bind(row.due_at)
        .bind(row.attempts)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Takes what is due to one target, each with its alert: nobody else gets it until `again`. What is told
    /// first happened first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_deliveries(
        &mut self,
        target: &str,
        (now, again): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<(DeliveryRow, AlertRow)>, StoreError> {
        let due: Vec<DeliveryRow> = sql(
            DELIVERIES,
            "SELECT * FROM alert_deliveries WHERE target = $1 AND due_at <= $2
             ORDER BY due_at, alert_id, news LIMIT $3",
        )
        .bind(target)
        .bind(now)
        .bind(limit)
        .all(&mut self.connection)
        .await?;
        let mut taken = Vec::with_capacity(due.len());
        for mut row in due {
            row.due_at = again;
            self.put_off(&row).await?;
            if let Some(alert) = self.alert(row.alert).await? {
                taken.push((row, alert));
            }
        }
        Ok(taken)
    }

    /// Puts a delivery off, with what was counted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_off(&mut self, row: &DeliveryRow) -> Result<(), StoreError> {
        let put_off = sql(
            DELIVERIES,
            "UPDATE alert_deliveries SET due_at = $1, attempts = $2
             WHERE alert_id = $3 AND target = $4 AND news = $5",
        );
        let put_off = of_delivery(put_off.bind(row.due_at).bind(row.attempts), row);
        put_off.run(&mut self.connection).await.map(|_one| ())
    }

    /// Somebody was told, or is not to be told any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_delivery(&mut self, row: &DeliveryRow) -> Result<(), StoreError> {
        let end =
            sql(DELIVERIES, "DELETE FROM alert_deliveries WHERE alert_id = $1 AND target = $2 AND news = $3");
        of_delivery(end, row).run(&mut self.connection).await.map(|_one| ())
    }

    /// Makes a window in which nobody is told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_silence(&mut self, row: &SilenceRow) -> Result<(), StoreError> {
        sql(
            SILENCES,
            "INSERT INTO alert_silences (id, kind, subject, reason, created_by, created_at, ends_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(row.id.to_string())
        .bind(row.kind.as_str())
        .bind(row.subject.as_str())
        .bind(row.reason.as_str())
        .bind(row.created_by.as_str())
        .bind(row.created_at)
        .bind(row.ends_at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Ends a window. Whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_silence(&mut self, id: SilenceId) -> Result<bool, StoreError> {
        sql(SILENCES, "DELETE FROM alert_silences WHERE id = $1")
            .bind(id.to_string())
            .changed(&mut self.connection)
            .await
    }
}

/// Binds the key of a delivery, as the next values.
fn of_delivery(statement: Statement, row: &DeliveryRow) -> Statement {
    statement.bind(row.alert.to_string()).bind(row.target.as_str()).bind(row.news.as_str())
}
