//! GET `/audit/export`: the audit as a file, page by page as the client takes it.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_api::ErrorBody;
use countersign_api::wire::schema;
use countersign_authority::View;
use countersign_authority::audit::{AuditFilter, ChainScope};
use countersign_authority::audit_export::{AuditExport, ExportFormat};
use countersign_core::time::Timestamp;
use futures_util::stream;
use http::{HeaderValue, header};

use crate::admin::lists;
use crate::failure::Outcome;
use crate::request::{Allowed, QueryFields};
use crate::scopes::AuditRead;
use crate::state::ControlPlane;

/// Entries in the order in which they were written. What cannot be read to its end is cut off without
/// the end of the body, which clients notice.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit", operation_id = "exportAudit",
    params(
        ("tenant" = Option<String>, Query, description = "slug or id; every chain when absent"),
        ("from" = Option<schema::Moment>, Query, description = "from this moment on"),
        ("to" = Option<schema::Moment>, Query, description = "before this moment"),
        ("format" = Option<String>, Query, description = "`jsonl` (default) or `csv`"),
    ),
    responses(
        (status = 200, content_type = "application/x-ndjson", body = String, description = "The entries"),
        (status = 404, body = ErrorBody, description = "There is no such tenant"),
    ), security(("session" = []), ("apiToken" = ["audit:read"])))]
pub(crate) async fn export(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, AuditRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Response> {
    let tenant = lists::tenant(&mut fields);
    let format = fields.read("format", |text| match text {
        "jsonl" => Ok(ExportFormat::JsonLines),
        "csv" => Ok(ExportFormat::Csv),
        _ => Err("must be jsonl or csv"),
    });
    let mut filter = AuditFilter {
        since: fields.read("from", Timestamp::parse),
        until: fields.read("to", Timestamp::parse),
        ..AuditFilter::default()
    };
    if let Some(tenant) = lists::read_whole(fields, &state, &by, tenant).await? {
        filter.scope = ChainScope::Tenant(tenant.slug);
    }
    let format = format.unwrap_or(ExportFormat::JsonLines);
    let export = state.authority.export_audit(&by, (filter, format)).await?;
    Ok(file(export, state.authority.now()))
}

/// An export as the file that a browser or a script keeps.
pub(crate) fn file(export: AuditExport, now: Timestamp) -> Response {
    let (media, ending) = match export.format() {
        ExportFormat::JsonLines => ("application/x-ndjson", "jsonl"),
        ExportFormat::Csv => ("text/csv; charset=utf-8", "csv"),
    };
    let name = format!("attachment; filename=\"countersign-audit-{}.{ending}\"", now.secs());
    let attachment = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    // A page is read when the one before has been taken: a slow client holds one page, no more.
    let pieces = stream::try_unfold(export, async |mut export| {
        let piece = export.next_piece().await.inspect_err(|error| {
            tracing::error!(%error, "audit export cut off");
        })?;
        Ok::<_, countersign_authority::audit::StoreError>(piece.map(|piece| (piece, export)))
    });
    let headers =
        [(header::CONTENT_TYPE, HeaderValue::from_static(media)), (header::CONTENT_DISPOSITION, attachment)];
    (headers, Body::from_stream(pieces)).into_response()
}
