//! GET `/certificates`, GET `/certificates/:id`, POST `/certificates/:id/revoke`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{
    CertificateBody, CertificateDetail, CertificateList, RevokeRequest, RevokeResponse,
};
use countersign_api::wire::schema;
use countersign_authority::devices::{CertificateFilter, CertificateRow};
use countersign_authority::{Operate, View};
use countersign_core::certificate::{CertificateState, RevocationReason};

use crate::admin::lists::{self, cursor, page_size};
use crate::admin::quarantine::wire_applied;
use crate::failure::Outcome;
use crate::request::{Allowed, JsonFields, QueryFields, Segment, named};
use crate::scopes::{CertificatesRead, CertificatesWrite};
use crate::state::ControlPlane;

/// One page of certificates, newest first.
#[utoipa::path(get, path = "/api/v1/certificates", tag = "certificates", operation_id = "listCertificates",
    params(
        ("tenant" = Option<String>, Query, description = "slug or id"),
        ("state" = Option<schema::CertificateState>, Query),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, body = CertificateList),
        (status = 404, body = ErrorBody, description = "There is no such tenant"),
    ), security(("session" = []), ("apiToken" = ["certificates:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, CertificatesRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<CertificateList>> {
    let tenant = lists::tenant(&mut fields);
    let mut filter = CertificateFilter {
        state: fields.parsed("state"),
        limit: page_size(&mut fields),
        after: cursor(&mut fields),
        ..CertificateFilter::default()
    };
    filter.tenant = lists::read_whole(fields, &state, &by, tenant).await?.map(|tenant| tenant.id);
    let page = state.authority.list_certificates(&by, filter).await?;
    Ok(Json(CertificateList {
        certificates: page.certificates.iter().map(wire_certificate).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// One certificate with its PEM.
#[utoipa::path(get, path = "/api/v1/certificates/{id}", tag = "certificates", operation_id = "getCertificate",
    params(("id" = uuid::Uuid, Path, description = "certificate id")),
    responses((status = 200, body = CertificateDetail)), security(("session" = []), ("apiToken" = ["certificates:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, CertificatesRead>,
    Segment(id): Segment,
) -> Outcome<Json<CertificateDetail>> {
    let row = state.authority.certificate(&by, named(&id, "certificate")?).await?;
    let pem = countersign_authority::certificate_pem(&row.der);
    Ok(Json(CertificateDetail { record: wire_certificate(&row), pem }))
}

/// Revokes a certificate.
#[utoipa::path(post, path = "/api/v1/certificates/{id}/revoke", tag = "certificates",
    operation_id = "revokeCertificate",
    params(("id" = uuid::Uuid, Path, description = "certificate id")), request_body = RevokeRequest,
    responses(
        (status = 200, body = RevokeResponse),
        (status = 409, body = ErrorBody, description = "`ALREADY_REVOKED`,
    or `CERTIFICATE_STATE`: it has expired"),
    ), security(("session" = []), ("apiToken" = ["certificates:write"])))]
pub(crate) async fn revoke(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, CertificatesWrite>,
    Segment(id): Segment,
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
        device_name: row.device_name.clone(),
        tenant: row.tenant.clone(),
        serial_number: row.reference.serial.clone(),
        state: row.state,
        issued_at: row.lifetime.issued_at,
        expires_at: row.lifetime.expires_at,
        revoked_at: row.revoked_at,
        reason: row.reason,
        spki_sha256: row.spki,
    }
}
