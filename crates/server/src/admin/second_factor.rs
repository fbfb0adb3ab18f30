//! One's own second factor: GET `/auth/second-factor`, POST `/auth/second-factor/totp`, `…/totp/confirm`,
//! `…/recovery-codes` and `…/remove`. Somebody else's: POST `/users/:id/second-factor/remove`. Whether
//! everybody needs one: GET and PATCH `/sign-in-settings`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::second_factors::{
    PasskeyBody, RecoveryCodesBody, SecondFactorBody, SecondFactorPolicy as WirePolicy,
    SecondFactorProof as WireProof, SignInSettings, TotpConfirmRequest, TotpPending,
};
use countersign_authority::second_factor::{
    OwnPasskey, RecoveryCodes, SecondFactorPolicy, SecondFactorProof,
};
use countersign_authority::{Account, Own, View};
use http::StatusCode;
use zeroize::Zeroizing;

use super::passkeys::factor;
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::{ClientAddress, InSession, JsonFields, Segment, SignedIn, named};
use crate::state::ControlPlane;

/// The longest code that is looked at.
pub(crate) const CODE_LIMIT: usize = 64;

/// The caller's own second factor.
#[utoipa::path(get, path = "/api/v1/auth/second-factor", tag = "auth", operation_id = "getSecondFactor",
    responses((status = 200, body = SecondFactorBody)), security(("session" = [])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    InSession(by): InSession<Account>,
) -> Outcome<Json<SecondFactorBody>> {
    let own = state.authority.own_second_factor(&by).await.map_err(|error| Failure::internal(&error))?;
    Ok(Json(SecondFactorBody {
        totp_since: own.totp_since,
        passkeys: own.passkeys.into_iter().map(wire_passkey).collect(),
        recovery_codes_left: own.recovery_codes_left,
        policy: wire_policy(own.policy),
    }))
}

