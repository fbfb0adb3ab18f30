//! Jobs: one thing to do for many devices.

use countersign_core::command::{CommandState, JobName};
use countersign_core::ids::{CommandId, DeviceId, DeviceName, JobId, Tenant};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::schema;

/// POST `/jobs`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobRequest {
    /// What is to be done, in a word that devices know.
    #[schema(value_type = schema::JobName)]
    pub name: JobName,
    /// By whom: 1 to 500, all of one tenant.
    #[schema(value_type = Vec<uuid::Uuid>, min_items = 1, max_items = 500)]
    pub devices: Vec<DeviceId>,
    /// The particulars, at most 16 KiB; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub document: Option<Value>,
    /// For how long it is offered: a day when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 2_592_000)]
    pub life_seconds: Option<u64>,
}

/// A job was made.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobCreated {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: JobId,
}

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobBody {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: JobId,
    /// Whose devices do it.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// What is to be done.
    #[schema(value_type = schema::JobName)]
    pub name: JobName,
    /// The particulars.
    #[schema(value_type = Object)]
    pub document: Value,
    /// When it was made.
    #[schema(value_type = schema::Moment)]
    pub created_at: Timestamp,
    /// Until when it is offered.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
    /// When it was called off.
    #[schema(value_type = Option<schema::Moment>)]
    pub cancelled_at: Option<Timestamp>,
}

/// One page of jobs, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<JobBody>,
    /// Where the next page begins; null: this was the last.
    pub next_cursor: Option<String>,
}

/// A job, and what became of it so far.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobProgressBody {
    /// The job.
    pub job: JobBody,
    /// Each device's part, by the devices' names.
    pub parts: Vec<JobPartBody>,
}

/// One device's part of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobPartBody {
    /// Which device.
    #[schema(value_type = uuid::Uuid)]
    pub device_id: DeviceId,
    /// The device's name.
    #[schema(value_type = schema::DeviceName)]
    pub device: DeviceName,
    /// The command that it got, which has the result.
    #[schema(value_type = uuid::Uuid)]
    pub command_id: CommandId,
    /// Where it stands.
    #[schema(value_type = schema::CommandState)]
    pub status: CommandState,
    /// When its outcome came.
    #[schema(value_type = Option<schema::Moment>)]
    pub finished_at: Option<Timestamp>,
    /// Why it failed, in the device's words.
    pub error: Option<String>,
}

/// A job was called off.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobCancelled {
    /// How many parts ended by it.
    pub ended: u64,
}
