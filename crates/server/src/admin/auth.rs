//! POST `/auth/login`, POST `/auth/logout`, GET `/auth/me`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{LoginRequest, LoginResponse, User};
use countersign_authority::Account;
use countersign_authority::people::Person;
use countersign_authority::second_factor::ShownFactor;
use countersign_authority::sign_in::LoginError;
use http::StatusCode;
use zeroize::Zeroizing;

use crate::admin::second_factor::CODE_LIMIT;
use crate::failure::{Failure, Outcome};
use crate::request::{ClientAddress, JsonFields, SignedIn};
use crate::state::ControlPlane;

/// Signs a person in.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", operation_id = "logIn",
    request_body = LoginRequest,
    responses(
        (status = 200, body = LoginResponse),
        (status = 401, body = ErrorBody,
            description = "`INVALID_CREDENTIALS`; `SECOND_FACTOR_REQUIRED`: the password is right, ask again with `code`; `SECOND_FACTOR_WRONG`"),
        (status = 429, body = ErrorBody),
    ))]
pub(crate) async fn log_in(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<LoginResponse>> {
    let email = fields.required_text("email", 254);
    let password = Zeroizing::new(fields.required_text("password", 1024));
    let code = fields.text("code", CODE_LIMIT).map(Zeroizing::new);
    fields.refuse_unknown();
    fields.finish()?;
    let signed_in = match (state.authority.log_in(&email, password, address).await, code) {
        (Err(LoginError::SecondFactor(begun)), Some(code)) => {
            state.authority.finish_sign_in(&begun, &ShownFactor::Code(code), address).await?
        }
        (outcome, _) => outcome?,
    };
    Ok(Json(LoginResponse { token: signed_in.token.to_string(), expires_at: signed_in.expires_at }))
}

/// Ends the session at once. An API token is not ended here but revoked.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", operation_id = "logOut",
    responses((status = 204)), security(("session" = [])))]
pub(crate) async fn log_out(State(state): State<ControlPlane>, signed_in: SignedIn) -> Outcome<StatusCode> {
    signed_in.caller.authorize::<Account>()?;
    state
        .authority
        .log_out(&signed_in.caller, &signed_in.token)
        .await
        .map_err(|error| Failure::internal(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is signed in, or in whose name an API token acts, with the role and tenant to act with.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth", operation_id = "getMe",
    responses((status = 200, body = User)), security(("session" = []), ("apiToken" = [])))]
pub(crate) async fn me(State(state): State<ControlPlane>, signed_in: SignedIn) -> Outcome<Json<User>> {
    let person =
        state.authority.person(&signed_in.caller).await.map_err(|error| Failure::internal(&error))?;
    Ok(Json(wire_user(person)))
}

/// A person on the wire.
pub(crate) fn wire_user(person: Person) -> User {
    User { id: person.id, email: person.email, role: person.role.to_owned(), tenant: person.tenant }
}
