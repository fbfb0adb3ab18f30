//! GET and POST `/enrollment-keys`, POST `/enrollment-keys/:id/revoke`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{
    CreateEnrollmentKeyRequest, EnrollmentKeyBody, EnrollmentKeyCreated, EnrollmentKeyList,
};
use countersign_authority::enrollment_keys::{Approval, EnrollmentKeyRow, WantedKey};
use countersign_authority::{Operate, View};
use http::StatusCode;
use ipnet::IpNet;

use crate::failure::Outcome;
use crate::fields::Fields;
use crate::request::{Allowed, JsonFields, QueryFields, Segment, named};
use crate::scopes::{EnrollmentKeysRead, EnrollmentKeysWrite};
use crate::state::ControlPlane;

/// A year, the longest that a key works.
const MAX_MINUTES: i64 = 365 * 24 * 60;

/// The enrolment keys of a tenant.
#[utoipa::path(get, path = "/api/v1/enrollment-keys", tag = "enrollment keys",
    operation_id = "listEnrollmentKeys",
    params(("tenant" = Option<String>, Query, description = "slug or id; default when absent")),
    responses(
        (status = 200, body = EnrollmentKeyList),
        (status = 404, body = ErrorBody, description = "There is no such tenant"),
    ), security(("session" = []), ("apiToken" = ["enrollment-keys:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, EnrollmentKeysRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<EnrollmentKeyList>> {
    let tenant = fields.text("tenant", 64);
    fields.refuse_unknown();
    fields.finish()?;
    let keys = state.authority.list_enrollment_keys(&by, tenant.as_deref()).await?;
    Ok(Json(EnrollmentKeyList { enrollment_keys: keys.iter().map(wire_key).collect() }))
}

/// Makes an enrolment key, shown this once.
#[utoipa::path(post, path = "/api/v1/enrollment-keys", tag = "enrollment keys",
    operation_id = "createEnrollmentKey",
    request_body = CreateEnrollmentKeyRequest,
    responses((status = 201, body = EnrollmentKeyCreated)), security(("session" = []), ("apiToken" = ["enrollment-keys:write"])))]
pub(crate) async fn create(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, EnrollmentKeysWrite>,
    JsonFields(fields): JsonFields,
) -> Outcome<(StatusCode, Json<EnrollmentKeyCreated>)> {
    let created = state.authority.create_enrollment_key(&by, read(fields)?).await?;
    let body = EnrollmentKeyCreated {
        id: created.row.id,
        command: state.enrol_command(&created.key),
        key: created.key.to_string(),
        expires_at: created.row.expires_at,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Revokes an enrolment key: no device enrols with it any more. Devices that did are not touched.
#[utoipa::path(post, path = "/api/v1/enrollment-keys/{id}/revoke", tag = "enrollment keys",
    operation_id = "revokeEnrollmentKey",
    params(("id" = uuid::Uuid, Path, description = "the id of the key's record")),
    responses(
        (status = 200, body = EnrollmentKeyBody),
        (status = 409, body = ErrorBody, description = "`ALREADY_REVOKED`"),
    ), security(("session" = []), ("apiToken" = ["enrollment-keys:write"])))]
pub(crate) async fn revoke(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, EnrollmentKeysWrite>,
    Segment(id): Segment,
) -> Outcome<Json<EnrollmentKeyBody>> {
    let row = state.authority.revoke_enrollment_key(&by, named(&id, "enrolment key")?).await?;
    Ok(Json(wire_key(&row)))
}

fn read(mut fields: Fields) -> Outcome<WantedKey> {
    let minutes = fields.number("expiresInMinutes", 1..=MAX_MINUTES).unwrap_or(60);
    let wanted = WantedKey {
        tenant: fields.text("tenant", 64),
        site: fields.text("site", 64),
        max_uses: fields
            .number("maxUses", 1..=1_000_000)
            .and_then(|uses| u32::try_from(uses).ok())
            .unwrap_or(1),
        life: Duration::from_secs(u64::try_from(minutes).unwrap_or(60) * 60),
        approval: match fields.boolean("requireApproval") {
            Some(true) => Approval::Required,
            Some(false) | None => Approval::NotNeeded,
        },
        name_pattern: fields.text("deviceNamePattern", 128),
        device: fields.parsed("deviceId"),
        spki: fields.parsed("spkiSha256"),
        networks: networks(&mut fields),
    };
    fields.refuse_unknown();
    fields.finish()?;
    Ok(wanted)
}

fn networks(fields: &mut Fields) -> Vec<IpNet> {
    let Some(value) = fields.take("networks") else { return Vec::new() };
    let parsed = value.as_array().and_then(|list| {
        list.iter().map(|network| network.as_str()?.parse().ok()).collect::<Option<Vec<IpNet>>>()
    });
    match parsed {
        Some(networks) if networks.len() <= 32 => networks,
        Some(_) | None => {
            fields.problem("networks", "must be a list of at most 32 networks such as 192.0.2.0/24");
            Vec::new()
        }
    }
}

const fn wire_key(row: &EnrollmentKeyRow) -> EnrollmentKeyBody {
    EnrollmentKeyBody {
        id: row.id,
        max_uses: row.max_uses,
        uses: row.uses,
        expires_at: row.expires_at,
        require_approval: matches!(row.approval, Approval::Required),
        device_id: row.device,
        revoked_at: row.revoked_at,
    }
}
