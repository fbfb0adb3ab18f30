//! GET `/audit/streams`.

use axum::Json;
use axum::extract::State;
use countersign_api::wire::audit_streams::{AuditStreamBody, AuditStreamList};
use countersign_authority::View;
use countersign_authority::audit_streams::StreamStatus;

use crate::failure::Outcome;
use crate::request::Allowed;
use crate::scopes::AuditRead;
use crate::state::ControlPlane;

/// The copies of the audit that are sent elsewhere, and how far each is. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/audit/streams", tag = "audit", operation_id = "listAuditStreams",
    responses((status = 200, body = AuditStreamList)), security(("session" = []), ("apiToken" = ["audit:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, AuditRead>,
) -> Outcome<Json<AuditStreamList>> {
    let streams = state.authority.audit_streams(&by).await?;
    Ok(Json(AuditStreamList { streams: streams.into_iter().map(wire_stream).collect() }))
}

fn wire_stream(status: StreamStatus) -> AuditStreamBody {
    let failure = status.row.failure;
    AuditStreamBody {
        name: status.row.name,
        behind: status.behind,
        oldest_at: status.oldest,
        arrived_at: status.row.arrived_at,
        attempts: failure.as_ref().map_or(0, |failure| failure.attempts),
        failing_since: failure.as_ref().map(|failure| failure.since),
        problem: failure.map(|failure| failure.problem),
    }
}
