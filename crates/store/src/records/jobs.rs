//! Jobs: one command to each of many devices.

use countersign_core::command::{CommandState, JobName};
use countersign_core::ids::{CommandId, DeviceId, DeviceName, JobId, Tenant, TenantId};
use countersign_core::time::Timestamp;
use serde_json::Value as Json;

use super::commands::CommandRow;
use super::cursor::Cursor;
use super::{LIST_LIMIT, SWEEP_LIMIT};
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::{Conditions, sql};
use crate::transaction::{Reading, Writing};

const TABLE: &str = "jobs";

/// A job as far as it is on record.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// Whose devices do it.
    pub tenant: TenantId,
    /// Its tenant's slug; read with the row, not written.
    pub tenant_slug: Tenant,
    /// What people call it.
    pub name: JobName,
    /// What is to be done.
    pub document: Json,
    /// When it was made.
    pub created_at: Timestamp,
    /// The moment from which on it is offered no more.
    pub expires_at: Timestamp,
    /// When it was called off.
    pub cancelled_at: Option<Timestamp>,
}

/// One device's part of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPart {
    /// Which device.
    pub device: DeviceId,
    /// The device's name.
    pub device_name: DeviceName,
    /// The command that it got.
    pub command: CommandId,
    /// Where it stands.
    pub state: CommandState,
    /// When its outcome came.
    pub finished_at: Option<Timestamp>,
    /// Why it failed, in the device's words.
    pub error: Option<String>,
}

/// Where a page of jobs ended.
pub type JobCursor = Cursor<JobId>;

/// A page of jobs, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobRow>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<JobCursor>,
}

impl FromRow for JobRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            tenant: row.parsed("org_id")?,
            tenant_slug: row.parsed("tenant_slug")?,
            name: row.parsed("name")?,
            document: row.parsed("document")?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
            cancelled_at: row.optional_time("cancelled_at")?,
        })
    }
}

impl FromRow for JobPart {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            device: row.parsed("device_id")?,
            device_name: row.parsed("device_name")?,
            command: row.parsed("id")?,
            state: row.parsed("status")?,
            finished_at: row.optional_time("finished_at")?,
            error: row.optional_text("error")?,
        })
    }
}

/// Every column of a job.
const SELECT: &str =
    "SELECT jobs.*, tenants.slug AS tenant_slug FROM jobs JOIN tenants ON tenants.id = jobs.org_id";

impl Reading<'_> {
    /// The job with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job(&mut self, id: JobId) -> Result<Option<JobRow>, StoreError> {
        Conditions::none()
            .and("jobs.id = ?", Some(id))
            .select(TABLE, SELECT, "ORDER BY jobs.id", 1)
            .optional(&mut self.connection)
            .await
    }

    /// A page of jobs, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_jobs(
        &mut self,
        tenant: Option<TenantId>,
        after: Option<JobCursor>,
        limit: u32,
    ) -> Result<JobPage, StoreError> {
        let limit = limit.clamp(1, LIST_LIMIT);
        let mut jobs: Vec<JobRow> = Conditions::none()
            .and("jobs.org_id = ?", tenant)
            .and_pair("(jobs.created_at, jobs.id) < (?, ?)", after.map(|cursor| (cursor.at, cursor.id)))
            .select(TABLE, SELECT, "ORDER BY jobs.created_at DESC, jobs.id DESC", limit + 1)
            .all(&mut self.connection)
            .await?;
        let more = jobs.len() > limit as usize;
        jobs.truncate(limit as usize);
        let next = jobs.last().filter(|_last| more).map(|last| Cursor { at: last.created_at, id: last.id });
        Ok(JobPage { jobs, next })
    }

    /// The parts of a job, by the names of its devices; at most [`LIST_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job_parts(&mut self, job: JobId) -> Result<Vec<JobPart>, StoreError> {
        sql(
            "commands",
            "SELECT commands.id, commands.device_id, commands.status, commands.finished_at, commands.error,
                 devices.name AS device_name
             FROM commands JOIN devices ON devices.id = commands.device_id
             WHERE commands.job_id = $1 ORDER BY devices.name, commands.device_id LIMIT $2",
        )
        .bind(job)
        .bind(LIST_LIMIT)
        .all(&mut self.connection)
        .await
    }

    /// The commands of a job that have no outcome.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_commands_of_job(&mut self, job: JobId) -> Result<Vec<CommandRow>, StoreError> {
        sql(
            "commands",
            "SELECT * FROM commands WHERE job_id = $1 AND status IN ('queued', 'delivered')
             ORDER BY device_id LIMIT $2",
        )
        .bind(job)
        .bind(LIST_LIMIT)
        .all(&mut self.connection)
        .await
    }
}

impl Writing<'_> {
    /// Records a new job; its commands come after it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_job(&mut self, job: &JobRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO jobs (id, org_id, name, document, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(job.id)
        .bind(job.tenant)
        .bind(&job.name)
        .bind(job.document.to_string())
        .bind(job.created_at)
        .bind(job.expires_at)
        .run(&mut self.connection)
        .await
        .map(|_written| ())
    }

    /// Notes that a job was called off; `false` when it was before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cancel_job(&mut self, id: JobId, at: Timestamp) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE jobs SET cancelled_at = $2 WHERE id = $1 AND cancelled_at IS NULL")
            .bind(id)
            .bind(at)
            .changed(&mut self.connection)
            .await
    }

    /// Removes jobs whose time was over before a moment and of which no command is left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_jobs(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        sql(
            TABLE,
            "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE expires_at < $1
                 AND NOT EXISTS (SELECT 1 FROM commands WHERE commands.job_id = jobs.id) LIMIT $2)",
        )
        .bind(before)
        .bind(SWEEP_LIMIT)
        .run(&mut self.connection)
        .await
    }
}
