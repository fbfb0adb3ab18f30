//! GET `/audit/verification`.

use axum::Json;
use axum::extract::State;
use countersign_api::wire::audit_verification::{
    AuditVerification, AuditVerificationAnchor, AuditVerificationCut, AuditVerificationRun,
};
use countersign_authority::View;

use crate::failure::Outcome;
use crate::request::Allowed;
use crate::scopes::AuditRead;
use crate::state::ControlPlane;

/// Whether the chains are as they were written, as this server found out last: ten minutes after its start, then once a
/// day. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/audit/verification", tag = "audit", operation_id = "getAuditVerification",
    responses((status = 200, body = AuditVerification)),
    security(("session" = []), ("apiToken" = ["audit:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, AuditRead>,
) -> Outcome<Json<AuditVerification>> {
    let standing = state.authority.audit_standing(&by).await?;
    Ok(Json(AuditVerification {
        last_run: standing.verified.map(|run| AuditVerificationRun {
            at: run.at,
            anchors: run.anchors,
            intact: run.broken.is_none(),
            problem: run.broken,
        }),
        last_anchor: standing.anchor.map(|(number, at)| AuditVerificationAnchor { number, at }),
        last_cut: standing.cut.map(|cut| AuditVerificationCut { anchor: cut.anchor, at: cut.at }),
    }))
}
