//! Decisions about many: POST `/agents/approve`, POST `/certificates/revoke`, and by a query POST
//! `/certificates/revoke/preview` and `…/execute`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::fleet::{
    ApprovalOutcome, ApproveManyRequest, ApproveManyResponse, ExecuteRequest, ExecuteResponse,
    PreviewRequest, PreviewResponse, RevocationOutcome, RevokeManyRequest, RevokeManyResponse,
};
use countersign_authority::bulk_revoke::{Fate, Listed, Query};
use countersign_authority::quarantine::DecisionError;
use countersign_authority::{Administer, Operate};
use countersign_core::certificate::RevocationReason;
use countersign_core::ids::{DeviceId, IssuerKeyId, SelectionId};
use countersign_core::scope::Scope;

use crate::admin::certificates::wire_certificate;
use crate::admin::quarantine::wire_applied;
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::{Allowed, JsonFields, SignedIn};
use crate::scopes::{CertificatesWrite, DevicesWrite};
use crate::state::ControlPlane;

/// How many devices are approved by one call at most.
const APPROVALS: usize = 1000;
/// How many certificates, keys or devices a request lists at most.
const LISTED: usize = 10_000;

/// Lets several quarantined devices back, by their ids alone, in one transaction.
#[utoipa::path(post, path = "/api/v1/agents/approve", tag = "quarantine", operation_id = "approveDevices",
    request_body = ApproveManyRequest,
    responses((status = 200, body = ApproveManyResponse)), security(("session" = []), ("apiToken" = ["devices:write"])))]
pub(crate) async fn approve(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, DevicesWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<ApproveManyResponse>> {
    let ids = fields.required_list("deviceIds", APPROVALS);
    fields.refuse_unknown();
    fields.finish()?;
    let decided = state.authority.approve_all(&by, ids).await;
    let (applied, outcomes) = decided.map_err(|error| Failure::internal(&error))?;
    Ok(Json(ApproveManyResponse {
        approved: outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count() as u64,
        outcomes: outcomes.into_iter().map(wire_approval).collect(),
        applied_edges: wire_applied(applied),
    }))
}

fn wire_approval((id, outcome): (DeviceId, Result<(), DecisionError>)) -> ApprovalOutcome {
    let (outcome, state) = match outcome {
        Ok(()) => ("approved", None),
        Err(DecisionError::Conflict(status)) => ("conflict", Some(status.as_str().to_owned())),
        Err(DecisionError::Forbidden(_)) => ("forbidden", None),
        Err(DecisionError::Unknown | DecisionError::UnknownSite | DecisionError::Store(_)) => {
            ("not_found", None)
        }
    };
    ApprovalOutcome { id, outcome: outcome.to_owned(), state }
}

/// Revokes certificates by their ids, in one transaction. What falls with them when one is revoked
/// alone falls here too.
#[utoipa::path(post, path = "/api/v1/certificates/revoke", tag = "certificates",
    operation_id = "revokeCertificates", request_body = RevokeManyRequest,
    responses((status = 200, body = RevokeManyResponse)), security(("session" = []), ("apiToken" = ["certificates:write"])))]
pub(crate) async fn revoke(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, CertificatesWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<RevokeManyResponse>> {
    let ids = fields.required_list("certificateIds", LISTED);
    let reason = fields.parsed("reason").unwrap_or(RevocationReason::Unspecified);
    fields.refuse_unknown();
    fields.finish()?;
    let revoked = state.authority.revoke_certificates(&by, ids, reason).await;
    let (revoked, fates) = revoked.map_err(|error| Failure::internal(&error))?;
    let outcome = |(id, fate)| RevocationOutcome { id, outcome: wire_fate(fate).to_owned() };
    Ok(Json(RevokeManyResponse {
        revoked: revoked.certificates,
        quarantined_devices: revoked.devices,
        outcomes: fates.into_iter().map(outcome).collect(),
        revoked_at: revoked.at,
        applied_edges: wire_applied(revoked.applied),
    }))
}

const fn wire_fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Revoked => "revoked",
        Fate::AlreadyRevoked => "already_revoked",
        Fate::Expired => "expired",
        Fate::Unknown => "not_found",
        Fate::Forbidden => "forbidden",
    }
}