/// Makes a key of one-time codes, in the place of one that still waits for its first code. It counts once
/// that was shown, within 15 minutes. Whoever has a passkey shows that, or a recovery code, with the password.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/totp", tag = "auth", operation_id = "beginTotp",
    request_body = WireProof,
    responses(
        (status = 201, body = TotpPending),
        (status = 403, body = ErrorBody, description = "`WRONG_PASSWORD`, `WRONG_CODE`, or not in a session"),
        (status = 409, body = ErrorBody, description = "`SECOND_FACTOR_SET`: there is one already"),
        (status = 429, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn begin_totp(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    InSession(by): InSession<Account>,
    JsonFields(fields): JsonFields,
) -> Outcome<(StatusCode, Json<TotpPending>)> {
    let pending = state.authority.begin_totp(&by, proof(fields)?, address).await?;
    let shown = TotpPending { key: pending.key.to_string(), uri: pending.uri.to_string() };
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Lets the key count whose code this is, and gives ten recovery codes. The caller's other sessions end.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/totp/confirm", tag = "auth",
    operation_id = "confirmTotp", request_body = TotpConfirmRequest,
    responses(
        (status = 200, body = RecoveryCodesBody),
        (status = 403, body = ErrorBody, description = "`WRONG_CODE`, or not in a session"),
        (status = 409, body = ErrorBody, description = "`SECOND_FACTOR_MISSING`: no key waits for its first code"),
    ), security(("session" = [])))]
pub(crate) async fn confirm_totp(
    State(state): State<ControlPlane>,
    signed_in: SignedIn,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<RecoveryCodesBody>> {
    let by = signed_in.caller.authorize::<Account>()?;
    let code = Zeroizing::new(fields.required_text("code", CODE_LIMIT));
    fields.refuse_unknown();
    fields.finish()?;
    Ok(Json(wire_codes(&state.authority.confirm_totp(&by, &signed_in.token, &code).await?)))
}

/// Gives ten new recovery codes; those from before are worth nothing.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/recovery-codes", tag = "auth",
    operation_id = "renewRecoveryCodes", request_body = WireProof,
    responses(
        (status = 200, body = RecoveryCodesBody),
        (status = 403, body = ErrorBody, description = "`WRONG_PASSWORD`, `WRONG_CODE`, or not in a session"),
        (status = 409, body = ErrorBody, description = "`SECOND_FACTOR_MISSING`"),
        (status = 429, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn renew_codes(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    InSession(by): InSession<Account>,
    JsonFields(fields): JsonFields,
) -> Outcome<Json<RecoveryCodesBody>> {
    Ok(Json(wire_codes(&state.authority.renew_recovery_codes(&by, proof(fields)?, address).await?)))
}

/// Removes the caller's own second factor with its recovery codes.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/remove", tag = "auth",
    operation_id = "removeOwnSecondFactor", request_body = WireProof,
    responses(
        (status = 204),
        (status = 403, body = ErrorBody, description = "`WRONG_PASSWORD`, `WRONG_CODE`, or not in a session"),
        (status = 409, body = ErrorBody, description = "`SECOND_FACTOR_MISSING`"),
        (status = 429, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn remove_own(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    InSession(by): InSession<Account>,
    JsonFields(fields): JsonFields,
) -> Outcome<StatusCode> {
    state.authority.remove_own_second_factor(&by, proof(fields)?, address).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes the second factor of somebody who lost it, and ends their sessions.
#[utoipa::path(post, path = "/api/v1/users/{id}/second-factor/remove", tag = "users",
    operation_id = "removeSecondFactor",
    params(("id" = uuid::Uuid, Path, description = "user id")),
    responses(
        (status = 204),
        (status = 409, body = ErrorBody, description = "`SECOND_FACTOR_MISSING`"),
    ), security(("session" = [])))]
pub(crate) async fn remove(
    State(state): State<ControlPlane>,
    InSession(by): InSession<Own>,
    Segment(id): Segment,
) -> Outcome<StatusCode> {
    state.authority.remove_second_factor(&by, named(&id, "user")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How people sign in.
#[utoipa::path(get, path = "/api/v1/sign-in-settings", tag = "auth", operation_id = "getSignInSettings",
    responses((status = 200, body = SignInSettings)), security(("session" = [])))]
pub(crate) async fn settings(
    State(state): State<ControlPlane>,
    InSession(by): InSession<View>,
) -> Outcome<Json<SignInSettings>> {
    let policy =
        state.authority.second_factor_policy(&by).await.map_err(|error| Failure::internal(&error))?;
    Ok(Json(SignInSettings { second_factor: wire_policy(policy) }))
}

/// Changes how people sign in. Where everybody needs a second factor, those who have none set one up before
/// anything else. Not for whoever is bound to a tenant.
#[utoipa::path(patch, path = "/api/v1/sign-in-settings", tag = "auth", operation_id = "patchSignInSettings",
    request_body = SignInSettings,
    responses((status = 200, body = SignInSettings)), security(("session" = [])))]
pub(crate) async fn change_settings(
    State(state): State<ControlPlane>,
    InSession(by): InSession<Own>,
    JsonFields(fields): JsonFields,
) -> Outcome<Json<SignInSettings>> {
    by.covers_all()?;
    let policy = policy(fields)?;
    state.authority.set_second_factor_policy(&by, policy).await?;
    Ok(Json(SignInSettings { second_factor: wire_policy(policy) }))
}

/// What is wanted of everybody, alone among the fields.
pub(crate) fn policy(mut fields: Fields) -> Outcome<SecondFactorPolicy> {
    let policy = fields.required_parsed("secondFactor");
    fields.refuse_unknown();
    fields.finish()?;
    policy.ok_or_else(|| Failure::invalid_field("secondFactor", "is required"))
}

/// A password and what else somebody shows, alone among the fields.
pub(crate) fn proof(mut fields: Fields) -> Outcome<SecondFactorProof> {
    let password = Zeroizing::new(fields.required_text("password", 1024));
    let shown = factor(&mut fields);
    fields.refuse_unknown();
    fields.finish()?;
    Ok(SecondFactorProof { password, shown })
}

fn wire_passkey(own: OwnPasskey) -> PasskeyBody {
    PasskeyBody { id: own.id, name: own.name, created_at: own.created_at, last_used_at: own.last_used_at }
}

pub(crate) fn wire_codes(codes: &RecoveryCodes) -> RecoveryCodesBody {
    RecoveryCodesBody { recovery_codes: codes.0.iter().map(|code| code.to_string()).collect() }
}

const fn wire_policy(policy: SecondFactorPolicy) -> WirePolicy {
    match policy {
        SecondFactorPolicy::Optional => WirePolicy::Optional,
        SecondFactorPolicy::Required => WirePolicy::Required,
    }
}
