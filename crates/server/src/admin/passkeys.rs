//! One's own passkeys: POST `/auth/second-factor/passkeys`, `…/passkeys/confirm`, `…/passkeys/challenge` and
//! `…/passkeys/:id/remove`. What they take and give is what browsers give and take (WebAuthn), octets in base64url.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_api::ErrorBody;
use countersign_api::wire::second_factors::{
    PasskeyChallenge, PasskeyConfirmRequest, PasskeyPending, RecoveryCodesBody,
    SecondFactorProof as WireProof,
};
use countersign_authority::Account;
use countersign_authority::passkeys::{MadePasskey, PasskeyAsked, PasskeyWanted, ShownPasskey};
use countersign_authority::second_factor::ShownFactor;
use http::StatusCode;
use zeroize::Zeroizing;

use super::second_factor::{CODE_LIMIT, proof, wire_codes};
use crate::failure::Outcome;
use crate::fields::Fields;
use crate::request::{ClientAddress, InSession, JsonFields, Segment, SignedIn, named};
use crate::state::ControlPlane;

/// The longest name of a passkey.
pub(crate) const NAME_LIMIT: usize = 64;

/// The longest thing that a browser gives, in base64url.
const ANSWER_LIMIT: usize = 16 << 10;

/// Begins to make a passkey, for whoever shows what they have. A browser at the console's place makes it, within
/// 15 minutes.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/passkeys", tag = "auth", operation_id = "beginPasskey",
    request_body = WireProof,
    responses(
        (status = 201, body = PasskeyPending),
        (status = 403, body = ErrorBody, description = "`WRONG_PASSWORD`, `WRONG_CODE`, or not in a session"),
        (status = 429, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn begin(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    InSession(by): InSession<Account>,
    JsonFields(fields): JsonFields,
) -> Outcome<(StatusCode, Json<PasskeyPending>)> {
    let wanted = state.authority.begin_passkey(&by, proof(fields)?, address).await?;
    Ok((StatusCode::CREATED, Json(wire_pending(&wanted))))
}

/// Lets a passkey count that a browser has made. The first second factor comes with ten recovery codes, and the
/// caller's other sessions end.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/passkeys/confirm", tag = "auth",
    operation_id = "confirmPasskey", request_body = PasskeyConfirmRequest,
    responses(
        (status = 200, body = RecoveryCodesBody, description = "None where there was a second factor already"),
        (status = 403, body = ErrorBody, description = "`PASSKEY_REFUSED`, or not in a session"),
    ), security(("session" = [])))]
pub(crate) async fn confirm(
    State(state): State<ControlPlane>,
    signed_in: SignedIn,
    JsonFields(fields): JsonFields,
) -> Outcome<Json<RecoveryCodesBody>> {
    let by = signed_in.caller.authorize::<Account>()?;
    let (name, made) = made(fields)?;
    let codes = state.authority.confirm_passkey(&by, &signed_in.token, name, &made).await?;
    let none = RecoveryCodesBody { recovery_codes: Vec::new() };
    Ok(Json(codes.as_ref().map_or(none, wire_codes)))
}

/// Asks the caller's browser to show a passkey, in the place of a code, before something about the second factor
/// changes. Only the last challenge is good, once and for 15 minutes.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/passkeys/challenge", tag = "auth",
    operation_id = "askForPasskey",
    responses(
        (status = 200, body = PasskeyChallenge),
        (status = 409, body = ErrorBody, description = "`SECOND_FACTOR_MISSING`: there is no passkey"),
    ), security(("session" = [])))]
pub(crate) async fn ask(
    State(state): State<ControlPlane>,
    InSession(by): InSession<Account>,
) -> Outcome<Json<PasskeyChallenge>> {
    Ok(Json(wire_asked(&state.authority.ask_for_passkey(&by).await?)))
}

/// Removes one of the caller's passkeys; with the last second factor the recovery codes go too.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/passkeys/{id}/remove", tag = "auth",
    operation_id = "removePasskey", params(("id" = uuid::Uuid, Path, description = "passkey id")),
    request_body = WireProof,
    responses(
        (status = 204),
        (status = 403, body = ErrorBody, description = "`WRONG_PASSWORD`, `WRONG_CODE`, or not in a session"),
        (status = 409, body = ErrorBody, description = "`SECOND_FACTOR_MISSING`: there is no such passkey"),
        (status = 429, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn remove(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    InSession(by): InSession<Account>,
    Segment(id): Segment,
    JsonFields(fields): JsonFields,
) -> Outcome<StatusCode> {
    let proof = proof(fields)?;
    state.authority.remove_passkey(&by, named(&id, "passkey")?, proof, address).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What was made, and what it is to be called, alone among the fields.
pub(crate) fn made(mut fields: Fields) -> Outcome<(String, MadePasskey)> {
    let name = fields.required_text("name", NAME_LIMIT);
    let made = MadePasskey {
        client_data: octets(&mut fields, "clientData"),
        authenticator_data: octets(&mut fields, "authenticatorData"),
        public_key: octets(&mut fields, "publicKey"),
    };
    fields.refuse_unknown();
    fields.finish()?;
    Ok((name, made))
}

/// A passkey that is shown, or a code, if either is.
pub(crate) fn factor(fields: &mut Fields) -> Option<ShownFactor> {
    let code = fields.text("code", CODE_LIMIT).map(Zeroizing::new);
    if !fields.has("credential") {
        return code.map(ShownFactor::Code);
    }
    Some(ShownFactor::Passkey(ShownPasskey {
        credential: octets(fields, "credential"),
        client_data: octets(fields, "clientData"),
        authenticator_data: octets(fields, "authenticatorData"),
        signature: octets(fields, "signature"),
    }))
}

fn octets(fields: &mut Fields, name: &str) -> Vec<u8> {
    let text = fields.required_block(name, ANSWER_LIMIT);
    URL_SAFE_NO_PAD.decode(text).unwrap_or_else(|_unfit| {
        fields.problem(name, "must be octets in base64url");
        Vec::new()
    })
}

/// What a browser is asked, on the wire.
pub(crate) fn wire_asked(asked: &PasskeyAsked) -> PasskeyChallenge {
    PasskeyChallenge {
        challenge: asked.challenge.clone(),
        relying_party: asked.relying_party.clone(),
        credentials: asked.credentials.iter().map(|id| URL_SAFE_NO_PAD.encode(id)).collect(),
    }
}

/// What a browser is to make, on the wire.
pub(crate) fn wire_pending(wanted: &PasskeyWanted) -> PasskeyPending {
    PasskeyPending {
        asked: wire_asked(&wanted.asked),
        user: URL_SAFE_NO_PAD.encode(wanted.user.uuid()),
        email: wanted.email.clone(),
    }
}
