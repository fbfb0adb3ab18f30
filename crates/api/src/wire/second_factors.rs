//! Second factors on the wire.

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
    /// How many recovery codes are left.
    pub recovery_codes_left: u64,
    /// Whether everybody needs one.
    pub policy: SecondFactorPolicy,
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

/// POST `/auth/second-factor/totp`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TotpRequest {
    /// The caller's password.
    #[schema(format = Password, max_length = 1024)]
    pub password: String,
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

/// What is asked for before a second factor changes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorProof {
    /// The caller's password.
    #[schema(format = Password, max_length = 1024)]
    pub password: String,
    /// A one-time code or a recovery code.
    #[schema(max_length = 64)]
    pub code: String,
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
