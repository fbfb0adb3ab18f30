//! POST `/auth/set-password` and POST `/auth/password`.

use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::users::{ChangePasswordRequest, SetPasswordRequest};
use countersign_authority::View;
use countersign_authority::passwords::Passwords;
use countersign_authority::people::PASSWORD_MIN;
use http::StatusCode;
use zeroize::Zeroizing;

use crate::failure::Outcome;
use crate::fields::Fields;
use crate::request::{ClientAddress, JsonFields, SignedIn};
use crate::state::ControlPlane;

/// Sets a password with a one-time token, which is used up, and ends the person's sessions.
#[utoipa::path(post, path = "/api/v1/auth/set-password", tag = "auth", operation_id = "setPassword",
    request_body = SetPasswordRequest,
    responses(
        (status = 204),
        (status = 401, body = ErrorBody, description = "`PASSWORD_TOKEN_REFUSED`"),
        (status = 429, body = ErrorBody),
    ))]
pub(crate) async fn set(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    JsonFields(mut fields): JsonFields,
) -> Outcome<StatusCode> {
    let token = fields.required_text("token", 255);
    let password = required_password(&mut fields, "password");
    fields.refuse_unknown();
    fields.finish()?;
    state.authority.set_password(&token, password, address).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes the caller's own password and ends their other sessions.
#[utoipa::path(post, path = "/api/v1/auth/password", tag = "auth", operation_id = "changePassword",
    request_body = ChangePasswordRequest,
    responses(
        (status = 204),
        (status = 403, body = ErrorBody, description = "`WRONG_PASSWORD`, or not in a session"),
        (status = 429, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn change(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    signed_in: SignedIn,
    JsonFields(mut fields): JsonFields,
) -> Outcome<StatusCode> {
    let by = signed_in.caller.authorize::<View>()?;
    let current = Zeroizing::new(fields.required_text("currentPassword", 1024));
    let new = required_password(&mut fields, "newPassword");
    fields.refuse_unknown();
    fields.finish()?;
    let passwords = Passwords { current, new };
    state.authority.change_password(&by, &signed_in.token, passwords, address).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A new password.
pub(crate) fn required_password(fields: &mut Fields, name: &str) -> Zeroizing<String> {
    let password = Zeroizing::new(fields.required_text(name, 1024));
    if !password.is_empty() {
        check_length(fields, name, &password);
    }
    password
}

/// A new password, if there.
pub(crate) fn optional_password(fields: &mut Fields, name: &str) -> Option<Zeroizing<String>> {
    let password = fields.text(name, 1024).map(Zeroizing::new)?;
    check_length(fields, name, &password);
    Some(password)
}

/// Notes a password that is too short.
pub(crate) fn check_length(fields: &mut Fields, name: &str, password: &str) {
    if password.chars().count() < PASSWORD_MIN {
        fields.problem(name, format!("must have at least {PASSWORD_MIN} characters"));
    }
}
