//! GET and POST `/users`, GET and PATCH `/users/:id`, POST `/users/:id/reset-password`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::users::{
    CreateUserRequest, PasswordTokenBody, UserBody, UserCreated, UserList, UserPatch,
};
use countersign_authority::Administer;
use countersign_authority::passwords::OneTimeToken;
use countersign_authority::users::{
    AccountStanding, ListedUser, Role, Sight, SignsIn, UserChange, WantedUser,
};
use http::StatusCode;
use serde_json::Value;

use crate::admin::passwords::optional_password;
use crate::admin::setup::email;
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::{Allowed, JsonFields, Segment, named};
use crate::scopes::{UsersRead, UsersWrite};
use crate::state::ControlPlane;

/// The people that the caller manages.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", operation_id = "listUsers",
    responses((status = 200, body = UserList)),
    security(("session" = []), ("apiToken" = ["users:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, UsersRead>,
) -> Outcome<Json<UserList>> {
    let users = state.authority.list_users(&by).await.map_err(|error| Failure::internal(&error))?;
    Ok(Json(UserList { users: users.into_iter().map(wire_user).collect() }))
}

/// Lets somebody in: with a password, or with a one-time token to set one.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", operation_id = "createUser",
    request_body = CreateUserRequest,
    responses(
        (status = 201, body = UserCreated),
        (status = 409, body = ErrorBody, description = "`EMAIL_TAKEN`"),
    ), security(("session" = []), ("apiToken" = ["users:write"])))]
pub(crate) async fn create(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, UsersWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<(StatusCode, Json<UserCreated>)> {
    let email = email(&mut fields);
    let role = fields.required_parsed::<Role>("role");
    let tenant = fields.text("tenant", 64);
    let password = optional_password(&mut fields, "password");
    fields.refuse_unknown();
    fields.finish()?;
    let role = role.ok_or_else(|| Failure::invalid_field("role", "is required"))?;
    let created = state.authority.create_user(&by, WantedUser { email, role, tenant, password }).await?;
    let invitation = created.invitation.map(|token| wire_password_token(&token));
    Ok((StatusCode::CREATED, Json(UserCreated { user: wire_user(created.user), invitation })))
}

/// One person.
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", operation_id = "getUser",
    params(("id" = uuid::Uuid, Path, description = "user id")),
    responses((status = 200, body = UserBody)),
    security(("session" = []), ("apiToken" = ["users:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, UsersRead>,
    Segment(id): Segment,
) -> Outcome<Json<UserBody>> {
    Ok(Json(wire_user(state.authority.user(&by, named(&id, "user")?).await?)))
}

/// Changes what a person may do, what they see, or whether they may sign in. It ends their sessions and
/// revokes their API tokens at once.
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", operation_id = "patchUser",
    params(("id" = uuid::Uuid, Path, description = "user id")), request_body = UserPatch,
    responses(
        (status = 200, body = UserBody),
        (status = 409, body = ErrorBody, description = "`LAST_OWNER`: no owner who can sign in would be left"),
    ), security(("session" = []), ("apiToken" = ["users:write"])))]
pub(crate) async fn patch(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, UsersWrite>,
    Segment(id): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<UserBody>> {
    let change = UserChange {
        role: fields.parsed("role"),
        tenant: sight(&mut fields),
        standing: fields.boolean("disabled").map(|disabled| match disabled {
            true => AccountStanding::Disabled,
            false => AccountStanding::Enabled,
        }),
    };
    fields.refuse_unknown();
    fields.finish()?;
    Ok(Json(wire_user(state.authority.change_user(&by, named(&id, "user")?, change).await?)))
}

/// Makes a one-time token with which a person sets a new password, for 24 hours. Until then the old
/// password and the sessions go on.
#[utoipa::path(post, path = "/api/v1/users/{id}/reset-password", tag = "users",
    operation_id = "resetPassword",
    params(("id" = uuid::Uuid, Path, description = "user id")),
    responses(
        (status = 201, body = PasswordTokenBody),
        (status = 409, body = ErrorBody, description = "`USER_DISABLED`; `SIGNS_IN_AT_PROVIDER`"),
    ), security(("session" = []), ("apiToken" = ["users:write"])))]
pub(crate) async fn reset_password(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, UsersWrite>,
    Segment(id): Segment,
) -> Outcome<(StatusCode, Json<PasswordTokenBody>)> {
    let token = state.authority.reset_password(&by, named(&id, "user")?).await?;
    Ok((StatusCode::CREATED, Json(wire_password_token(&token))))
}

/// An explicit null: every tenant.
fn sight(fields: &mut Fields) -> Option<Sight> {
    match fields.take_with_null("tenant")? {
        Value::Null => Some(Sight::All),
        Value::String(tenant) if !tenant.is_empty() && tenant.len() <= 64 => Some(Sight::One(tenant)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            fields.problem("tenant", "must be null, or a text of 1 to 64 printable characters");
            None
        }
    }
}

fn wire_user(user: ListedUser) -> UserBody {
    UserBody {
        id: user.row.id,
        invited: user.signs_in == SignsIn::Here && user.row.password_hash.is_none(),
        at_provider: user.signs_in == SignsIn::AtProvider,
        second_factor: user.has_second_factor,
        email: user.row.email,
        role: user.row.role.to_string(),
        tenant: user.tenant,
        created_at: user.row.created_at,
        disabled_at: user.row.disabled_at,
    }
}

fn wire_password_token(token: &OneTimeToken) -> PasswordTokenBody {
    PasswordTokenBody { token: token.token.to_string(), expires_at: token.expires_at }
}
