//! GET and PATCH `/agents/org/:orgId/settings/mtls`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{MtlsSettingsBody, MtlsSettingsPatch};
use countersign_authority::settings::{Precondition, SettingsChange, SettingsTag};
use countersign_authority::{Administer, View};
use countersign_core::settings::{Days, MtlsSettings, OverlapHours, Permission};
use http::{HeaderMap, header};
use serde_json::Value;

use crate::failure::Outcome;
use crate::fields::Fields;
use crate::preconditions::if_match;
use crate::request::{Allowed, JsonFields, Segment};
use crate::scopes::{SettingsRead, SettingsWrite};
use crate::state::ControlPlane;

/// A tenant's certificate settings.
#[utoipa::path(get, path = "/api/v1/agents/org/{id}/settings/mtls", tag = "settings",
    operation_id = "getMtlsSettings",
    params(("id" = String, Path, description = "tenant slug or id")),
    responses((status = 200, body = MtlsSettingsBody, headers(("ETag", description = "for `If-Match`")))),
    security(("session" = []), ("apiToken" = ["settings:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, SettingsRead>,
    Segment(id): Segment,
) -> Outcome<impl IntoResponse> {
    Ok(tagged(&state.authority.find_tenant(&by, &id).await?.settings))
}

/// Changes what the body names, and nothing else; with `If-Match` only what the caller has seen.
#[utoipa::path(patch, path = "/api/v1/agents/org/{id}/settings/mtls", tag = "settings",
    operation_id = "patchMtlsSettings",
    params(
        ("id" = String, Path, description = "tenant slug or id"),
        ("If-Match" = Option<String>, Header, description = "an `ETag`: change only the settings it was given for"),
    ),
    request_body = MtlsSettingsPatch,
    responses(
        (status = 200, body = MtlsSettingsBody, headers(("ETag", description = "for `If-Match`"))),
        (status = 412, body = ErrorBody, description = "`SETTINGS_CHANGED`"),
    ), security(("session" = []), ("apiToken" = ["settings:write"])))]
pub(crate) async fn patch(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, SettingsWrite>,
    Segment(id): Segment,
    headers: HeaderMap,
    JsonFields(fields): JsonFields,
) -> Outcome<impl IntoResponse> {
    let only_if = precondition(&headers);
    let settings = state.authority.change_settings(&by, &id, read(fields)?, only_if).await?;
    Ok(tagged(&settings))
}

/// What `If-Match` asks for.
fn precondition(headers: &HeaderMap) -> Precondition {
    match if_match(headers) {
        None => Precondition::None,
        Some(tags) => Precondition::Unchanged(tags.iter().map(|tag| SettingsTag::seen(tag)).collect()),
    }
}

/// Settings with their tag.
fn tagged(settings: &MtlsSettings) -> impl IntoResponse + use<> {
    let tag = format!("\"{}\"", SettingsTag::of(settings).as_str());
    ([(header::ETAG, tag)], Json(wire_settings(settings)))
}

fn read(mut fields: Fields) -> Outcome<SettingsChange> {
    let change = SettingsChange {
        cert_lifetime_days: days(&mut fields, "certLifetimeDays"),
        expired_cert_policy: fields.parsed("expiredCertPolicy"),
        enforcement: fields.parsed("enforcement"),
        allow_server_generated_keys: fields.boolean("allowServerGeneratedKeys").map(Permission::from),
        allow_bearer_only_renewal: fields.boolean("allowBearerOnlyRenewal").map(Permission::from),
        renewal_overlap_hours: fields
            .number("renewalOverlapHours", 0..=720)
            .and_then(|hours| OverlapHours::new(hours).ok()),
        recovery_window_days: recovery_window(&mut fields),
    };
    fields.refuse_unknown();
    fields.finish()?;
    Ok(change)
}

fn days(fields: &mut Fields, name: &str) -> Option<Days> {
    fields.number(name, 1..=365).and_then(|days| Days::new(days).ok())
}

/// Absent: stays. Null: follows the lifetime. A number: that many days.
fn recovery_window(fields: &mut Fields) -> Option<Option<Days>> {
    const NAME: &str = "recoveryWindowDays";
    match fields.take_with_null(NAME)? {
        Value::Null => Some(None),
        value @ (Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_)) => match value.as_i64().map(Days::new) {
            Some(Ok(days)) => Some(Some(days)),
            Some(Err(_)) | None => {
                fields.problem(NAME, "must be a whole number from 1 to 365, or null");
                None
            }
        },
    }
}

fn wire_settings(settings: &MtlsSettings) -> MtlsSettingsBody {
    MtlsSettingsBody {
        cert_lifetime_days: settings.cert_lifetime_days.count(),
        expired_cert_policy: settings.expired_cert_policy,
        enforcement: settings.enforcement,
        allow_server_generated_keys: settings.allow_server_generated_keys.into(),
        allow_bearer_only_renewal: settings.allow_bearer_only_renewal.into(),
        renewal_overlap_hours: settings.renewal_overlap_hours.count(),
        recovery_window_days: settings.recovery_window_days.unwrap_or(settings.cert_lifetime_days).count(),
    }
}
