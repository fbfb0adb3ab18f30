//! The quarantine queue and the decisions: GET `/agents/quarantined`, POST
//! `/agents/:deviceId/approve|deny`, POST `/devices/:id/quarantine|decommission`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{
    AppliedEdges, Decided, QuarantineRequest, QuarantinedDevice, QuarantinedList,
};
use countersign_authority::publish::Applied;
use countersign_authority::{Operate, View};
use countersign_core::device::QuarantineReason;

use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields, Segment, named};
use crate::scopes::{DevicesRead, DevicesWrite};
use crate::state::ControlPlane;

/// The devices that wait for a decision.
#[utoipa::path(get, path = "/api/v1/agents/quarantined", tag = "quarantine", operation_id = "listQuarantined",
    responses((status = 200, body = QuarantinedList)), security(("session" = []), ("apiToken" = ["devices:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, DevicesRead>,
) -> Outcome<Json<QuarantinedList>> {
    let rows = state.authority.quarantined_devices(&by).await.map_err(|error| Failure::internal(&error))?;
    let devices = rows
        .into_iter()
        .filter_map(|row| {
            Some(QuarantinedDevice {
                id: row.id,
                agent_id: row.agent,
                hostname: row.hostname,
                os_type: row.os_type,
                quarantined_at: row.quarantined_at?,
                quarantined_reason: row.quarantined_reason?.to_string(),
            })
        })
        .collect();
    Ok(Json(QuarantinedList { devices }))
}

/// Lets a quarantined device back.
#[utoipa::path(post, path = "/api/v1/agents/{id}/approve", tag = "quarantine", operation_id = "approveDevice",
    params(("id" = uuid::Uuid, Path, description = "device id")),
    responses(
        (status = 200, body = Decided),
        (status = 409, body = ErrorBody, description = "`DEVICE_STATE`: the status does not allow it"),
    ), security(("session" = []), ("apiToken" = ["devices:write"])))]
pub(crate) async fn approve(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, DevicesWrite>,
    Segment(id): Segment,
) -> Outcome<Json<Decided>> {
    decided(state.authority.approve(&by, named(&id, "device")?).await?)
}

/// Refuses a device for good, its key included.
#[utoipa::path(post, path = "/api/v1/agents/{id}/deny", tag = "quarantine", operation_id = "denyDevice",
    params(("id" = uuid::Uuid, Path, description = "device id")),
    responses(
        (status = 200, body = Decided),
        (status = 409, body = ErrorBody, description = "`DEVICE_STATE`: the status does not allow it"),
    ), security(("session" = []), ("apiToken" = ["devices:write"])))]
pub(crate) async fn deny(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, DevicesWrite>,
    Segment(id): Segment,
) -> Outcome<Json<Decided>> {
    decided(state.authority.deny(&by, named(&id, "device")?).await?)
}

/// Retires a device.
#[utoipa::path(post, path = "/api/v1/devices/{id}/decommission", tag = "quarantine",
    operation_id = "decommissionDevice",
    params(("id" = uuid::Uuid, Path, description = "device id")),
    responses(
        (status = 200, body = Decided),
        (status = 409, body = ErrorBody, description = "`DEVICE_STATE`: the status does not allow it"),
    ), security(("session" = []), ("apiToken" = ["devices:write"])))]
pub(crate) async fn decommission(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, DevicesWrite>,
    Segment(id): Segment,
) -> Outcome<Json<Decided>> {
    decided(state.authority.decommission(&by, named(&id, "device")?).await?)
}

/// Refuses a device everywhere until somebody approves or denies it.
#[utoipa::path(post, path = "/api/v1/devices/{id}/quarantine", tag = "quarantine",
    operation_id = "quarantineDevice",
    params(("id" = uuid::Uuid, Path, description = "device id")), request_body = QuarantineRequest,
    responses(
        (status = 200, body = Decided),
        (status = 409, body = ErrorBody, description = "`DEVICE_STATE`: the status does not allow it"),
    ), security(("session" = []), ("apiToken" = ["devices:write"])))]
pub(crate) async fn quarantine(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, DevicesWrite>,
    Segment(id): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<Decided>> {
    let reason = fields.parsed::<QuarantineReason>("reason");
    fields.refuse_unknown();
    fields.finish()?;
    let reason = reason.ok_or_else(|| Failure::invalid_field("reason", "is required"))?;
    decided(state.authority.quarantine_device(&by, named(&id, "device")?, reason).await?)
}

pub(crate) fn decided(applied: Applied) -> Outcome<Json<Decided>> {
    Ok(Json(Decided { success: true, applied_edges: wire_applied(applied) }))
}

pub(crate) const fn wire_applied(applied: Applied) -> AppliedEdges {
    AppliedEdges { applied: applied.applied, total: applied.total }
}
