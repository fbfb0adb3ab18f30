//! GET, PUT and DELETE `/devices/:id/provisioning-token`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use countersign_api::ErrorBody;
use countersign_api::wire::agent::Success;
use countersign_api::wire::provisioning_tokens::{
    ProvisioningTokenBody, ProvisioningTokenSet, SetProvisioningTokenRequest,
};
use countersign_authority::provisioning_tokens::{OwnToken, ProvisioningTokenError};
use countersign_authority::{Administer, View};
use http::header;
use zeroize::Zeroizing;

use super::shadows::device_state;
use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields, Segment, named};
use crate::scopes::{DevicesRead, DevicesWrite};
use crate::state::ControlPlane;

/// Whether a device has a provisioning token, and since when. The token itself is on no record.
#[utoipa::path(get, path = "/api/v1/devices/{id}/provisioning-token", tag = "devices",
    operation_id = "getProvisioningToken",
    params(("id" = uuid::Uuid, Path, description = "device id")),
    responses((status = 200, body = ProvisioningTokenBody)),
    security(("session" = []), ("apiToken" = ["devices:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, DevicesRead>,
    Segment(id): Segment,
) -> Outcome<Json<ProvisioningTokenBody>> {
    let found = state.authority.provisioning_token(&by, named(&id, "device")?).await?;
    Ok(Json(ProvisioningTokenBody { set_at: found.map(|token| token.set_at) }))
}

/// Gives a device a provisioning token, with which it may come to the token listener of the MQTT door: the one in
/// `token`, or a fresh one. A former one counts no more, and the sessions that it opened end.
#[utoipa::path(put, path = "/api/v1/devices/{id}/provisioning-token", tag = "devices",
    operation_id = "setProvisioningToken",
    params(("id" = uuid::Uuid, Path, description = "device id")), request_body = SetProvisioningTokenRequest,
    responses(
        (status = 200, body = ProvisioningTokenSet),
        (status = 409, body = ErrorBody, description = "`DEVICE_STATE`: the device is decommissioned"),
    ), security(("session" = []), ("apiToken" = ["devices:write"])))]
pub(crate) async fn set(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, DevicesWrite>,
    Segment(id): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<impl IntoResponse> {
    let own = fields.text("token", 256).map(|text| OwnToken::new(Zeroizing::new(text))).transpose();
    let own = own.unwrap_or_else(|problem| {
        fields.problem("token", problem);
        None
    });
    fields.refuse_unknown();
    fields.finish()?;
    let set = state.authority.set_provisioning_token(&by, named(&id, "device")?, own).await?;
    let body = ProvisioningTokenSet { token: set.text.to_string(), set_at: set.set_at };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)))
}

/// Takes a device's provisioning token away: the sessions that it opened end. It is no error if there is none.
#[utoipa::path(delete, path = "/api/v1/devices/{id}/provisioning-token", tag = "devices",
    operation_id = "removeProvisioningToken",
    params(("id" = uuid::Uuid, Path, description = "device id")),
    responses((status = 200, body = Success)),
    security(("session" = []), ("apiToken" = ["devices:write"])))]
pub(crate) async fn remove(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, DevicesWrite>,
    Segment(id): Segment,
) -> Outcome<Json<Success>> {
    state.authority.remove_provisioning_token(&by, named(&id, "device")?).await?;
    Ok(Json(Success { success: true }))
}

impl From<ProvisioningTokenError> for Failure {
    fn from(error: ProvisioningTokenError) -> Self {
        match error {
            ProvisioningTokenError::Unknown => Self::not_found("device"),
            ProvisioningTokenError::Forbidden(forbidden) => forbidden.into(),
            ProvisioningTokenError::Conflict(status) => device_state(status.as_str()),
            ProvisioningTokenError::Key(error) => Self::internal(&error),
            ProvisioningTokenError::Name(error) => Self::internal(&error),
            ProvisioningTokenError::Store(error) => Self::internal(&error),
        }
    }
}
