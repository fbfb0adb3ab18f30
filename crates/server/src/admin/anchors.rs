//! GET and POST `/audit/anchors`, GET `/audit/anchors/latest` and `/audit/anchors/:id`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_api::wire::anchors::{AnchorFile, AnchorList, AnchorSummary};
use countersign_authority::anchors::SignedAnchor;
use countersign_authority::{Operate, View};
use countersign_core::anchor::ANCHOR_FORMAT;
use http::{HeaderValue, StatusCode, header};

use crate::admin::lists::{cursor, page_size};
use crate::failure::Outcome;
use crate::request::{Allowed, QueryFields, Segment, named};
use crate::scopes::{AuditRead, AuditWrite};
use crate::state::ControlPlane;

/// Signs the ends of all audit chains, now. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/audit/anchors", tag = "audit", operation_id = "createAuditAnchor",
    responses((status = 201, body = AnchorFile)), security(("session" = []), ("apiToken" = ["audit:write"])))]
pub(crate) async fn create(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, AuditWrite>,
) -> Outcome<Response> {
    let anchor = state.authority.anchor(&by).await?;
    Ok((StatusCode::CREATED, file(&anchor)).into_response())
}

/// One page of anchors, newest first. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/audit/anchors", tag = "audit", operation_id = "listAuditAnchors",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses((status = 200, body = AnchorList)), security(("session" = []), ("apiToken" = ["audit:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, AuditRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<AnchorList>> {
    let (limit, before) = (page_size(&mut fields), cursor(&mut fields));
    fields.refuse_unknown();
    fields.finish()?;
    let page = state.authority.anchors(&by, (before, limit)).await?;
    let anchors = page.anchors.iter().map(summary).collect();
    Ok(Json(AnchorList { anchors, next_cursor: page.next.map(|number| number.to_string()) }))
}

/// The newest anchor, as the file to keep elsewhere. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/audit/anchors/latest", tag = "audit",
    operation_id = "getLatestAuditAnchor",
    responses(
        (status = 200, body = AnchorFile),
        (status = 404, body = countersign_api::ErrorBody, description = "`NOT_FOUND`: none was made yet"),
    ), security(("session" = []), ("apiToken" = ["audit:read"])))]
pub(crate) async fn latest(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, AuditRead>,
) -> Outcome<Response> {
    Ok(file(&state.authority.latest_anchor(&by).await?).into_response())
}

/// One anchor, as the file to keep elsewhere. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/audit/anchors/{id}", tag = "audit", operation_id = "getAuditAnchor",
    params(("id" = u64, Path, description = "the anchor's number")),
    responses((status = 200, body = AnchorFile)), security(("session" = []), ("apiToken" = ["audit:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, AuditRead>,
    Segment(number): Segment,
) -> Outcome<Response> {
    let anchor = state.authority.anchor_by_number(&by, named(&number, "anchor")?).await?;
    Ok(file(&anchor).into_response())
}

fn file(anchor: &SignedAnchor) -> impl IntoResponse + use<> {
    let name = format!("attachment; filename=\"countersign-anchor-{}.json\"", anchor.statement().number);
    let attachment = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    let body = AnchorFile {
        format: ANCHOR_FORMAT.to_owned(),
        statement: anchor.statement().text(),
        signature: anchor.signature_base64(),
        public_key: anchor.key_pem(),
    };
    ([(header::CONTENT_DISPOSITION, attachment)], Json(body))
}

fn summary(anchor: &SignedAnchor) -> AnchorSummary {
    let statement = anchor.statement();
    AnchorSummary {
        number: statement.number,
        at: statement.at,
        sha256: hex::encode(statement.hash()),
        previous: hex::encode(statement.previous),
        chains: statement.heads.len(),
        entries: statement.entries(),
        key_id: anchor.key().sha256().to_string(),
    }
}
