//! GET `/certificates`, GET `/certificates/:id`, POST `/certificates/:id/revoke`.

use axum::Json;
use axum::extract::{Path, Query, State};
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{
    CertificateBody, CertificateDetail, CertificateList, RevokeRequest, RevokeResponse,
};
use countersign_authority::devices::{CertificateFilter, CertificateRow};
use countersign_authority::{Operate, View};
use countersign_core::certificate::{CertificateState, RevocationReason};
use serde::Deserialize;

use crate::admin::devices::page_size;
use crate::admin::quarantine::wire_applied;
use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields, named};
use crate::state::ControlPlane;

/// Which certificates to list.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct CertificateQuery {
    tenant: Option<String>,
    state: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// One page of certificates, newest first.
#[utoipa::path(get, path = "/api/v1/certificates", tag = "certificates",
    params(
        ("tenant" = Option<String>, Query, description = "slug or id"),
        ("state" = Option<String>, Query, description = "one of the five states"),
        ("limit" = Option<u32>, Query, description = "1 to 500; 100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, body = CertificateList), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by): Allowed<View>,
    Query(query): Query<CertificateQuery>,
) -> Outcome<Json<CertificateList>> {
    let tenant = match query.tenant.as_deref() {
        Some(tenant) => Some(state.authority.find_tenant(&by, tenant).await?.id),
        None => None,
    };
    let wanted = query.state.as_deref().map(str::parse).transpose();
    let cursor = query.cursor.as_deref().map(str::parse).transpose();
    let filter = CertificateFilter {
        tenant,
        state: wanted.map_err(|error| Failure::invalid_field("state", format!("{error}")))?,
        limit: page_size(query.limit.as_deref())?,
        after: cursor.map_err(|_invalid| Failure::invalid_field("cursor", "is not one of ours"))?,
        ..CertificateFilter::default()
    };
    let page = state.authority.list_certificates(&by, filter).await?;
    Ok(Json(CertificateList {
        certificates: page.certificates.iter().map(wire_certificate).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// One certificate with its PEM.
#[utoipa::path(get, path = "/api/v1/certificates/{id}", tag = "certificates",
    params(("id" = String, Path, description = "certificate id")),
    responses(
        (status = 200, body = CertificateDetail), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by): Allowed<View>,
    Path(id): Path<String>,
) -> Outcome<Json<CertificateDetail>> {
    let row = state.authority.certificate(&by, named(&id, "certificate")?).await?;
    let pem = countersign_authority::certificate_pem(&row.der);
    Ok(Json(CertificateDetail { record: wire_certificate(&row), pem }))
}

/// Revokes a certificate.
#[utoipa::path(post, path = "/api/v1/certificates/{id}/revoke", tag = "certificates",
    params(("id" = String, Path, description = "certificate id")), request_body = RevokeRequest,
    responses(
        (status = 200, body = RevokeResponse), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn revoke(
    State(state): State<ControlPlane>,
    Allowed(by): Allowed<Operate>,
    Path(id): Path<String>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<RevokeResponse>> {
    let reason = fields.parsed("reason").unwrap_or(RevocationReason::Unspecified);
    fields.refuse_unknown();
    fields.finish()?;
    let id = named(&id, "certificate")?;
    let revoked = state.authority.revoke_certificate(&by, id, reason).await?;
    Ok(Json(RevokeResponse {
        id,
        state: CertificateState::Revoked,
        revoked_at: revoked.at,
        applied_edges: wire_applied(revoked.applied),
    }))
}

/// A certificate on the wire.
pub(crate) fn wire_certificate(row: &CertificateRow) -> CertificateBody {
    CertificateBody {
        id: row.id,
        device_id: row.device,
        serial_number: row.reference.serial.clone(),
        state: row.state,
        issued_at: row.lifetime.issued_at,
        expires_at: row.lifetime.expires_at,
        revoked_at: row.revoked_at,
        reason: row.reason,
        spki_sha256: row.spki,
    }
}
