//! POST `/agents/:agentId/commands/:id/result`, and commands in the words of agents.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::agent::Success;
use countersign_api::wire::command::{Command, CommandResult};
use countersign_api::wire::schema;
use countersign_authority::commands::{CommandReport, CommandRow, ReportedVerdict};
use countersign_core::access::Place;
use countersign_core::ids::CommandId;
use http::request::Parts;

use crate::device::identify::{FromDoor, admit};
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::{Segments, Unread, named};
use crate::state::ControlPlane;

/// Takes what came of a command; the first word counts, and saying it again does no harm.
#[utoipa::path(post, path = "/api/v1/agents/{id}/commands/{commandId}/result", tag = "agents",
    operation_id = "recordCommandResult",
    params(
        ("id" = schema::AgentId, Path),
        ("commandId" = uuid::Uuid, Path, description = "command id"),
    ),
    request_body = CommandResult,
    responses(
        (status = 200, body = Success),
        (status = 404, body = ErrorBody, description = "The device has no such command"),
        (status = 429, body = ErrorBody),
    ), security(("agent" = []), ("agent" = [], "deviceCertificate" = [])))]
pub(crate) async fn result(
    State(state): State<ControlPlane>,
    FromDoor(arrival): FromDoor,
    Segments([id, command]): Segments<2>,
    parts: Parts,
    body: Unread,
) -> Outcome<Json<Success>> {
    let agent = id.parse().map_err(|_invalid| Failure::unauthorized())?;
    let admitted = admit(&state, &parts, arrival, Place::Agent, Some(agent)).await?;
    state.authority.count_message(&admitted.caller).map_err(Failure::too_many)?;
    let report = read(body.fields().await?)?;
    let command = named::<CommandId>(&command, "command")?;
    state.authority.record_result(&admitted.caller, command, report).await?;
    Ok(Json(Success { success: true }))
}

fn read(mut fields: Fields) -> Outcome<CommandReport> {
    let is_named = fields.has("status");
    let verdict = fields.read("status", |text| match text {
        "completed" => Ok(ReportedVerdict::Completed),
        "failed" => Ok(ReportedVerdict::Failed),
        _ => Err("must be completed or failed"),
    });
    if !is_named {
        fields.problem("status", "is required");
    }
    // In the device's words, line breaks and all.
    let error = fields.block("error", CommandReport::ERROR_LIMIT * 4);
    let result = fields.take("result");
    let report = CommandReport::new(verdict.unwrap_or(ReportedVerdict::Failed), result, error.as_deref());
    if let Err(problem) = &report {
        fields.problem("result", *problem);
    }
    fields.finish()?;
    report.map_err(|problem| Failure::invalid_field("result", problem))
}

/// A command as its device gets it.
pub(crate) fn wire_offered(row: CommandRow) -> Command {
    Command {
        id: row.id,
        kind: row.kind.to_string(),
        payload: row.payload,
        created_at: row.created_at,
        expires_at: row.expires_at,
    }
}
