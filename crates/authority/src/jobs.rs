//! Jobs: one thing to do for many devices. Each gets a command of its own, so a job's parts are offered,
//! answered and ended as commands are.

use std::time::Duration;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::command::{COMMAND_LIFE, CommandKind, CommandState, JobName};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{CommandId, DeviceId, JobId, TenantId};
use countersign_core::time::Timestamp;
use countersign_store::{CommandOutcome, DeviceRow, StoreError, Writing};
pub use countersign_store::{JobCursor, JobPage, JobPart, JobRow};
use serde_json::json;
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Authorized, Forbidden, Operate, View};
use crate::commands::{self, CommandPayload, CommandRow};
use crate::devices::LookError;

/// How many devices one job may be for.
pub const DEVICES_LIMIT: usize = 500;

/// Why the parts of a job that was called off have ended.
const CALLED_OFF: &str = "the job was called off";

/// For how long a job is offered: at least a minute, at most 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobLife(Duration);

impl JobLife {
    /// The bounds, in seconds.
    pub const SECONDS: std::ops::RangeInclusive<i64> = 60..=30 * 86_400;

    /// So many seconds; `None`: it is out of bounds.
    #[must_use]
    pub fn seconds(seconds: i64) -> Option<Self> {
        let seconds = Some(seconds).filter(|seconds| Self::SECONDS.contains(seconds));
        seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs).map(Self)
    }
}

impl Default for JobLife {
    fn default() -> Self {
        Self(COMMAND_LIFE)
    }
}

/// What a job is to be.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What people call it.
    pub name: JobName,
    /// What is to be done.
    pub document: CommandPayload,
    /// By whom.
    pub devices: Vec<DeviceId>,
    /// For how long it is offered.
    pub life: JobLife,
}

/// A job and what became of it so far.
#[derive(Clone, Debug, PartialEq)]
pub struct JobProgress {
    /// The job.
    pub job: JobRow,
    /// Each device's part.
    pub parts: Vec<JobPart>,
}

/// A job was not made; nothing changed.
#[derive(Debug, Error)]
pub enum CreateJobError {
    /// It names no device, or more than [`DEVICES_LIMIT`].
    #[error("a job is for 1 to {DEVICES_LIMIT} devices")]
    Count,
    /// There is no such device.
    #[error("unknown device {0}")]
    Unknown(DeviceId),
    /// One belongs to another tenant than the caller may see.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// They are of more than one tenant.
    #[error("the devices are of several tenants")]
    SeveralTenants,
    /// One is served nowhere.
    #[error("device {0} is {1}")]
    Conflict(DeviceId, DeviceStatus),
    /// One has as many commands without an outcome as it may have.
    #[error("too many commands wait for device {0}")]
    Full(DeviceId),
    /// The store failed.
    #[error("cannot record the job")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes a job: queues its command for each of its devices, for all or none, and tells those that are
    /// connected here.
    ///
    /// # Errors
    /// See [`CreateJobError`]. Fails closed: nothing is queued for a device that is served nowhere.
    pub async fn create_job(&self, by: &Authorized<Operate>, new: NewJob) -> Result<JobId, CreateJobError> {
        let mut devices = new.devices.clone();
        devices.sort_unstable();
        devices.dedup();
        if devices.is_empty() || devices.len() > DEVICES_LIMIT {
            return Err(CreateJobError::Count);
        }
        let (now, by, ids) = (self.now(), *by, devices.clone());
        let id = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let rows = rows_of(w, &by, &ids).await?;
                    let first = rows.first().ok_or(CreateJobError::Count)?;
                    let job = job_of(&new, first, now);
                    w.insert_job(&job).await?;
                    for device in &rows {
                        let command = part_of(&job, device.id);
                        commands::put(w, &command, &device.tenant_slug, by.actor()).await?;
                    }
                    let entry = entry(&job, AuditEvent::JobCreated, (now, by.actor()));
                    w.append_audit(&entry.detail("name", &job.name).detail("devices", rows.len())).await?;
                    Ok::<_, CreateJobError>(job.id)
                })
            })
            .await?;
        for device in devices {
            self.channels.wake(device);
            self.ears.ring(device);
        }
        Ok(id)
    }

    /// Jobs, newest first; a caller bound to a tenant sees that tenant's alone.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn jobs(
        &self,
        by: &Authorized<View>,
        tenant: Option<TenantId>,
        after: Option<JobCursor>,
        limit: u32,
    ) -> Result<JobPage, LookError> {
        let tenant = tenant.or_else(|| by.scope());
        if let Some(tenant) = tenant {
            by.covers(tenant)?;
        }
        Ok(self.store.read(move |r| Box::pin(async move { r.list_jobs(tenant, after, limit).await })).await?)
    }

    /// One job, and what became of it so far.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn job(&self, by: &Authorized<View>, id: JobId) -> Result<JobProgress, LookError> {
        let found: Result<_, StoreError> = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let Some(job) = r.job(id).await? else { return Ok(None) };
                    let parts = r.job_parts(id).await?;
                    Ok(Some(JobProgress { job, parts }))
                })
            })
            .await;
        let progress = found?.ok_or(LookError::Unknown)?;
        by.covers(progress.job.tenant)?;
        Ok(progress)
    }

    /// Calls a job off: what its devices have not done yet ends. How many parts ended; a job that was called
    /// off before has none left.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn cancel_job(&self, by: &Authorized<Operate>, id: JobId) -> Result<usize, LookError> {
        let (now, by) = (self.now(), *by);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let job = w.job(id).await?.ok_or(LookError::Unknown)?;
                    by.covers(job.tenant)?;
                    if !w.cancel_job(id, now).await? {
                        return Ok(0);
                    }
                    let open = w.open_commands_of_job(id).await?;
                    let error = Some(CALLED_OFF.to_owned());
                    let outcome =
                        CommandOutcome { state: CommandState::Expired, at: now, result: None, error };
                    for command in &open {
                        commands::finish(w, command, &job.tenant_slug, &outcome, by.actor()).await?;
                    }
                    let entry = entry(&job, AuditEvent::JobCancelled, (now, by.actor()));
                    w.append_audit(&entry.detail("ended", open.len())).await?;
                    Ok(open.len())
                })
            })
            .await
    }
}

