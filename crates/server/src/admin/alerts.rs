//! GET `/alerts`, POST `/alerts/:id/acknowledge` and `/alerts/test`, and `/alert-silences`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::alerts::{AlertBody, AlertList, CreateSilenceRequest, SilenceBody, SilenceList};
use countersign_authority::alerts::{
    AlertError, AlertFilter, AlertKind, AlertRow, AlertsOnly, SilenceRow, WantedSilence,
};
use countersign_authority::{Operate, View};
use http::StatusCode;

use crate::admin::lists::{self, page_size};
use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields, QueryFields, Segment, named};
use crate::scopes::{AlertsRead, AlertsWrite};
use crate::state::ControlPlane;

/// The longest silence, in minutes.
const LONGEST_MINUTES: i64 = 43_200;

/// Alerts, latest first; whoever is bound to a tenant sees that tenant's.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", operation_id = "listAlerts",
    params(
        ("tenant" = Option<String>, Query, description = "slug or id; all when absent"),
        ("open" = Option<bool>, Query, description = "true: without those that are resolved"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
    ),
    responses(
        (status = 200, body = AlertList),
        (status = 404, body = ErrorBody, description = "There is no such tenant"),
    ), security(("session" = []), ("apiToken" = ["alerts:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, AlertsRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<AlertList>> {
    let tenant = lists::tenant(&mut fields);
    let limit = page_size(&mut fields);
    let only = fields.read("open", |text| match text {
        "true" => Ok(AlertsOnly::Open),
        "false" => Ok(AlertsOnly::All),
        _ => Err("must be true or false"),
    });
    let mut filter = AlertFilter { tenant: None, only: only.unwrap_or_default(), limit };
    filter.tenant = lists::read_whole(fields, &state, &by, tenant).await?.map(|tenant| tenant.slug);
    let alerts = state.authority.alerts(&by, filter).await.map_err(|error| Failure::internal(&error))?;
    Ok(Json(AlertList { alerts: alerts.into_iter().map(wire_alert).collect() }))
}

/// Says that somebody sees to an alert.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/acknowledge", tag = "alerts",
    operation_id = "acknowledgeAlert",
    params(("id" = uuid::Uuid, Path, description = "alert id")),
    responses(
        (status = 200, body = AlertBody),
        (status = 409, body = ErrorBody, description = "`ALERT_STATE`: it is resolved, or acknowledged already"),
    ), security(("session" = []), ("apiToken" = ["alerts:write"])))]
pub(crate) async fn acknowledge(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, AlertsWrite>,
    Segment(id): Segment,
) -> Outcome<Json<AlertBody>> {
    Ok(Json(wire_alert(state.authority.acknowledge_alert(&by, named(&id, "alert")?).await?)))
}

/// Raises an alert about nothing, which resolves by itself, so that somebody sees whether it arrives. Not for
/// whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/alerts/test", tag = "alerts", operation_id = "testAlerts",
    responses((status = 201, body = AlertBody)), security(("session" = []), ("apiToken" = ["alerts:write"])))]
pub(crate) async fn test(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, AlertsWrite>,
) -> Outcome<(StatusCode, Json<AlertBody>)> {
    Ok((StatusCode::CREATED, Json(wire_alert(state.authority.test_alerts(&by).await?))))
}

/// The windows in which nobody is told, the first to end first. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/alert-silences", tag = "alerts", operation_id = "listAlertSilences",
    responses((status = 200, body = SilenceList)), security(("session" = []), ("apiToken" = ["alerts:read"])))]
pub(crate) async fn silences(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, AlertsRead>,
) -> Outcome<Json<SilenceList>> {
    let silences = state.authority.silences(&by).await?;
    Ok(Json(SilenceList { silences: silences.into_iter().map(wire_silence).collect() }))
}

/// Makes a window in which nobody is told. Alerts are raised and resolved all the same; what is still open at its
/// end is told then. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/alert-silences", tag = "alerts", operation_id = "createAlertSilence",
    request_body = CreateSilenceRequest,
    responses((status = 201, body = SilenceBody)), security(("session" = []), ("apiToken" = ["alerts:write"])))]
pub(crate) async fn silence(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, AlertsWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<(StatusCode, Json<SilenceBody>)> {
    let kind = fields.parsed::<AlertKind>("kind");
    let subject = fields.text("subject", 255);
    let reason = fields.required_text("reason", 255);
    let minutes = fields.number("minutes", 1..=LONGEST_MINUTES);
    if minutes.is_none() && !fields.has_problem("minutes") {
        fields.problem("minutes", "is required");
    }
    fields.refuse_unknown();
    fields.finish()?;
    let minutes = minutes.and_then(|minutes| u64::try_from(minutes).ok()).unwrap_or_default();
    let lasts = Duration::from_secs(minutes.saturating_mul(60));
    let wanted = WantedSilence { kind, subject, reason, lasts };
    let row = state.authority.silence_alerts(&by, wanted).await?;
    Ok((StatusCode::CREATED, Json(wire_silence(row))))
}

/// Ends a window at once. Not for whoever is bound to a tenant.
#[utoipa::path(delete, path = "/api/v1/alert-silences/{id}", tag = "alerts",
    operation_id = "deleteAlertSilence",
    params(("id" = uuid::Uuid, Path, description = "silence id")),
    responses((status = 204)), security(("session" = []), ("apiToken" = ["alerts:write"])))]
pub(crate) async fn end_silence(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, AlertsWrite>,
    Segment(id): Segment,
) -> Outcome<StatusCode> {
    by.covers_all()?;
    state.authority.end_silence(&by, named(&id, "silence")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<AlertError> for Failure {
    fn from(error: AlertError) -> Self {
        let said = match error {
            AlertError::Forbidden(forbidden) => return forbidden.into(),
            AlertError::Unknown(_) => return Self::not_found("alert"),
            AlertError::UnknownSilence(_) => return Self::not_found("silence"),
            AlertError::Store(error) => return Self::internal(&error),
            AlertError::Resolved(_) => "It is resolved",
            AlertError::Acknowledged(_) => "Somebody sees to it already",
        };
        Self::new(StatusCode::CONFLICT, "ALERT_STATE", said)
    }
}

fn wire_alert(row: AlertRow) -> AlertBody {
    let (acknowledged_at, acknowledged_by) = row.acknowledged.unzip();
    AlertBody {
        id: row.id,
        kind: row.kind,
        subject: row.subject,
        tenant: row.tenant,
        severity: row.severity.to_string(),
        summary: row.summary,
        opened_at: row.opened_at,
        seen_at: row.seen_at,
        resolved_at: row.resolved_at,
        acknowledged_at,
        acknowledged_by,
    }
}

fn wire_silence(row: SilenceRow) -> SilenceBody {
    let some = |text: String| (!text.is_empty()).then_some(text);
    SilenceBody {
        id: row.id,
        kind: some(row.kind),
        subject: some(row.subject),
        reason: row.reason,
        created_by: row.created_by,
        created_at: row.created_at,
        ends_at: row.ends_at,
    }
}
