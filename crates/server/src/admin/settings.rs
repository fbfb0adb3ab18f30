//! GET and PATCH `/agents/org/:orgId/settings/mtls`.

use axum::Json;
use axum::extract::State;
use countersign_api::wire::admin::{MtlsSettingsBody, MtlsSettingsPatch};
use countersign_authority::settings::SettingsChange;
use countersign_authority::{Administer, View};
use countersign_core::settings::{Days, MtlsSettings, OverlapHours, Permission};
use serde_json::Value;

use crate::failure::Outcome;
use crate::fields::Fields;
use crate::request::{Allowed, JsonFields, Segment};
use crate::state::ControlPlane;

/// A tenant's certificate settings.
#[utoipa::path(get, path = "/api/v1/agents/org/{id}/settings/mtls", tag = "settings",
    operation_id = "getMtlsSettings",
    params(("id" = String, Path, description = "tenant slug or id")),
    responses((status = 200, body = MtlsSettingsBody)), security(("session" = [])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by): Allowed<View>,
    Segment(id): Segment,
) -> Outcome<Json<MtlsSettingsBody>> {
    Ok(Json(wire_settings(&state.authority.find_tenant(&by, &id).await?.settings)))
}

/// Changes what the body names, and nothing else.
#[utoipa::path(patch, path = "/api/v1/agents/org/{id}/settings/mtls", tag = "settings",
    operation_id = "patchMtlsSettings",
    params(("id" = String, Path, description = "tenant slug or id")), request_body = MtlsSettingsPatch,
    responses((status = 200, body = MtlsSettingsBody)), security(("session" = [])))]
pub(crate) async fn patch(
    State(state): State<ControlPlane>,
    Allowed(by): Allowed<Administer>,
    Segment(id): Segment,
    JsonFields(fields): JsonFields,
) -> Outcome<Json<MtlsSettingsBody>> {
    let settings = state.authority.change_settings(&by, &id, read(fields)?).await?;
    Ok(Json(wire_settings(&settings)))
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
