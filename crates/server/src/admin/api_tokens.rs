//! GET and POST `/api-tokens`, POST `/api-tokens/:id/revoke`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::api_tokens::{ApiTokenBody, ApiTokenCreated, ApiTokenList, CreateApiTokenRequest};
use countersign_authority::View;
use countersign_authority::api_tokens::{ApiTokenRow, WantedToken};
use countersign_core::scope::{Scope, Scopes};
use http::StatusCode;

use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::{Allowed, InSession, JsonFields, Segment, named};
use crate::scopes::{ApiTokensRead, ApiTokensWrite};
use crate::state::ControlPlane;

/// How long a token works unless its maker says otherwise, and the longest that it may.
const DAYS: i64 = 90;
const MAX_DAYS: i64 = 730;

/// One day.
const DAY: Duration = Duration::from_secs(86_400);

/// The caller's own API tokens; for admins those of the people they manage too.
#[utoipa::path(get, path = "/api/v1/api-tokens", tag = "api tokens", operation_id = "listApiTokens",
    responses((status = 200, body = ApiTokenList)),
    security(("session" = []), ("apiToken" = ["api-tokens:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, ApiTokensRead>,
) -> Outcome<Json<ApiTokenList>> {
    let rows = state.authority.list_api_tokens(&by).await.map_err(|error| Failure::internal(&error))?;
    Ok(Json(ApiTokenList { api_tokens: rows.into_iter().map(wire_token).collect() }))
}

/// Makes an API token of the caller's own, shown this once. It needs a session: a token makes no token.
#[utoipa::path(post, path = "/api/v1/api-tokens", tag = "api tokens", operation_id = "createApiToken",
    request_body = CreateApiTokenRequest,
    responses((status = 201, body = ApiTokenCreated)), security(("session" = [])))]
pub(crate) async fn create(
    State(state): State<ControlPlane>,
    InSession(by): InSession<View>,
    JsonFields(fields): JsonFields,
) -> Outcome<(StatusCode, Json<ApiTokenCreated>)> {
    let created = state.authority.create_api_token(&by, read(fields)?).await?;
    let body = ApiTokenCreated { token: created.token.to_string(), record: wire_token(created.row) };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Revokes an API token: it works no more from this moment on.
#[utoipa::path(post, path = "/api/v1/api-tokens/{id}/revoke", tag = "api tokens",
    operation_id = "revokeApiToken",
    params(("id" = uuid::Uuid, Path, description = "the id of the token's record")),
    responses(
        (status = 200, body = ApiTokenBody),
        (status = 409, body = ErrorBody, description = "`ALREADY_REVOKED`"),
    ), security(("session" = []), ("apiToken" = ["api-tokens:write"])))]
pub(crate) async fn revoke(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, ApiTokensWrite>,
    Segment(id): Segment,
) -> Outcome<Json<ApiTokenBody>> {
    let row = state.authority.revoke_api_token(&by, named(&id, "API token")?).await?;
    Ok(Json(wire_token(row)))
}

fn read(mut fields: Fields) -> Outcome<WantedToken> {
    let days = fields.number("expiresInDays", 1..=MAX_DAYS).unwrap_or(DAYS);
    let wanted = WantedToken {
        name: fields.required_text("name", 255),
        role: fields.parsed("role"),
        tenant: fields.text("tenant", 64),
        scopes: scopes(&mut fields),
        life: DAY * u32::try_from(days).unwrap_or(1),
    };
    fields.refuse_unknown();
    fields.finish()?;
    Ok(wanted)
}

/// Fails closed: what is there and is not a list of scopes is a problem, an empty list too.
fn scopes(fields: &mut Fields) -> Option<Scopes> {
    let value = fields.take("scopes")?;
    let parsed = value
        .as_array()
        .and_then(|list| {
            list.iter().map(|scope| scope.as_str()?.parse().ok()).collect::<Option<Vec<Scope>>>()
        })
        .and_then(Scopes::new);
    if parsed.is_none() {
        let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        fields.problem("scopes", format!("must be a list of some of {}", known.join(", ")));
    }
    parsed
}

fn wire_token(row: ApiTokenRow) -> ApiTokenBody {
    let scopes = row.scopes.as_ref().map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect());
    ApiTokenBody {
        id: row.id,
        name: row.name,
        user_id: row.user,
        user_email: row.user_email,
        role: row.role.to_string(),
        tenant: row.tenant_slug,
        scopes,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        revoked_at: row.revoked_at,
    }
}
