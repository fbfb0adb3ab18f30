//! Commands to devices.

use countersign_core::command::{CommandKind, CommandState};
use countersign_core::ids::{CommandId, DeviceId, JobId};
use countersign_core::time::Timestamp;
use serde_json::Value as Json;

use super::cursor::Cursor;
use super::{LIST_LIMIT, SWEEP_LIMIT};
use crate::error::StoreError;
use crate::row::{FromRow, Item, Number, Row};
use crate::statement::{Conditions, sql};
use crate::transaction::{Reading, Writing};

const TABLE: &str = "commands";

/// A command as far as it is on record.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandRow {
    /// Its id.
    pub id: CommandId,
    /// To which device.
    pub device: DeviceId,
    /// The job that it is a part of.
    pub job: Option<JobId>,
    /// What the device is asked to do.
    pub kind: CommandKind,
    /// The particulars.
    pub payload: Option<Json>,
    /// Where it stands.
    pub state: CommandState,
    /// When it was queued.
    pub created_at: Timestamp,
    /// The moment from which on it is offered no more.
    pub expires_at: Timestamp,
    /// When its device first got it.
    pub delivered_at: Option<Timestamp>,
    /// When its result came, or its time had passed.
    pub finished_at: Option<Timestamp>,
    /// What came of it, in the device's words.
    pub result: Option<Json>,
    /// Why it failed, in the device's words.
    pub error: Option<String>,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandOutcome {
    /// Completed, failed or expired.
    pub state: CommandState,
    /// When.
    pub at: Timestamp,
    /// What came of it.
    pub result: Option<Json>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Where a page of commands ended.
pub type CommandCursor = Cursor<CommandId>;

/// A page of a device's commands, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandPage {
    /// The commands.
    pub commands: Vec<CommandRow>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<CommandCursor>,
}

impl FromRow for CommandRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            device: row.parsed("device_id")?,
            job: row.optional_parsed("job_id")?,
            kind: row.parsed("type")?,
            payload: row.optional_parsed("payload")?,
            state: row.parsed("status")?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
            delivered_at: row.optional_time("delivered_at")?,
            finished_at: row.optional_time("finished_at")?,
            result: row.optional_parsed("result")?,
            error: row.optional_text("error")?,
        })
    }
}

impl Reading<'_> {
    /// The command with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn command(&mut self, id: CommandId) -> Result<Option<CommandRow>, StoreError> {
        sql(TABLE, "SELECT * FROM commands WHERE id = $1").bind(id).optional(&mut self.connection).await
    }

    /// The commands that a device is to be offered, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_commands(
        &mut self,
        device: DeviceId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<CommandRow>, StoreError> {
        sql(
            TABLE,
            "SELECT * FROM commands WHERE device_id = $1 AND status IN ('queued', 'delivered')
                 AND expires_at > $2
             ORDER BY created_at, id LIMIT $3",
        )
        .bind(device)
        .bind(now)
        .bind(limit)
        .all(&mut self.connection)
        .await
    }

    /// How many commands of a device have no outcome.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_open_commands(&mut self, device: DeviceId) -> Result<u64, StoreError> {
        let Number(count) = sql(
            TABLE,
            "SELECT count(*) AS number FROM commands
             WHERE device_id = $1 AND status IN ('queued', 'delivered')",
        )
        .bind(device)
        .one(&mut self.connection)
        .await?;
        Ok(count)
    }

    /// A page of a device's commands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_commands(
        &mut self,
        device: DeviceId,
        after: Option<CommandCursor>,
        limit: u32,
    ) -> Result<CommandPage, StoreError> {
        let limit = limit.clamp(1, LIST_LIMIT);
        let mut commands: Vec<CommandRow> = Conditions::none()
            .and("device_id = ?", Some(device))
            .and_pair("(created_at, id) < (?, ?)", after.map(|cursor| (cursor.at, cursor.id)))
            .select(TABLE, "SELECT * FROM commands", "ORDER BY created_at DESC, id DESC", limit + 1)
            .all(&mut self.connection)
            .await?;
        let more = commands.len() > limit as usize;
        commands.truncate(limit as usize);
        let next =
            commands.last().filter(|_last| more).map(|last| Cursor { at: last.created_at, id: last.id });
        Ok(CommandPage { commands, next })
    }

    /// Devices for which a command was queued after a moment and still waits; at most [`LIST_LIMIT`],
    /// those whose commands are the newest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices_with_commands_since(
        &mut self,
        since: Timestamp,
    ) -> Result<Vec<DeviceId>, StoreError> {
        let ids: Vec<Item<DeviceId>> = sql(
            TABLE,
            "SELECT device_id AS item FROM commands WHERE status = 'queued' AND created_at > $1
             GROUP BY device_id ORDER BY max(created_at) DESC LIMIT $2",
        )
        .bind(since)
        .bind(LIST_LIMIT)
        .all(&mut self.connection)
        .await?;
        Ok(ids.into_iter().map(|Item(id)| id).collect())
    }

    /// Commands without an outcome whose time has passed; at most [`SWEEP_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn commands_past_end(&mut self, now: Timestamp) -> Result<Vec<CommandRow>, StoreError> {
        sql(
            TABLE,
            "SELECT * FROM commands WHERE status IN ('queued', 'delivered') AND expires_at <= $1
             ORDER BY expires_at LIMIT $2",
        )
        .bind(now)
        .bind(SWEEP_LIMIT)
        .all(&mut self.connection)
        .await
    }
}

