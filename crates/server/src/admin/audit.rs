//! GET `/audit`.

use axum::Json;
use axum::extract::{Query, State};
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{AuditEntryBody, AuditList};
use countersign_authority::View;
use countersign_authority::audit::{AuditFilter, AuditRecord, ChainScope};
use countersign_core::audit::AuditEvent;
use countersign_core::time::Timestamp;
use serde::Deserialize;

use crate::admin::devices::page_size;
use crate::failure::{Failure, Outcome};
use crate::request::Allowed;
use crate::state::ControlPlane;

/// Which entries to show.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditQuery {
    tenant: Option<String>,
    event: Option<String>,
    device_id: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// One page of the audit, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit",
    params(
        ("tenant" = Option<String>, Query, description = "slug or id; every chain when absent"),
        ("event" = Option<String>, Query, description = "an event's name"),
        ("deviceId" = Option<String>, Query, description = "device id"),
        ("since" = Option<String>, Query, description = "RFC 3339; from this moment on"),
        ("until" = Option<String>, Query, description = "RFC 3339; before this moment"),
        ("limit" = Option<u32>, Query, description = "1 to 500; 100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, body = AuditList), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn query(
    State(state): State<ControlPlane>,
    Allowed(by): Allowed<View>,
    Query(query): Query<AuditQuery>,
) -> Outcome<Json<AuditList>> {
    let scope = match query.tenant.as_deref() {
        Some(tenant) => ChainScope::Tenant(state.authority.find_tenant(&by, tenant).await?.slug),
        None => ChainScope::All,
    };
    let limit = page_size(query.limit.as_deref())?;
    let filter = AuditFilter {
        scope,
        event: query.event.as_deref().map(event).transpose()?,
        device: parsed(query.device_id.as_deref(), "deviceId")?,
        since: query.since.as_deref().map(|text| moment(text, "since")).transpose()?,
        until: query.until.as_deref().map(|text| moment(text, "until")).transpose()?,
        limit,
        before: parsed(query.cursor.as_deref(), "cursor")?,
    };
    let records = state.authority.audit(&by, filter).await?;
    let is_full = records.len() >= limit as usize;
    let next_cursor = records.last().filter(|_| is_full).map(|last| last.id.to_string());
    Ok(Json(AuditList { entries: records.into_iter().map(wire_entry).collect(), next_cursor }))
}

fn parsed<T>(text: Option<&str>, field: &str) -> Outcome<Option<T>>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.map(str::parse::<T>).transpose().map_err(|error| Failure::invalid_field(field, error.to_string()))
}

fn moment(text: &str, field: &str) -> Outcome<Timestamp> {
    Timestamp::parse(text).map_err(|error| Failure::invalid_field(field, error.to_string()))
}

fn event(name: &str) -> Outcome<AuditEvent> {
    AuditEvent::ALL
        .iter()
        .copied()
        .find(|event| event.as_str() == name)
        .ok_or_else(|| Failure::invalid_field("event", "is not the name of an event"))
}

fn wire_entry(record: AuditRecord) -> AuditEntryBody {
    AuditEntryBody {
        chain: record.tenant.map(|tenant| tenant.to_string()).unwrap_or_default(),
        sequence: record.sequence,
        at: record.at,
        event: record.event.as_str().to_owned(),
        actor: record.actor,
        device_id: record.device,
        certificate_id: record.certificate,
        details: record.details,
        hash: hex::encode(record.hash),
    }
}
