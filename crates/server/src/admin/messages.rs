//! What devices sent over MQTT: GET `/telemetry`, GET `/quarantined-messages`,
//! POST `/quarantined-messages/:id/release`.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_api::ErrorBody;
use countersign_api::wire::messages::{
    MessageReleased, QuarantinedMessage, QuarantinedMessagesBody, TelemetryBody, TelemetryMessage,
};
use countersign_authority::ingest::{
    MessagePart, ReleaseError, SetAsideFilter, SetAsideRow, TelemetryFilter, TelemetryRow,
};
use countersign_authority::{Operate, View};
use countersign_core::ids::DeviceId;
use countersign_core::time::Timestamp;
use http::StatusCode;
use serde_json::Value;

use crate::admin::lists::{page_size, read_whole, tenant};
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::{Allowed, QueryFields, Segment, named};
use crate::scopes::{TelemetryRead, TelemetryWrite};
use crate::state::ControlPlane;

/// Telemetry that devices sent over MQTT, newest first; with `after`, what came after that message, oldest
/// first. It is kept for 30 days.
#[utoipa::path(get, path = "/api/v1/telemetry", tag = "messages", operation_id = "listTelemetry",
    params(
        ("tenant" = Option<String>, Query, description = "a tenant's slug"),
        ("device" = Option<uuid::Uuid>, Query, description = "device id"),
        ("from" = Option<String>, Query, description = "received from this moment on, RFC 3339"),
        ("to" = Option<String>, Query, description = "received before this moment, RFC 3339"),
        ("before" = Option<u64>, Query, description = "older than the message with this id"),
        ("after" = Option<u64>, Query, description = "newer than the message with this id; not with before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
    ),
    responses((status = 200, body = TelemetryBody)),
    security(("session" = []), ("apiToken" = ["telemetry:read"])))]
pub(crate) async fn telemetry(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, TelemetryRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<TelemetryBody>> {
    let device = fields.parsed::<DeviceId>("device");
    let from = moment(&mut fields, "from");
    let to = moment(&mut fields, "to");
    let (before, after) = (number(&mut fields, "before"), number(&mut fields, "after"));
    if before.is_some() && after.is_some() {
        fields.problem("after", "is not for use with before");
    }
    let (limit, slug) = (page_size(&mut fields), tenant(&mut fields));
    let tenant = read_whole(fields, &state, &by, slug).await?.map(|tenant| tenant.id);
    let part = match (before, after) {
        (_, Some(id)) => MessagePart::After(id),
        (Some(id), None) => MessagePart::Before(id),
        (None, None) => MessagePart::Newest,
    };
    let filter = TelemetryFilter { tenant, device, from, to, part, limit };
    let rows = state.authority.telemetry(&by, filter).await?;
    Ok(Json(TelemetryBody { messages: rows.into_iter().map(wire_telemetry).collect() }))
}

/// Messages that were set aside, newest first. They are kept for 30 days, at most 1,000 of each device.
#[utoipa::path(get, path = "/api/v1/quarantined-messages", tag = "messages",
    operation_id = "listQuarantinedMessages",
    params(
        ("tenant" = Option<String>, Query, description = "a tenant's slug"),
        ("reason" = Option<String>, Query, description = "with this code alone"),
        ("before" = Option<u64>, Query, description = "older than the message with this id"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
    ),
    responses((status = 200, body = QuarantinedMessagesBody)),
    security(("session" = []), ("apiToken" = ["telemetry:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, TelemetryRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<QuarantinedMessagesBody>> {
    let (reason, before) = (fields.text("reason", 64), number(&mut fields, "before"));
    let (limit, slug) = (page_size(&mut fields), tenant(&mut fields));
    let tenant = read_whole(fields, &state, &by, slug).await?.map(|tenant| tenant.id);
    let filter = SetAsideFilter { tenant, reason, before, limit };
    let rows = state.authority.messages_set_aside(&by, filter).await?;
    Ok(Json(QuarantinedMessagesBody { messages: rows.into_iter().map(wire_set_aside).collect() }))
}

/// One message that was set aside.
#[utoipa::path(get, path = "/api/v1/quarantined-messages/{id}", tag = "messages",
    operation_id = "getQuarantinedMessage",
    params(("id" = u64, Path, description = "the message's number")),
    responses((status = 200, body = QuarantinedMessage)),
    security(("session" = []), ("apiToken" = ["telemetry:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, TelemetryRead>,
    Segment(id): Segment,
) -> Outcome<Json<QuarantinedMessage>> {
    let row = state.authority.message_set_aside(&by, named(&id, "message")?).await?;
    Ok(Json(wire_set_aside(row)))
}

/// Takes a message as telemetry after all.
#[utoipa::path(post, path = "/api/v1/quarantined-messages/{id}/release", tag = "messages",
    operation_id = "releaseQuarantinedMessage",
    params(("id" = u64, Path, description = "the message's number")),
    responses(
        (status = 200, body = MessageReleased),
        (status = 409, body = ErrorBody, description = "`MESSAGE_STATE`: it was released before, is not kept \
            whole, is no JSON object, or its device is not on record"),
    ), security(("session" = []), ("apiToken" = ["telemetry:write"])))]
pub(crate) async fn release(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, TelemetryWrite>,
    Segment(id): Segment,
) -> Outcome<Json<MessageReleased>> {
    let telemetry_id = state.authority.release_message(&by, named(&id, "message")?).await?;
    Ok(Json(MessageReleased { telemetry_id }))
}

impl From<ReleaseError> for Failure {
    fn from(error: ReleaseError) -> Self {
        let said = match error {
            ReleaseError::Unknown => return Self::not_found("message"),
            ReleaseError::Forbidden(forbidden) => return forbidden.into(),
            ReleaseError::Store(error) => return Self::internal(&error),
            ReleaseError::Released(id) => format!("The message was released before, as telemetry {id}"),
            ReleaseError::Unfit(problem) => format!("The message cannot be telemetry: {problem}"),
        };
        Self::new(StatusCode::CONFLICT, "MESSAGE_STATE", said)
    }
}

fn moment(fields: &mut Fields, name: &str) -> Option<Timestamp> {
    fields.read(name, |text| Timestamp::parse(text).map_err(|_invalid| "must be a moment, RFC 3339"))
}

fn number(fields: &mut Fields, name: &str) -> Option<u64> {
    fields.read(name, |text| text.parse().map_err(|_invalid| "must be a whole number"))
}

fn wire_telemetry(row: TelemetryRow) -> TelemetryMessage {
    TelemetryMessage {
        id: row.id,
        tenant: row.tenant_slug,
        device_id: row.device,
        device: row.device_name,
        serial_number: row.certificate.serial,
        topic: row.topic,
        qos: row.qos,
        duplicate_of: row.duplicate_of,
        received_at: row.received_at,
        sent_at: row.sent_at,
        payload: serde_json::from_str(&row.payload).unwrap_or(Value::String(row.payload)),
    }
}

fn wire_set_aside(row: SetAsideRow) -> QuarantinedMessage {
    QuarantinedMessage {
        id: row.id,
        tenant: row.tenant_slug,
        device: row.device_name,
        serial_number: row.certificate.serial,
        topic: row.topic,
        qos: row.qos,
        reason: row.reason,
        received_at: row.received_at,
        payload_base64: STANDARD.encode(&row.payload),
        payload_bytes: row.payload_bytes,
        released_at: row.released.map(|(at, _)| at),
        released_as: row.released.map(|(_, id)| id),
    }
}