/// The devices of a job, all of one tenant that the caller may see.
async fn rows_of(
    w: &mut Writing<'_>,
    by: &Authorized<Operate>,
    ids: &[DeviceId],
) -> Result<Vec<DeviceRow>, CreateJobError> {
    let mut rows: Vec<DeviceRow> = Vec::with_capacity(ids.len());
    for id in ids {
        let device = w.device(*id).await?.ok_or(CreateJobError::Unknown(*id))?;
        by.covers(device.tenant)?;
        if rows.first().is_some_and(|first| first.tenant != device.tenant) {
            return Err(CreateJobError::SeveralTenants);
        }
        if device.status.is_barred() {
            return Err(CreateJobError::Conflict(*id, device.status));
        }
        if w.count_open_commands(*id).await? >= commands::OPEN_LIMIT {
            return Err(CreateJobError::Full(*id));
        }
        rows.push(device);
    }
    Ok(rows)
}

fn job_of(new: &NewJob, device: &DeviceRow, now: Timestamp) -> JobRow {
    JobRow {
        id: JobId::random(),
        tenant: device.tenant,
        tenant_slug: device.tenant_slug.clone(),
        name: new.name.clone(),
        document: new.document.clone().into_value(),
        created_at: now,
        expires_at: now + new.life.0,
        cancelled_at: None,
    }
}

/// One device's part of a job. The payload names the job, for devices that hear of it as a command.
fn part_of(job: &JobRow, device: DeviceId) -> CommandRow {
    CommandRow {
        id: CommandId::random(),
        device,
        job: Some(job.id),
        kind: CommandKind::Job,
        payload: Some(json!({ "job": job.id, "name": job.name, "document": job.document })),
        state: CommandState::Queued,
        created_at: job.created_at,
        expires_at: job.expires_at,
        delivered_at: None,
        finished_at: None,
        result: None,
        error: None,
    }
}

fn entry(job: &JobRow, event: AuditEvent, (at, actor): (Timestamp, Actor)) -> AuditEntry {
    AuditEntry::new(Some(job.tenant_slug.clone()), at, event, actor).detail("job", job.id)
}
