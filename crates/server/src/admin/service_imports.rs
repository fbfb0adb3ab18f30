//! POST `/service-certificates/import`, DELETE `/service-certificates/:id`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_api::ErrorBody;
use countersign_api::wire::service_certificates::{
    ImportServiceCertificateRequest, ServiceCertificateDetail, ServiceCertificateRemoved,
};
use countersign_authority::Administer;
use countersign_authority::service_certificates::import::Imported;
use http::StatusCode;
use zeroize::Zeroizing;

use super::service_certificates::wire_detail;
use crate::failure::Outcome;
use crate::request::{Allowed, JsonFields, Segment, named};
use crate::scopes::ServiceCertificatesWrite;
use crate::state::ControlPlane;

/// How long a certificate with the CAs above it may be, in octets of PEM.
const CHAIN_LIMIT: usize = 64 * 1024;

/// How long a key may be, in octets of PEM.
const KEY_LIMIT: usize = 16 * 1024;

/// Takes in a certificate that exists, with its key, for our own side to show to others. Not for whoever is
/// bound to a tenant.
#[utoipa::path(post, path = "/api/v1/service-certificates/import", tag = "service certificates",
    operation_id = "importServiceCertificate", request_body = ImportServiceCertificateRequest,
    responses(
        (status = 201, body = ServiceCertificateDetail),
        (status = 200, body = ServiceCertificateDetail, description = "It is here already, just so"),
        (status = 400, body = ErrorBody,
            description = "`INVALID_REQUEST` with every bad field: also a key of another certificate, one that has expired, one that a CA of ours signed and has no record of"),
        (status = 403, body = ErrorBody, description = "Not allowed; `KEY_DENIED`: that of a revoked certificate"),
        (status = 409, body = ErrorBody,
            description = "`CERTIFICATE_ON_RECORD`: its CA has issued another one with this number, or it is here under another label; `CERTIFICATE_STATE`: it is revoked"),
    ), security(("session" = []), ("apiToken" = ["service-certificates:write"])))]
pub(crate) async fn import(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, ServiceCertificatesWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Response> {
    let certificate = fields.required_block("certificate", CHAIN_LIMIT);
    let key = Zeroizing::new(fields.required_block("key", KEY_LIMIT));
    let label = fields.parsed("label");
    fields.refuse_unknown();
    fields.finish()?;
    let (detail, outcome) = state.authority.import_service(&by, (&certificate, &key), label).await?;
    let status = match outcome {
        Imported::Now => StatusCode::CREATED,
        Imported::Before => StatusCode::OK,
    };
    Ok((status, Json(wire_detail(detail))).into_response())
}

/// Removes what was imported: another CA's certificate with its key, of one of ours the key alone. Not for
/// whoever is bound to a tenant.
#[utoipa::path(delete, path = "/api/v1/service-certificates/{id}", tag = "service certificates",
    operation_id = "removeServiceCertificate",
    params(("id" = uuid::Uuid, Path, description = "certificate id")),
    responses(
        (status = 200, body = ServiceCertificateRemoved),
        (status = 409, body = ErrorBody,
            description = "`ISSUED_HERE`: it was issued here and its key is not with us; revoke it"),
    ), security(("session" = []), ("apiToken" = ["service-certificates:write"])))]
pub(crate) async fn remove(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, ServiceCertificatesWrite>,
    Segment(id): Segment,
) -> Outcome<Json<ServiceCertificateRemoved>> {
    let id = named(&id, "certificate")?;
    let left = state.authority.remove_service(&by, id).await?;
    Ok(Json(ServiceCertificateRemoved { id, left: left.as_str().to_owned() }))
}
