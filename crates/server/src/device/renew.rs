//! POST `/agents/renew-cert`, `…/challenge` and `…/confirm`.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_api::ErrorBody;
use countersign_api::wire::agent::{ChallengeResponse, ConfirmRequest, RenewRequest, RenewResponse, Success};
use countersign_authority::renew::Renewed;
use countersign_core::access::Place;
use countersign_core::ids::{CertificateId, ChallengeId};
use http::request::Parts;
use serde_json::Value;

use crate::device::enroll::wire_mtls;
use crate::device::identify::{FromDoor, admit};
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::Unread;
use crate::state::ControlPlane;

/// Issues a new certificate against proof of possession.
#[utoipa::path(post, path = "/api/v1/agents/renew-cert", tag = "agents", operation_id = "renewCertificate",
    request_body = RenewRequest,
    responses(
        (status = 200, body = RenewResponse),
        (status = 429, body = ErrorBody),
        (status = 503, body = ErrorBody, description = "`ISSUER_UNAVAILABLE`"),
    ), security(("agent" = []), ("agent" = [], "deviceCertificate" = [])))]
pub(crate) async fn renew(
    State(state): State<ControlPlane>,
    FromDoor(arrival): FromDoor,
    parts: Parts,
    body: Unread,
) -> Outcome<Json<RenewResponse>> {
    let admitted = admit(&state, &parts, arrival, Place::Renew, None).await?;
    let mut fields = body.fields().await?;
    if !["protocolVersion", "csr", "proof"].iter().any(|name| fields.has(name)) {
        let renewed = state.authority.renew_unsafe_bearer_only(&admitted.caller).await?;
        return Ok(Json(answer(renewed)));
    }
    if fields.number("protocolVersion", 2..=2).is_none() {
        fields.problem("protocolVersion", "must be 2");
    }
    let csr = fields.required_block("csr", 32 << 10);
    let proof = proof(&mut fields);
    fields.finish()?;
    let possession = admitted.possession(proof);
    let renewed = state.authority.renew(&admitted.caller, &csr, &possession).await?;
    Ok(Json(answer(renewed)))
}

fn answer(renewed: Renewed) -> RenewResponse {
    RenewResponse {
        mtls: wire_mtls(renewed.mtls),
        certificate_id: renewed.id,
        confirm_before: renewed.confirm_before,
    }
}

/// A proof in the body.
pub(crate) fn proof(fields: &mut Fields) -> Option<(ChallengeId, Vec<u8>)> {
    let Value::Object(values) = fields.take("proof")? else {
        fields.problem("proof", "must be an object");
        return None;
    };
    let mut inner = Fields::new(values);
    let challenge = inner.parsed("challengeId");
    let signature = inner.text("signature", 2048).and_then(|text| STANDARD.decode(text).ok());
    match (challenge, signature) {
        (Some(challenge), Some(signature)) => Some((challenge, signature)),
        _ => {
            fields.problem("proof", "must have challengeId, a UUID, and signature, in standard base64");
            None
        }
    }
}

/// Gives a challenge to sign.
#[utoipa::path(post, path = "/api/v1/agents/renew-cert/challenge", tag = "agents",
    operation_id = "requestChallenge",
    responses(
        (status = 200, body = ChallengeResponse),
        (status = 429, body = ErrorBody),
    ), security(("agent" = []), ("agent" = [], "deviceCertificate" = [])))]
pub(crate) async fn challenge(
    State(state): State<ControlPlane>,
    FromDoor(arrival): FromDoor,
    parts: Parts,
) -> Outcome<Json<ChallengeResponse>> {
    let admitted = admit(&state, &parts, arrival, Place::Renew, None).await?;
    let challenge = state.authority.challenge(&admitted.caller).await?;
    Ok(Json(ChallengeResponse {
        challenge_id: challenge.id,
        nonce: challenge.nonce,
        expires_at: challenge.expires_at,
    }))
}

/// Confirms a renewed certificate.
#[utoipa::path(post, path = "/api/v1/agents/renew-cert/confirm", tag = "agents",
    operation_id = "confirmCertificate", request_body = ConfirmRequest,
    responses(
        (status = 200, body = Success),
        (status = 404, body = ErrorBody, description = "The device has no such certificate"),
        (status = 409, body = ErrorBody,
    description = "`CERTIFICATE_STATE`: it cannot be confirmed any more"),
        (status = 410, body = ErrorBody, description = "`CONFIRM_WINDOW_OVER`"),
        (status = 429, body = ErrorBody),
    ), security(("agent" = []), ("agent" = [], "deviceCertificate" = [])))]
pub(crate) async fn confirm(
    State(state): State<ControlPlane>,
    FromDoor(arrival): FromDoor,
    parts: Parts,
    body: Unread,
) -> Outcome<Json<Success>> {
    let admitted = admit(&state, &parts, arrival, Place::Confirm, None).await?;
    let mut fields = body.fields().await?;
    let id = fields.parsed::<CertificateId>("certificateId");
    if id.is_none() {
        fields.problem("certificateId", "must be the certificateId of the renewal, a UUID");
    }
    let proof = proof(&mut fields);
    fields.finish()?;
    let id = id.ok_or_else(|| Failure::not_found("certificate"))?;
    let possession = admitted.possession(proof);
    state.authority.confirm(&admitted.caller, id, &possession).await?;
    Ok(Json(Success { success: true }))
}
