//! POST and GET `/devices/:id/commands`, GET `/devices/:id/commands/:commandId`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::command_queue::{CommandBody, CommandList, CommandQueued, CommandRequest};
use countersign_authority::commands::{CommandPayload, CommandRow};
use countersign_authority::{Operate, View};
use countersign_core::command::CommandKind;
use http::StatusCode;

use crate::admin::lists::{cursor, page_size};
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::{Allowed, JsonFields, QueryFields, Segment, Segments, named};
use crate::scopes::{CommandsRead, CommandsWrite};
use crate::state::ControlPlane;

/// Queues a command for a device.
#[utoipa::path(post, path = "/api/v1/devices/{id}/commands", tag = "commands", operation_id = "queueCommand",
    params(("id" = uuid::Uuid, Path, description = "device id")), request_body = CommandRequest,
    responses(
        (status = 202, body = CommandQueued, description = "Queued; the device gets it as soon as it can"),
        (status = 409, body = ErrorBody, description = "`DEVICE_STATE`: the device is quarantined or \
            decommissioned; `COMMAND_LIMIT`: 256 commands wait for it"),
    ), security(("session" = []), ("apiToken" = ["commands:write"])))]
pub(crate) async fn queue(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, CommandsWrite>,
    Segment(id): Segment,
    JsonFields(fields): JsonFields,
) -> Outcome<(StatusCode, Json<CommandQueued>)> {
    let (kind, payload) = read(fields)?;
    let id = state.authority.queue_command(&by, named(&id, "device")?, kind, payload).await?;
    Ok((StatusCode::ACCEPTED, Json(CommandQueued { id })))
}

fn read(mut fields: Fields) -> Outcome<(CommandKind, Option<CommandPayload>)> {
    let is_named = fields.has("type");
    let kind = fields.read("type", |text| {
        let kind = text.parse().ok().filter(|kind| CommandKind::FOR_PEOPLE.contains(kind));
        kind.ok_or("must be ping, renew_certificate, refresh_config or collect_facts")
    });
    if !is_named {
        fields.problem("type", "is required");
    }
    let payload = fields.take("payload").map(CommandPayload::new);
    if let Some(Err(problem)) = &payload {
        fields.problem("payload", *problem);
    }
    fields.refuse_unknown();
    fields.finish()?;
    let kind = kind.ok_or_else(|| Failure::invalid_field("type", "is required"))?;
    Ok((kind, payload.and_then(Result::ok)))
}

/// One page of a device's commands, newest first.
#[utoipa::path(get, path = "/api/v1/devices/{id}/commands", tag = "commands", operation_id = "listCommands",
    params(
        ("id" = uuid::Uuid, Path, description = "device id"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses((status = 200, body = CommandList)), security(("session" = []), ("apiToken" = ["commands:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, CommandsRead>,
    Segment(id): Segment,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<CommandList>> {
    let (limit, after) = (page_size(&mut fields), cursor(&mut fields));
    fields.refuse_unknown();
    fields.finish()?;
    let page = state.authority.device_commands(&by, named(&id, "device")?, after, limit).await?;
    Ok(Json(CommandList {
        commands: page.commands.into_iter().map(wire_command).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// One command, and what came of it.
#[utoipa::path(get, path = "/api/v1/devices/{id}/commands/{commandId}", tag = "commands",
    operation_id = "getCommand",
    params(
        ("id" = uuid::Uuid, Path, description = "device id"),
        ("commandId" = uuid::Uuid, Path, description = "command id"),
    ),
    responses((status = 200, body = CommandBody)), security(("session" = []), ("apiToken" = ["commands:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, CommandsRead>,
    Segments([id, command]): Segments<2>,
) -> Outcome<Json<CommandBody>> {
    let device = named(&id, "device")?;
    let command = state.authority.device_command(&by, device, named(&command, "command")?).await?;
    Ok(Json(wire_command(command)))
}

fn wire_command(row: CommandRow) -> CommandBody {
    CommandBody {
        id: row.id,
        kind: row.kind,
        status: row.state,
        payload: row.payload,
        created_at: row.created_at,
        expires_at: row.expires_at,
        delivered_at: row.delivered_at,
        finished_at: row.finished_at,
        result: row.result,
        error: row.error,
    }
}
