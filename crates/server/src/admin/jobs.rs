//! POST and GET `/jobs`, GET `/jobs/:id`, POST `/jobs/:id/cancel`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::jobs::{
    JobBody, JobCancelled, JobCreated, JobList, JobPartBody, JobProgressBody, JobRequest,
};
use countersign_authority::commands::CommandPayload;
use countersign_authority::jobs::{
    CreateJobError, DEVICES_LIMIT, JobLife, JobPart, JobProgress, JobRow, NewJob,
};
use countersign_authority::{Operate, View};
use http::StatusCode;
use serde_json::json;

use crate::admin::lists::{cursor, page_size, read_whole, tenant};
use crate::admin::shadows::device_state;
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::{Allowed, JsonFields, QueryFields, Segment, named};
use crate::scopes::{CommandsRead, CommandsWrite};
use crate::state::ControlPlane;

/// Makes a job: queues a command for each of its devices, for all or none. Over MQTT a device hears of it on
/// `jobs/` and the job's id; agents get a command of the type `job`.
#[utoipa::path(post, path = "/api/v1/jobs", tag = "commands", operation_id = "createJob",
    request_body = JobRequest,
    responses(
        (status = 202, body = JobCreated, description = "Queued; each device gets its part as soon as it can"),
        (status = 404, body = ErrorBody, description = "`NOT_FOUND`: there is no such device"),
        (status = 409, body = ErrorBody, description = "`DEVICE_STATE`: a device is quarantined or \
            decommissioned; `COMMAND_LIMIT`: 256 commands wait for one"),
    ), security(("session" = []), ("apiToken" = ["commands:write"])))]
pub(crate) async fn create(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, CommandsWrite>,
    JsonFields(fields): JsonFields,
) -> Outcome<(StatusCode, Json<JobCreated>)> {
    let id = state.authority.create_job(&by, read(fields)?).await?;
    Ok((StatusCode::ACCEPTED, Json(JobCreated { id })))
}

fn read(mut fields: Fields) -> Outcome<NewJob> {
    let name = fields.required_parsed("name");
    let devices = fields.required_list("devices", DEVICES_LIMIT);
    let document = CommandPayload::new(fields.take("document").unwrap_or_else(|| json!({})));
    if let Err(problem) = &document {
        fields.problem("document", *problem);
    }
    let life = fields.number("lifeSeconds", JobLife::SECONDS).and_then(JobLife::seconds).unwrap_or_default();
    fields.refuse_unknown();
    fields.finish()?;
    let (Some(name), Ok(document)) = (name, document) else {
        return Err(Failure::invalid_field("name", "is required"));
    };
    Ok(NewJob { name, document, devices, life })
}

/// One page of jobs, newest first.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "commands", operation_id = "listJobs",
    params(
        ("tenant" = Option<String>, Query, description = "a tenant's slug"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses((status = 200, body = JobList)), security(("session" = []), ("apiToken" = ["commands:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, CommandsRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<JobList>> {
    let (limit, after, slug) = (page_size(&mut fields), cursor(&mut fields), tenant(&mut fields));
    let tenant = read_whole(fields, &state, &by, slug).await?.map(|tenant| tenant.id);
    let page = state.authority.jobs(&by, tenant, after, limit).await?;
    Ok(Json(JobList {
        jobs: page.jobs.into_iter().map(wire_job).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// One job, and what became of it at each device so far.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "commands", operation_id = "getJob",
    params(("id" = uuid::Uuid, Path, description = "job id")),
    responses((status = 200, body = JobProgressBody)),
    security(("session" = []), ("apiToken" = ["commands:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, CommandsRead>,
    Segment(id): Segment,
) -> Outcome<Json<JobProgressBody>> {
    let JobProgress { job, parts } = state.authority.job(&by, named(&id, "job")?).await?;
    Ok(Json(JobProgressBody { job: wire_job(job), parts: parts.into_iter().map(wire_part).collect() }))
}

/// Calls a job off: what its devices have not done yet ends as `expired`.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", tag = "commands", operation_id = "cancelJob",
    params(("id" = uuid::Uuid, Path, description = "job id")),
    responses((status = 200, body = JobCancelled)),
    security(("session" = []), ("apiToken" = ["commands:write"])))]
pub(crate) async fn cancel(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, CommandsWrite>,
    Segment(id): Segment,
) -> Outcome<Json<JobCancelled>> {
    let ended = state.authority.cancel_job(&by, named(&id, "job")?).await?;
    Ok(Json(JobCancelled { ended: ended as u64 }))
}

impl From<CreateJobError> for Failure {
    fn from(error: CreateJobError) -> Self {
        let said = error.to_string();
        match error {
            CreateJobError::Count | CreateJobError::SeveralTenants => Self::invalid_field("devices", said),
            CreateJobError::Unknown(_) => Self::not_found("device"),
            CreateJobError::Forbidden(forbidden) => forbidden.into(),
            CreateJobError::Conflict(_, status) => device_state(status.as_str()),
            CreateJobError::Full(device) => Self::new(
                StatusCode::CONFLICT,
                "COMMAND_LIMIT",
                format!(
                    "Too many commands wait for the device {device}; wait until it has done some of them"
                ),
            ),
            CreateJobError::Store(error) => Self::internal(&error),
        }
    }
}

fn wire_job(row: JobRow) -> JobBody {
    JobBody {
        id: row.id,
        tenant: row.tenant_slug,
        name: row.name,
        document: row.document,
        created_at: row.created_at,
        expires_at: row.expires_at,
        cancelled_at: row.cancelled_at,
    }
}

fn wire_part(part: JobPart) -> JobPartBody {
    JobPartBody {
        device_id: part.device,
        device: part.device_name,
        command_id: part.command,
        status: part.state,
        finished_at: part.finished_at,
        error: part.error,
    }
}
