//! POST `/edges/self/enroll` and `/edges/self/renew`.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_api::ErrorBody;
use countersign_api::wire::edges::{EdgeCertificateBody, EdgeEquipment, EnrollEdgeRequest, RenewEdgeRequest};
use countersign_authority::edges::enrol::{EdgeCertificate, EdgeRequest, EquippedEdge};
use http::StatusCode;
use zeroize::Zeroizing;

use super::arrive::ByEdge;
use crate::device::identify::FromDoor;
use crate::failure::Outcome;
use crate::fields::Fields;
use crate::request::JsonFields;
use crate::state::ControlPlane;

/// How long a signing request may be, in octets of PEM.
const CSR_LIMIT: usize = 16 * 1024;

/// Enrols an edge with the token that it was added with, which is used up by that.
#[utoipa::path(post, path = "/api/v1/edges/self/enroll", tag = "edges", operation_id = "enrollEdge",
    request_body = EnrollEdgeRequest,
    responses(
        (status = 201, body = EdgeEquipment),
        (status = 400, body = ErrorBody,
            description = "`INVALID_REQUEST` with every bad field; `CERTIFICATE_REFUSED`: a lint does not allow its doors' names"),
        (status = 401, body = ErrorBody, description = "`EDGE_TOKEN_REFUSED`: no edge waits for this token"),
        (status = 403, body = ErrorBody, description = "`KEY_DENIED`"),
        (status = 409, body = ErrorBody,
            description = "`EDGE_HAS_NO_NAMES`: it was added without names for its doors; `CA_UNAVAILABLE`"),
    ))]
pub(crate) async fn enroll(
    State(state): State<ControlPlane>,
    FromDoor(_arrival): FromDoor,
    JsonFields(mut fields): JsonFields,
) -> Outcome<(StatusCode, Json<EdgeEquipment>)> {
    let token = Zeroizing::new(fields.required_text("token", 255));
    let request = keys(&mut fields);
    fields.refuse_unknown();
    fields.finish()?;
    let equipped = state.authority.enrol_edge(&token, &request).await?;
    Ok((StatusCode::CREATED, Json(wire_equipment(&state, equipped))))
}

/// Gives an edge new certificates, over the one that it has.
#[utoipa::path(post, path = "/api/v1/edges/self/renew", tag = "edges", operation_id = "renewEdge",
    request_body = RenewEdgeRequest,
    responses(
        (status = 200, body = EdgeEquipment),
        (status = 401, body = ErrorBody, description = "No edge's certificate was shown"),
        (status = 403, body = ErrorBody, description = "`EDGE_REVOKED`, `KEY_DENIED`"),
        (status = 409, body = ErrorBody, description = "`EDGE_HAS_NO_NAMES`, `CA_UNAVAILABLE`"),
    ), security(("edgeCertificate" = [])))]
pub(crate) async fn renew(
    State(state): State<ControlPlane>,
    by: ByEdge,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<EdgeEquipment>> {
    let request = keys(&mut fields);
    fields.refuse_unknown();
    fields.finish()?;
    let equipped = state.authority.renew_edge(&by.edge, &request).await?;
    Ok(Json(wire_equipment(&state, equipped)))
}

fn keys(fields: &mut Fields) -> EdgeRequest {
    let csr = fields.required_block("csr", CSR_LIMIT);
    EdgeRequest { csr, door_csr: fields.block("doorCsr", CSR_LIMIT) }
}

fn wire_equipment(state: &ControlPlane, equipped: EquippedEdge) -> EdgeEquipment {
    EdgeEquipment {
        name: equipped.row.name,
        trust_domain: state.authority.trust_domain().to_string(),
        tenants: equipped.row.tenants.map(|tenants| tenants.into_iter().collect()),
        certificate: wire_certificate(equipped.certificate),
        door: equipped.door.map(wire_certificate),
        root: equipped.root,
        snapshot_key: STANDARD.encode(equipped.snapshot_key),
    }
}

fn wire_certificate(certificate: EdgeCertificate) -> EdgeCertificateBody {
    let EdgeCertificate { pem, chain, issued_at, expires_at } = certificate;
    EdgeCertificateBody { pem, chain, issued_at, expires_at }
}