/// Shows what a query would revoke, and changes nothing.
#[utoipa::path(post, path = "/api/v1/certificates/revoke/preview", tag = "certificates",
    operation_id = "previewRevocation", request_body = PreviewRequest,
    responses(
        (status = 200, body = PreviewResponse),
        (status = 404, body = ErrorBody, description = "There is no such tenant"),
    ), security(("session" = []), ("apiToken" = ["certificates:write"])))]
pub(crate) async fn preview(
    State(state): State<ControlPlane>,
    signed_in: SignedIn,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<PreviewResponse>> {
    let by = signed_in.caller.authorize_within::<Administer>(Scope::CertificatesWrite)?;
    let reason = fields.parsed("reason").unwrap_or(RevocationReason::Unspecified);
    let wanted = selected(&mut fields);
    fields.refuse_unknown();
    fields.finish()?;
    let query = match wanted {
        Some(Wanted::Listed(listed)) => Query::Listed(listed),
        Some(Wanted::Tenant(tenant)) => Query::Tenant(state.authority.find_tenant(&by, &tenant).await?.id),
        Some(Wanted::Issuer(issuer)) => {
            Query::Issuer(signed_in.caller.authorize_within(Scope::CertificatesWrite)?, issuer)
        }
        None => return Err(Failure::invalid_field("serials", "name exactly one way to select")),
    };
    let preview = state.authority.preview_revocation(&by, query, reason).await?;
    Ok(Json(PreviewResponse {
        selection_id: preview.id,
        count: preview.certificates,
        quarantined_devices: preview.devices,
        sample: preview.sample.iter().map(wire_certificate).collect(),
        expires_at: preview.expires_at,
    }))
}

/// What a request selects.
enum Wanted {
    Listed(Listed),
    Tenant(String),
    Issuer(IssuerKeyId),
}

/// Fails closed: two ways to select are a problem, like none.
fn selected(fields: &mut Fields) -> Option<Wanted> {
    let ways = ["serials", "spkiSha256", "deviceIds", "tenant", "issuer"];
    let named: Vec<&str> = ways.into_iter().filter(|way| fields.has(way)).collect();
    let [way] = named.as_slice() else {
        for way in if named.is_empty() { &ways[..] } else { &named[..] } {
            fields.problem(way, "name exactly one of serials, spkiSha256, deviceIds, tenant and issuer");
        }
        return None;
    };
    match *way {
        "serials" => Some(Wanted::Listed(Listed::Serials(fields.required_list(way, LISTED)))),
        "spkiSha256" => Some(Wanted::Listed(Listed::Keys(fields.required_list(way, LISTED)))),
        "deviceIds" => Some(Wanted::Listed(Listed::Devices(fields.required_list(way, LISTED)))),
        "tenant" => fields.text(way, 64).map(Wanted::Tenant),
        _ => fields.parsed(way).map(Wanted::Issuer),
    }
}

/// Revokes exactly what a preview has shown.
#[utoipa::path(post, path = "/api/v1/certificates/revoke/execute", tag = "certificates",
    operation_id = "executeRevocation", request_body = ExecuteRequest,
    responses(
        (status = 200, body = ExecuteResponse),
        (status = 404, body = ErrorBody,
    description = "There is no such selection: carried out, expired, or somebody else's"),
        (status = 409, body = ErrorBody,
    description = "`SELECTION_CHANGED`: it takes other certificates by now; preview again"),
    ), security(("session" = []), ("apiToken" = ["certificates:write"])))]
pub(crate) async fn execute(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, CertificatesWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<ExecuteResponse>> {
    let selection = fields.parsed::<SelectionId>("selectionId");
    if selection.is_none() {
        fields.problem("selectionId", "must be the selectionId of a preview, a UUID");
    }
    fields.refuse_unknown();
    fields.finish()?;
    let selection = selection.ok_or_else(|| Failure::not_found("selection"))?;
    let revoked = state.authority.execute_revocation(&by, selection).await?;
    Ok(Json(ExecuteResponse {
        revoked: revoked.certificates,
        quarantined_devices: revoked.devices,
        revoked_at: revoked.at,
        applied_edges: wire_applied(revoked.applied),
    }))
}
