//! GET `/audit`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{AuditEntryBody, AuditList};
use countersign_api::wire::schema;
use countersign_authority::View;
use countersign_authority::audit::{AuditFilter, AuditRecord, ChainScope};
use countersign_core::audit::AuditEvent;
use countersign_core::time::Timestamp;

use crate::admin::lists::{self, cursor, page_size};
use crate::failure::Outcome;
use crate::fields::Fields;
use crate::request::{Allowed, QueryFields};
use crate::scopes::AuditRead;
use crate::state::ControlPlane;

/// One page of the audit, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", operation_id = "queryAudit",
    params(
        ("tenant" = Option<String>, Query, description = "slug or id; every chain when absent"),
        ("event" = Option<String>, Query, description = "an event's name"),
        ("actor" = Option<String>, Query, description = "who, as entries name it: `user:…`, `device:…`, …"),
        ("deviceId" = Option<uuid::Uuid>, Query),
        ("certificateId" = Option<uuid::Uuid>, Query),
        ("requestId" = Option<uuid::Uuid>, Query, description = "the request that an entry is about"),
        ("from" = Option<schema::Moment>, Query, description = "from this moment on"),
        ("to" = Option<schema::Moment>, Query, description = "before this moment"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, body = AuditList),
        (status = 404, body = ErrorBody, description = "There is no such tenant"),
    ), security(("session" = []), ("apiToken" = ["audit:read"])))]
pub(crate) async fn query(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, AuditRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<AuditList>> {
    let tenant = lists::tenant(&mut fields);
    let limit = page_size(&mut fields);
    let mut filter = AuditFilter {
        scope: ChainScope::All,
        event: event(&mut fields),
        actor: fields.text("actor", 200),
        device: fields.parsed("deviceId"),
        certificate: fields.parsed("certificateId"),
        request: fields.parsed("requestId"),
        since: fields.read("from", Timestamp::parse),
        until: fields.read("to", Timestamp::parse),
        limit,
        before: cursor(&mut fields),
        up_to: None,
    };
    if let Some(tenant) = lists::read_whole(fields, &state, &by, tenant).await? {
        filter.scope = ChainScope::Tenant(tenant.slug);
    }
    let records = state.authority.audit(&by, filter).await?;
    let is_full = records.len() >= limit as usize;
    let next_cursor = records.last().filter(|_| is_full).map(|last| last.id.to_string());
    Ok(Json(AuditList { entries: records.into_iter().map(wire_entry).collect(), next_cursor }))
}

fn event(fields: &mut Fields) -> Option<AuditEvent> {
    fields.read("event", |name| {
        let event = AuditEvent::ALL.iter().copied().find(|event| event.as_str() == name);
        event.ok_or("is not the name of an event")
    })
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
