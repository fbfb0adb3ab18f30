//! GET `/pki/bundle.pem`, `/pki/ca/:id.pem`, `/pki/crl/:shard.crl`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_api::wire::schema;
use countersign_authority::crl::CrlName;
use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::IssuerKeyId;
use http::header;

use crate::failure::{Failure, Outcome};
use crate::request::{Segment, named};
use crate::state::ControlPlane;

const PEM: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/x-pem-file")];
const DER: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/pkix-cert")];
const CRL: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/pkix-crl")];

/// Every CA certificate that is trusted, root first.
#[utoipa::path(get, path = "/pki/bundle.pem", tag = "pki", operation_id = "getCaBundle",
    responses((status = 200, content_type = "application/x-pem-file", body = String)))]
pub(crate) async fn bundle(State(state): State<ControlPlane>) -> impl IntoResponse {
    (PEM, state.authority.trusted_ca_certificates())
}

/// One CA certificate, by its key id: in PEM, or in DER as certificates refer to it (RFC 5280 section
/// 4.2.2.1).
#[utoipa::path(get, path = "/pki/ca/{file}", tag = "pki", operation_id = "getCa",
    params(("file" = String, Path, description = "key id, then .pem or .cer")),
    responses((status = 200, content(
        (String = "application/x-pem-file"),
        (schema::Der = "application/pkix-cert"),
    ))))]
pub(crate) async fn ca(State(state): State<ControlPlane>, Segment(file): Segment) -> Outcome<Response> {
    let (ending, headers) = if file.ends_with(".cer") { (".cer", DER) } else { (".pem", PEM) };
    let id = key_id(&file, ending)?;
    let found = state.authority.cas().into_iter().find(|known| known.key_id == id);
    let ca = found.ok_or_else(|| Failure::not_found("CA"))?;
    let contents = if headers == DER { ca.certificate } else { ca.certificate_pem().into_bytes() };
    Ok((headers, contents).into_response())
}

/// A revocation list of a CA, by its key id: the whole one, or the one that certificates name, which has
/// those whose serial number ends in the same octet.
#[utoipa::path(get, path = "/pki/crl/{file}", tag = "pki", operation_id = "getCrl",
    params(("file" = String, Path, description = "key id, then .crl; or key id, -, two hex digits, .crl")),
    responses((status = 200, content_type = "application/pkix-crl", body = schema::Der)))]
pub(crate) async fn crl(
    State(state): State<ControlPlane>,
    Segment(file): Segment,
) -> Outcome<impl IntoResponse> {
    let missing = || Failure::not_found("revocation list");
    let name = file.strip_suffix(".crl").ok_or_else(missing)?;
    let (id, scope) = match name.split_once('-') {
        None => (name, CrlScope::Whole),
        Some((id, shard)) => (id, shard.parse().map_err(|_no_scope| missing())?),
    };
    let list = CrlName { issuer: named(id, "CA")?, scope };
    let latest = state.authority.crl(list).await.map_err(|error| Failure::internal(&error))?;
    let latest = latest.ok_or_else(missing)?;
    Ok((CRL, latest.der))
}

fn key_id(file: &str, ending: &str) -> Outcome<IssuerKeyId> {
    let id = file.strip_suffix(ending).ok_or_else(|| Failure::not_found("file"))?;
    named(id, "CA")
}
