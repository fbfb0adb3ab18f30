//! CAs of somebody else's that doors trust: GET, POST `/trusts`, DELETE `/trusts/:name`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::trusts::{
    AddTrustRequest, TrustAdded, TrustBody, TrustRemoved, TrustedCaBody, TrustsBody,
};
use countersign_authority::trusts::Trust;
use countersign_authority::{Administer, View};
use countersign_core::ids::TrustName;
use http::StatusCode;

use super::quarantine::wire_applied;
use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields, Segment, named};
use crate::scopes::{TrustsRead, TrustsWrite};
use crate::state::ControlPlane;

/// How long the certificates may be together, in octets of PEM.
const CERTIFICATES_LIMIT: usize = 64 * 1024;

/// The CAs of somebody else's whose guests a route may admit. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/trusts", tag = "trusts", operation_id = "listTrusts",
    responses((status = 200, body = TrustsBody)),
    security(("session" = []), ("apiToken" = ["trusts:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, TrustsRead>,
) -> Outcome<Json<TrustsBody>> {
    let trusts = state.authority.trusts(&by).await?;
    Ok(Json(TrustsBody { trusts: trusts.into_iter().map(wire_trust).collect() }))
}

/// Lets doors trust CAs of somebody else's, on the routes that admit `trust:<name>` and nowhere else. They
/// make no devices. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/trusts", tag = "trusts", operation_id = "addTrust",
    request_body = AddTrustRequest,
    responses(
        (status = 201, body = TrustAdded),
        (status = 400, body = ErrorBody,
            description = "`INVALID_REQUEST` with every bad field: also what is no CA's certificate, may not sign certificates, has expired, or has the key of a CA of this installation"),
        (status = 409, body = ErrorBody,
            description = "`TRUST_TAKEN`: the name is taken; `TOO_MANY_TRUSTS`: there are 32 already"),
    ), security(("session" = []), ("apiToken" = ["trusts:write"])))]
pub(crate) async fn add(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, TrustsWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<(StatusCode, Json<TrustAdded>)> {
    let name = fields.required_parsed::<TrustName>("name");
    let certificates = fields.required_block("certificates", CERTIFICATES_LIMIT);
    fields.refuse_unknown();
    fields.finish()?;
    by.covers_all()?;
    let name = name.ok_or_else(|| Failure::invalid_field("name", "is required"))?;
    let (trust, applied) = state.authority.add_trust(&by, name, &certificates).await?;
    let added = TrustAdded { trust: wire_trust(trust), applied_edges: wire_applied(applied) };
    Ok((StatusCode::CREATED, Json(added)))
}

/// Lets no door trust them any more; live connections of their guests are cut. Not for whoever is bound to a
/// tenant.
#[utoipa::path(delete, path = "/api/v1/trusts/{id}", tag = "trusts", operation_id = "removeTrust",
    params(("id" = String, Path, description = "the trust's name")),
    responses(
        (status = 200, body = TrustRemoved),
        (status = 404, body = ErrorBody, description = "None of this name are trusted"),
    ), security(("session" = []), ("apiToken" = ["trusts:write"])))]
pub(crate) async fn remove(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, TrustsWrite>,
    Segment(name): Segment,
) -> Outcome<Json<TrustRemoved>> {
    by.covers_all()?;
    let name: TrustName = named(&name, "trust")?;
    let applied = state.authority.remove_trust(&by, name.clone()).await?;
    Ok(Json(TrustRemoved { name, applied_edges: wire_applied(applied) }))
}

fn wire_trust(trust: Trust) -> TrustBody {
    let cas = trust.cas.into_iter().map(|ca| TrustedCaBody {
        subject: ca.subject,
        not_before: ca.not_before,
        not_after: ca.not_after,
        spki_sha256: ca.spki,
    });
    TrustBody { name: trust.name, added_at: trust.added_at, cas: cas.collect() }
}
