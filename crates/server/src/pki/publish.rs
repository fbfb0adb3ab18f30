//! GET `/pki/bundle.pem`, `/pki/ca/:id.pem`, `/pki/crl/:shard.crl`.

use axum::extract::State;
use axum::response::IntoResponse;
use countersign_core::ids::IssuerKeyId;
use http::header;

use crate::failure::{Failure, Outcome};
use crate::request::{Segment, named};
use crate::state::ControlPlane;

const PEM: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/x-pem-file")];
const CRL: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/pkix-crl")];

/// Every CA certificate, root first.
#[utoipa::path(get, path = "/pki/bundle.pem", tag = "pki", operation_id = "getCaBundle",
    responses((status = 200, content_type = "application/x-pem-file", body = String)))]
pub(crate) async fn bundle(State(state): State<ControlPlane>) -> impl IntoResponse {
    let bundle: String = state.authority.ca_certificates().into_iter().map(|(_, pem)| pem).collect();
    (PEM, bundle)
}

/// One CA certificate, by its key id.
#[utoipa::path(get, path = "/pki/ca/{file}", tag = "pki", operation_id = "getCa",
    params(("file" = String, Path, description = "key id, then .pem")),
    responses((status = 200, content_type = "application/x-pem-file", body = String)))]
pub(crate) async fn ca(
    State(state): State<ControlPlane>,
    Segment(file): Segment,
) -> Outcome<impl IntoResponse> {
    let id = key_id(&file, ".pem")?;
    let found = state.authority.ca_certificates().into_iter().find(|(known, _)| *known == id);
    let (_, pem) = found.ok_or_else(|| Failure::not_found("CA"))?;
    Ok((PEM, pem))
}

/// The revocation list of a CA, by its key id.
#[utoipa::path(get, path = "/pki/crl/{file}", tag = "pki", operation_id = "getCrl",
    params(("file" = String, Path, description = "key id, then .crl")),
    responses((status = 200, content_type = "application/pkix-crl", body = Vec<u8>)))]
pub(crate) async fn crl(
    State(state): State<ControlPlane>,
    Segment(file): Segment,
) -> Outcome<impl IntoResponse> {
    let id = key_id(&file, ".crl")?;
    let latest = state.authority.latest_crl(id).await.map_err(|error| Failure::internal(&error))?;
    let latest = latest.ok_or_else(|| Failure::not_found("revocation list"))?;
    Ok((CRL, latest.der))
}

fn key_id(file: &str, ending: &str) -> Outcome<IssuerKeyId> {
    let id = file.strip_suffix(ending).ok_or_else(|| Failure::not_found("file"))?;
    named(id, "CA")
}
