//! POST `/agents/:agentId/heartbeat` and GET `/agents/:agentId/trust-bundle`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use countersign_api::ErrorBody;
use countersign_api::wire::agent::{HeartbeatRequest, HeartbeatResponse};
use countersign_api::wire::schema;
use countersign_authority::presence::Renewal;
use countersign_core::access::Place;
use http::header;
use http::request::Parts;

use crate::admin::agent_settings::wire_agent_settings;
use crate::device::commands::wire_offered;
use crate::device::identify::{FromDoor, admit};
use crate::failure::{Failure, Outcome};
use crate::request::{Segment, Unread};
use crate::state::ControlPlane;

/// Takes a heartbeat and says what there is to do and whether to renew.
#[utoipa::path(post, path = "/api/v1/agents/{id}/heartbeat", tag = "agents", operation_id = "sendHeartbeat",
    params(("id" = schema::AgentId, Path)), request_body = HeartbeatRequest,
    responses(
        (status = 200, body = HeartbeatResponse),
        (status = 429, body = ErrorBody),
    ), security(("agent" = []), ("agent" = [], "deviceCertificate" = [])))]
pub(crate) async fn heartbeat(
    State(state): State<ControlPlane>,
    FromDoor(arrival): FromDoor,
    Segment(id): Segment,
    parts: Parts,
    body: Unread,
) -> Outcome<Json<HeartbeatResponse>> {
    let agent = id.parse().map_err(|_invalid| Failure::unauthorized())?;
    let admitted = admit(&state, &parts, arrival, Place::Agent, Some(agent)).await?;
    let mut fields = body.fields().await?;
    let version = fields.lenient_text("agentVersion", 255);
    let address = admitted.arrival.address.ip().to_canonical();
    let config_version = fields.take("configVersion").and_then(|version| version.as_u64());
    let bundle = fields.lenient_text("trustBundle", 64).and_then(|hash| hash.parse().ok());
    let caller = &admitted.caller;
    let heard = state.authority.heartbeat(caller, version, address).await?;
    let internal = |error| Failure::internal(&error);
    state.authority.note_report(caller, config_version, bundle).await.map_err(internal)?;
    let commands = state.authority.commands_with_heartbeat(caller).await.map_err(internal)?;
    let settings = caller.agent_settings();
    let other_bundle = bundle.and_then(|used| state.authority.news_of_bundle(used));
    Ok(Json(HeartbeatResponse {
        commands: commands.into_iter().map(wire_offered).collect(),
        config_update: settings.is_news_to(config_version).then(|| wire_agent_settings(settings)),
        upgrade_to: None,
        renew_cert: heard.renewal != Renewal::NotDue,
        renew_from: match heard.renewal {
            Renewal::From(turn) => Some(turn),
            Renewal::NotDue | Renewal::Due => None,
        },
        trust_bundle: other_bundle.map(|hash| hash.to_string()),
    }))
}

/// The CA certificates that an agent should trust.
#[utoipa::path(get, path = "/api/v1/agents/{id}/trust-bundle", tag = "agents",
    operation_id = "getTrustBundle",
    params(("id" = schema::AgentId, Path)),
    responses((status = 200, content_type = "application/x-pem-file", body = String)),
    security(("agent" = []), ("agent" = [], "deviceCertificate" = [])))]
pub(crate) async fn trust_bundle(
    State(state): State<ControlPlane>,
    FromDoor(arrival): FromDoor,
    Segment(id): Segment,
    parts: Parts,
) -> Outcome<impl IntoResponse> {
    let agent = id.parse().map_err(|_invalid| Failure::unauthorized())?;
    admit(&state, &parts, arrival, Place::Agent, Some(agent)).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file")], state.authority.root_pem()))
}
