//! Second factors on the wire.

use countersign_core::ids::PasskeyId;
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// The caller's own second factor.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecondFactorBody {
    /// Since when the caller signs in with one-time codes; absent when they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schema::Moment)]
    pub totp_since: Option<Timestamp>,
    /// The caller's passkeys, oldest first.
    pub passkeys: Vec<PasskeyBody>,
    /// How many recovery codes are left.
    pub recovery_codes_left: u64,
    /// Whether everybody needs one.
    pub policy: SecondFactorPolicy,
}

/// A passkey of the caller's.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyBody {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: PasskeyId,
    /// What the caller calls it.
    pub name: String,
    /// When it was made.
    #[schema(value_type = schema::Moment)]
    pub created_at: Timestamp,
    /// When it was last shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schema::Moment)]
    pub last_used_at: Option<Timestamp>,
}

/// Whether people need a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecondFactorPolicy {
    /// Whoever set one up.
    Optional,
    /// Everybody who signs in with a password.
    Required,
}

/// A key of one-time codes, to be put into an app; it counts once a code of it was shown, within 15 minutes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TotpPending {
    /// In base32: SHA-1, six digits, 30 seconds.
    #[schema(pattern = "^[A-Z2-7]{32}$")]
    pub key: String,
    /// The same as apps read it from a QR code, `otpauth://totp/…`.
    pub uri: String,
}

/// POST `/auth/second-factor/totp/confirm`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TotpConfirmRequest {
    /// The code that the app shows.
    #[schema(max_length = 64)]
    pub code: String,
}

/// What is asked for before a second factor changes: the password, and of whoever has a second factor a code
/// or a passkey too.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecondFactorProof {
    /// The caller's password.
    #[schema(format = Password, max_length = 1024)]
    pub password: String,
    /// A one-time code or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub code: Option<String>,
    /// Which passkey is shown, as its device calls it, in base64url; then the three that follow are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// `clientDataJSON`, in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_data: Option<String>,
    /// `authenticatorData`, in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator_data: Option<String>,
    /// `signature`, in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// What a browser is asked to sign with a passkey (WebAuthn).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyChallenge {
    /// In base64url.
    pub challenge: String,
    /// The name that passkeys are made for: the console's host.
    pub relying_party: String,
    /// The passkeys that there are, as their devices call them, in base64url.
    pub credentials: Vec<String>,
}

/// What a browser is asked to make a passkey with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyPending {
    /// The challenge; the passkeys in it are not to be made again.
    #[serde(flatten)]
    pub asked: PasskeyChallenge,
    /// The caller's id, in base64url.
    pub user: String,
    /// The caller's e-mail address.
    pub email: String,
}

/// POST `/auth/second-factor/passkeys/confirm`: what the browser gave.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasskeyConfirmRequest {
    /// What the passkey is to be called.
    #[schema(max_length = 64)]
    pub name: String,
    /// `clientDataJSON`, in base64url.
    pub client_data: String,
    /// `getAuthenticatorData()`, in base64url.
    pub authenticator_data: String,
    /// `getPublicKey()`, in base64url: ES256, EdDSA or RS256.
    pub public_key: String,
}

/// Recovery codes, shown this once; each lets its person in once, in the place of a one-time code.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryCodesBody {
    /// Ten of them.
    pub recovery_codes: Vec<String>,
}

/// How people sign in: GET and PATCH `/sign-in-settings`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignInSettings {
    /// Whether people need a second factor.
    pub second_factor: SecondFactorPolicy,
}
