//! POST `/setup`: the first owner.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{SetupRequest, SetupResponse};
use http::StatusCode;

use crate::admin::auth::wire_user;
use crate::admin::passwords::required_password;
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::JsonFields;
use crate::state::ControlPlane;

/// Makes the first owner and signs them in.
#[utoipa::path(post, path = "/api/v1/setup", tag = "auth", operation_id = "setUp",
    request_body = SetupRequest,
    responses(
        (status = 201, body = SetupResponse),
        (status = 401, body = ErrorBody, description = "`SETUP_TOKEN_REFUSED`"),
        (status = 409, body = ErrorBody, description = "`SETUP_DONE`"),
    ))]
pub(crate) async fn set_up(
    State(state): State<ControlPlane>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<(StatusCode, Json<SetupResponse>)> {
    let token = fields.required_text("token", 255);
    let email = email(&mut fields);
    let password = required_password(&mut fields, "password");
    fields.refuse_unknown();
    fields.finish()?;
    let signed_in = state.authority.set_up(&token, &email, password).await?;
    let person =
        state.authority.person(&signed_in.caller).await.map_err(|error| Failure::internal(&error))?;
    let user = wire_user(person);
    Ok((StatusCode::CREATED, Json(SetupResponse { token: signed_in.token.to_string(), user })))
}

/// An e-mail address, as far as it can be told without writing to it.
pub(crate) fn email(fields: &mut Fields) -> String {
    let email = fields.required_text("email", 254);
    let is_plausible = email
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if !email.is_empty() && (!is_plausible || email.contains(char::is_whitespace)) {
        fields.problem("email", "must be an e-mail address");
    }
    email
}
