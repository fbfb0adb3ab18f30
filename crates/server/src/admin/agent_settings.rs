//! GET and PATCH `/agents/org/:orgId/settings/agent`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use countersign_api::ErrorBody;
use countersign_api::wire::agent_settings::{AgentSettingsBody, AgentSettingsPatch};
use countersign_authority::agent_settings::AgentSettingsChange;
use countersign_authority::{Administer, View};
use countersign_core::agent_settings::{AgentSettings, Interval};
use http::{HeaderMap, header};

use crate::failure::Outcome;
use crate::fields::Fields;
use crate::preconditions::seen_version;
use crate::request::{Allowed, JsonFields, Segment};
use crate::scopes::{SettingsRead, SettingsWrite};
use crate::state::ControlPlane;

/// How a tenant's agents are to behave.
#[utoipa::path(get, path = "/api/v1/agents/org/{id}/settings/agent", tag = "settings",
    operation_id = "getAgentSettings",
    params(("id" = String, Path, description = "tenant slug or id")),
    responses((status = 200, body = AgentSettingsBody, headers(("ETag", description = "for `If-Match`")))),
    security(("session" = []), ("apiToken" = ["settings:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, SettingsRead>,
    Segment(id): Segment,
) -> Outcome<impl IntoResponse> {
    Ok(tagged(state.authority.find_tenant(&by, &id).await?.agent_settings))
}

/// Changes what the body names, and nothing else; with `If-Match` only what the caller has seen. Agents
/// hear of it with their next heartbeat.
#[utoipa::path(patch, path = "/api/v1/agents/org/{id}/settings/agent", tag = "settings",
    operation_id = "patchAgentSettings",
    params(
        ("id" = String, Path, description = "tenant slug or id"),
        ("If-Match" = Option<String>, Header, description = "an `ETag`: change only the settings it was given for"),
    ),
    request_body = AgentSettingsPatch,
    responses(
        (status = 200, body = AgentSettingsBody, headers(("ETag", description = "for `If-Match`"))),
        (status = 412, body = ErrorBody, description = "`SETTINGS_CHANGED`"),
    ), security(("session" = []), ("apiToken" = ["settings:write"])))]
pub(crate) async fn patch(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, SettingsWrite>,
    Segment(id): Segment,
    headers: HeaderMap,
    JsonFields(fields): JsonFields,
) -> Outcome<impl IntoResponse> {
    let only_if = seen_version(&headers);
    Ok(tagged(state.authority.change_agent_settings(&by, &id, read(fields)?, only_if).await?))
}

fn read(mut fields: Fields) -> Outcome<AgentSettingsChange> {
    let change = AgentSettingsChange {
        heartbeat_interval: fields
            .number("heartbeatIntervalSeconds", Interval::HEARTBEAT)
            .and_then(|seconds| Interval::heartbeat(seconds).ok()),
        metrics_interval: fields
            .number("metricsCollectionIntervalSeconds", Interval::METRICS)
            .and_then(|seconds| Interval::metrics(seconds).ok()),
    };
    fields.refuse_unknown();
    fields.finish()?;
    Ok(change)
}

fn tagged(settings: AgentSettings) -> impl IntoResponse + use<> {
    ([(header::ETAG, format!("\"{}\"", settings.version))], Json(wire_agent_settings(settings)))
}

/// Settings in the wire's words.
pub(crate) const fn wire_agent_settings(settings: AgentSettings) -> AgentSettingsBody {
    AgentSettingsBody {
        heartbeat_interval_seconds: settings.heartbeat_interval.seconds(),
        metrics_collection_interval_seconds: settings.metrics_interval.seconds(),
        version: settings.version,
    }
}
