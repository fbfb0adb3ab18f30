//! GET and POST `/edges`, DELETE `/edges/:id`.

use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::edges::{
    CreateEdgeRequest, EdgeBody, EdgeCreated, EdgeList, EdgeLoadBody, EdgeRevoked,
};
use countersign_authority::edges::add::{EdgeStatus, ListedEdge, WantedEdge};
use countersign_authority::{Administer, View};
use countersign_core::ids::EdgeName;
use http::StatusCode;

use crate::admin::quarantine::wire_applied;
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::{Allowed, JsonFields, Segment, named};
use crate::scopes::{EdgesRead, EdgesWrite};
use crate::state::ControlPlane;

/// How many tenants and names an edge may have.
const LIST_LIMIT: usize = 100;

/// Every edge that is not revoked, and how it is doing. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/edges", tag = "edges", operation_id = "listEdges",
    responses((status = 200, body = EdgeList)),
    security(("session" = []), ("apiToken" = ["edges:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, EdgesRead>,
) -> Outcome<Json<EdgeList>> {
    let edges = state.authority.list_edges(&by).await?;
    Ok(Json(EdgeList { edges: edges.into_iter().map(wire_edge).collect() }))
}

/// Adds an edge, which enrols with the token in the answer. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/edges", tag = "edges", operation_id = "addEdge",
    request_body = CreateEdgeRequest,
    responses(
        (status = 201, body = EdgeCreated),
        (status = 409, body = ErrorBody, description = "`EDGE_NAME_TAKEN`"),
    ), security(("session" = []), ("apiToken" = ["edges:write"])))]
pub(crate) async fn add(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, EdgesWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<(StatusCode, Json<EdgeCreated>)> {
    let name: Option<EdgeName> = fields.required_parsed("name");
    let tenants = fields.list("tenants", LIST_LIMIT);
    let public_names = public_names(&mut fields);
    let minutes = fields.number("expiresInMinutes", 1..=10_080).unwrap_or(60);
    fields.refuse_unknown();
    fields.finish()?;
    let name = name.ok_or_else(|| Failure::invalid_field("name", "is missing"))?;
    let life = Duration::from_secs(60) * u32::try_from(minutes).unwrap_or(1);
    let wanted = WantedEdge { name, tenants, public_names, life };
    let added = state.authority.add_edge(&by, wanted).await?;
    let body = EdgeCreated {
        token: added.token.to_string(),
        token_expires_at: added.row.token_expires_at,
        command: state.edge_command(),
        record: wire_edge(ListedEdge { row: added.row, status: EdgeStatus::Waiting }),
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Revokes an edge: its certificates, those of its doors, and its connection. Not for whoever is bound to a
/// tenant.
#[utoipa::path(delete, path = "/api/v1/edges/{id}", tag = "edges", operation_id = "revokeEdge",
    params(("id" = uuid::Uuid, Path, description = "the edge's record")),
    responses(
        (status = 200, body = EdgeRevoked),
        (status = 409, body = ErrorBody, description = "`ALREADY_REVOKED`"),
    ), security(("session" = []), ("apiToken" = ["edges:write"])))]
pub(crate) async fn revoke(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, EdgesWrite>,
    Segment(id): Segment,
) -> Outcome<Json<EdgeRevoked>> {
    let id = named(&id, "edge")?;
    let revoked = state.authority.revoke_edge(&by, id).await?;
    Ok(Json(EdgeRevoked { id, revoked_at: revoked.at, applied_edges: wire_applied(revoked.applied) }))
}

fn public_names(fields: &mut Fields) -> Vec<String> {
    let names: Vec<String> = fields.list("publicNames", LIST_LIMIT);
    check_public_names(fields, &names);
    names
}

/// Notes a problem unless these are host names and addresses, and not too many.
pub(crate) fn check_public_names(fields: &mut Fields, names: &[String]) {
    let is_name = |name: &String| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && !name.is_empty() && name.bytes().all(plain))
    };
    if names.len() > LIST_LIMIT || !names.iter().all(is_name) {
        fields.problem("publicNames", "must be a list of host names, lower case, and addresses");
    }
}

fn wire_edge(listed: ListedEdge) -> EdgeBody {
    let ListedEdge { row, status } = listed;
    EdgeBody {
        id: row.id,
        name: row.name,
        tenants: row.tenants.map(|tenants| tenants.into_iter().collect()),
        public_names: row.public_names,
        status: status.as_str().to_owned(),
        created_at: row.created_at,
        enrolled_at: row.enrolled_at,
        attached_at: row.attachment.since,
        seen_at: row.attachment.seen_at,
        applied_epoch: row.attachment.applied.epoch,
        load: row.load.map(|(load, at)| EdgeLoadBody {
            connections: load.connections,
            handshakes_per_minute: load.handshakes_per_minute,
            requests_per_minute: load.requests_per_minute,
            at,
        }),
    }
}
