//! POST `/devices/:id/rotate-token`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_api::ErrorBody;
use countersign_api::wire::agent::Success;
use countersign_api::wire::command_queue::CommandQueued;
use countersign_api::wire::credentials::RotateTokenRequest;
use countersign_authority::{Administer, Operate};
use countersign_core::command::CommandKind;
use countersign_core::scope::Scope;
use http::StatusCode;

use crate::failure::Outcome;
use crate::request::{JsonFields, Segment, SignedIn, named};
use crate::state::ControlPlane;

/// Asks a device for a new bearer token, or with `revoke` revokes the present one at once, for which it
/// takes an admin: the device then comes back with an enrolment key made for it.
#[utoipa::path(post, path = "/api/v1/devices/{id}/rotate-token", tag = "devices",
    operation_id = "rotateDeviceToken",
    params(("id" = uuid::Uuid, Path, description = "device id")), request_body = RotateTokenRequest,
    responses(
        (status = 200, body = Success, description = "The present token is revoked"),
        (status = 202, body = CommandQueued, description = "Queued; the device gets it as soon as it can"),
        (status = 409, body = ErrorBody, description = "`ALREADY_REVOKED`: the device has no token; \
            `DEVICE_STATE`: the device is quarantined or decommissioned; `COMMAND_LIMIT`: 256 commands wait for it"),
    ), security(("session" = []), ("apiToken" = ["devices:write"])))]
pub(crate) async fn rotate(
    State(state): State<ControlPlane>,
    signed_in: SignedIn,
    Segment(id): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Response> {
    let by = signed_in.caller.authorize_within::<Operate>(Scope::DevicesWrite)?;
    let revoke = fields.boolean("revoke").unwrap_or(false);
    fields.refuse_unknown();
    fields.finish()?;
    let device = named(&id, "device")?;
    if revoke {
        let by = signed_in.caller.authorize_within::<Administer>(Scope::DevicesWrite)?;
        state.authority.revoke_token(&by, device).await?;
        return Ok(Json(Success { success: true }).into_response());
    }
    let id = state.authority.queue_command(&by, device, CommandKind::RotateToken, None).await?;
    Ok((StatusCode::ACCEPTED, Json(CommandQueued { id })).into_response())
}
