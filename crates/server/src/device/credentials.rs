//! POST `/agents/:agentId/rotate-token` and `…/confirm`, DELETE `/agents/:agentId`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::agent::Success;
use countersign_api::wire::credentials::{ProvedRequest, StagedToken};
use countersign_api::wire::schema;
use countersign_core::access::Place;
use http::request::Parts;

use crate::device::identify::{FromDoor, admit, admit_new_token};
use crate::device::renew::proof;
use crate::failure::{Failure, Outcome};
use crate::request::{Segment, Unread};
use crate::state::ControlPlane;

/// Gives a device a new bearer token. The old one is good until the new one is confirmed; a former one
/// that waits is worth nothing from now on.
#[utoipa::path(post, path = "/api/v1/agents/{id}/rotate-token", tag = "agents",
    operation_id = "rotateToken",
    params(("id" = schema::AgentId, Path)), request_body = ProvedRequest,
    responses(
        (status = 200, body = StagedToken),
        (status = 429, body = ErrorBody),
    ), security(("agent" = []), ("agent" = [], "deviceCertificate" = [])))]
pub(crate) async fn rotate(
    State(state): State<ControlPlane>,
    FromDoor(arrival): FromDoor,
    Segment(id): Segment,
    parts: Parts,
    body: Unread,
) -> Outcome<Json<StagedToken>> {
    let agent = id.parse().map_err(|_invalid| Failure::unauthorized())?;
    let admitted = admit(&state, &parts, arrival, Place::Credentials, Some(agent)).await?;
    let mut fields = body.fields().await?;
    let proof = proof(&mut fields);
    fields.finish()?;
    let possession = admitted.possession(proof);
    let staged = state.authority.rotate_token(&admitted.caller, &possession).await?;
    Ok(Json(StagedToken { auth_token: staged.text.to_string(), confirm_before: staged.confirm_before }))
}

/// Confirms a new bearer token, with that token. The former one is worth nothing any more.
#[utoipa::path(post, path = "/api/v1/agents/{id}/rotate-token/confirm", tag = "agents",
    operation_id = "confirmToken",
    params(("id" = schema::AgentId, Path)),
    responses(
        (status = 200, body = Success),
        (status = 409, body = ErrorBody, description = "`TOKEN_NOT_STAGED`: this is the present token, and another waits"),
        (status = 429, body = ErrorBody),
    ), security(("agent" = []), ("agent" = [], "deviceCertificate" = [])))]
pub(crate) async fn confirm(
    State(state): State<ControlPlane>,
    FromDoor(arrival): FromDoor,
    Segment(id): Segment,
    parts: Parts,
) -> Outcome<Json<Success>> {
    let agent = id.parse().map_err(|_invalid| Failure::unauthorized())?;
    let admitted = admit_new_token(&state, &parts, arrival, agent).await?;
    state.authority.confirm_token(&admitted.caller).await?;
    Ok(Json(Success { success: true }))
}

/// Ends the device's enrolment at its own wish: it is decommissioned, its certificates and its token
/// are revoked, its connections cut.
#[utoipa::path(delete, path = "/api/v1/agents/{id}", tag = "agents", operation_id = "unenrollAgent",
    params(("id" = schema::AgentId, Path)), request_body = ProvedRequest,
    responses(
        (status = 200, body = Success),
        (status = 429, body = ErrorBody),
    ), security(("agent" = []), ("agent" = [], "deviceCertificate" = [])))]
pub(crate) async fn unenroll(
    State(state): State<ControlPlane>,
    FromDoor(arrival): FromDoor,
    Segment(id): Segment,
    parts: Parts,
    body: Unread,
) -> Outcome<Json<Success>> {
    let agent = id.parse().map_err(|_invalid| Failure::unauthorized())?;
    let admitted = admit(&state, &parts, arrival, Place::Credentials, Some(agent)).await?;
    let mut fields = body.fields().await?;
    let proof = proof(&mut fields);
    fields.finish()?;
    let possession = admitted.possession(proof);
    state.authority.unenrol(&admitted.caller, &possession).await?;
    Ok(Json(Success { success: true }))
}
