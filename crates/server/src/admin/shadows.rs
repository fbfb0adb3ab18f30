//! GET and PUT `/devices/:id/shadow`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use countersign_api::ErrorBody;
use countersign_api::wire::shadows::{DesireRequest, DesiredBody, ReportedBody, ShadowBody};
use countersign_authority::commands::CommandPayload;
use countersign_authority::shadows::{DesireError, DesiredState, ShadowRow};
use countersign_authority::{Operate, View};
use countersign_core::ids::DeviceId;
use http::{HeaderMap, StatusCode, header};

use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::preconditions::seen_version;
use crate::request::{Allowed, JsonFields, Segment, named};
use crate::scopes::{CommandsRead, CommandsWrite};
use crate::state::ControlPlane;

/// The state that a device is to have, and the one it says it has.
#[utoipa::path(get, path = "/api/v1/devices/{id}/shadow", tag = "commands", operation_id = "getShadow",
    params(("id" = uuid::Uuid, Path, description = "device id")),
    responses((status = 200, body = ShadowBody, headers(("ETag", description = "for `If-Match`")))),
    security(("session" = []), ("apiToken" = ["commands:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, CommandsRead>,
    Segment(id): Segment,
) -> Outcome<impl IntoResponse> {
    let device = named(&id, "device")?;
    Ok(tagged(device, state.authority.shadow(&by, device).await?))
}

/// Replaces the state that a device is to have; with `If-Match` only what the caller has seen (`"0"`: none).
/// A device that is subscribed to `shadow/desired` over MQTT is told at once, others when they subscribe.
#[utoipa::path(put, path = "/api/v1/devices/{id}/shadow", tag = "commands", operation_id = "putShadow",
    params(
        ("id" = uuid::Uuid, Path, description = "device id"),
        ("If-Match" = Option<String>, Header, description = "an `ETag`: replace only the state it was given for"),
    ),
    request_body = DesireRequest,
    responses(
        (status = 200, body = ShadowBody, headers(("ETag", description = "for `If-Match`"))),
        (status = 409, body = ErrorBody, description = "`DEVICE_STATE`: the device is quarantined or decommissioned"),
        (status = 412, body = ErrorBody, description = "`SHADOW_CHANGED`"),
    ), security(("session" = []), ("apiToken" = ["commands:write"])))]
pub(crate) async fn put(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, CommandsWrite>,
    Segment(id): Segment,
    headers: HeaderMap,
    JsonFields(fields): JsonFields,
) -> Outcome<impl IntoResponse> {
    let only_if = seen_version(&headers);
    let device = named(&id, "device")?;
    Ok(tagged(device, state.authority.desire_state(&by, device, read(fields)?, only_if).await?))
}

fn read(mut fields: Fields) -> Outcome<CommandPayload> {
    let desired = match fields.take("desired").map(CommandPayload::new) {
        Some(Ok(desired)) => Some(desired),
        Some(Err(problem)) => {
            fields.problem("desired", problem);
            None
        }
        None => {
            fields.problem("desired", "is required");
            None
        }
    };
    fields.refuse_unknown();
    fields.finish()?;
    desired.ok_or_else(|| Failure::invalid_field("desired", "is required"))
}

impl From<DesireError> for Failure {
    fn from(error: DesireError) -> Self {
        match error {
            DesireError::Unknown => Self::not_found("device"),
            DesireError::Forbidden(forbidden) => forbidden.into(),
            DesireError::Conflict(status) => device_state(status.as_str()),
            DesireError::Changed(version) => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "SHADOW_CHANGED",
                format!("The state is of version {version} meanwhile; read it again"),
            ),
            DesireError::Store(error) => Self::internal(&error),
        }
    }
}

/// A device's status does not allow it.
pub(super) fn device_state(status: &str) -> Failure {
    let mut failure =
        Failure::new(StatusCode::CONFLICT, "DEVICE_STATE", "The device's status does not allow this");
    failure.body.state = Some(status.to_owned());
    failure
}

fn tagged(device: DeviceId, shadow: ShadowRow) -> impl IntoResponse + use<> {
    let version = shadow.desired.as_ref().map_or(0, |desired| desired.version);
    let desired =
        shadow.desired.map(|DesiredState { version, state, at }| DesiredBody { version, state, at });
    let reported =
        shadow.reported.map(|said| ReportedBody { version: said.version, state: said.state, at: said.at });
    ([(header::ETAG, format!("\"{version}\""))], Json(ShadowBody { device_id: device, desired, reported }))
}