impl Writing<'_> {
    /// Records a new command, and on its device that one waits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_command(&mut self, command: &CommandRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO commands (id, device_id, type, payload, status, created_at, expires_at, job_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(command.id)
        .bind(command.device)
        .bind(command.kind)
        .bind(command.payload.as_ref().map(ToString::to_string))
        .bind(command.state)
        .bind(command.created_at)
        .bind(command.expires_at)
        .bind(command.job)
        .run(&mut self.connection)
        .await?;
        sql(
            "devices",
            "UPDATE devices SET commands_until = $2
             WHERE id = $1 AND (commands_until IS NULL OR commands_until < $2)",
        )
        .bind(command.device)
        .bind(command.expires_at)
        .run(&mut self.connection)
        .await
        .map(|_changed| ())
    }

    /// Notes that a device got a command; `false` when that was known, or the command has an outcome.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliver_command(&mut self, id: CommandId, at: Timestamp) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE commands SET status = 'delivered', delivered_at = $2 WHERE id = $1 AND status = 'queued'",
        )
        .bind(id)
        .bind(at)
        .changed(&mut self.connection)
        .await
    }

    /// Records the outcome of a device's command; `false` when it has one, or is another device's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_command(
        &mut self,
        id: CommandId,
        device: DeviceId,
        outcome: &CommandOutcome,
    ) -> Result<bool, StoreError> {
        let is_done = sql(
            TABLE,
            "UPDATE commands SET status = $3, finished_at = $4, result = $5, error = $6
             WHERE id = $1 AND device_id = $2 AND status IN ('queued', 'delivered')",
        )
        .bind(id)
        .bind(device)
        .bind(outcome.state)
        .bind(outcome.at)
        .bind(outcome.result.as_ref().map(ToString::to_string))
        .bind(outcome.error.as_deref())
        .changed(&mut self.connection)
        .await?;
        if is_done {
            sql(
                "devices",
                "UPDATE devices SET commands_until = NULL WHERE id = $1 AND NOT EXISTS
                     (SELECT 1 FROM commands WHERE device_id = $1 AND status IN ('queued', 'delivered'))",
            )
            .bind(device)
            .run(&mut self.connection)
            .await?;
        }
        Ok(is_done)
    }

    /// Removes commands whose outcome is from before a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_commands(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        sql(TABLE, "DELETE FROM commands WHERE finished_at IS NOT NULL AND finished_at < $1")
            .bind(before)
            .run(&mut self.connection)
            .await
    }
}
