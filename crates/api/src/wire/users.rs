//! People and their passwords on the wire.

use countersign_core::ids::{Tenant, UserId};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// POST `/users`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUserRequest {
    /// E-mail address.
    #[schema(format = Email, max_length = 254)]
    pub email: String,
    /// What they may do; at most the caller's own role.
    #[schema(value_type = schema::Role)]
    pub role: String,
    /// Slug or id of the only tenant they see; what the caller sees when absent. An owner has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// 12 to 1,024 characters. When absent, the answer has a one-time token with which they set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password, min_length = 12, max_length = 1024)]
    pub password: Option<String>,
}

/// PATCH `/users/:id`; what is absent stays. Every change ends the person's sessions and revokes their
/// API tokens.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UserPatch {
    /// What they may do; at most the caller's own role.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Role>)]
    pub role: Option<String>,
    /// Slug or id of the only tenant they see; null: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tenant: Option<Option<String>>,
    /// Whether they may not sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// A person as those see them who manage them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserBody {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: UserId,
    /// E-mail address.
    #[schema(format = Email)]
    pub email: String,
    /// What they may do.
    #[schema(value_type = schema::Role)]
    pub role: String,
    /// The only tenant they see; null: all.
    #[schema(value_type = Option<schema::TenantSlug>)]
    pub tenant: Option<Tenant>,
    /// Whether they were invited and have set no password yet.
    pub invited: bool,
    /// Whether they sign in at the identity provider, and have no password here.
    #[serde(default)]
    pub at_provider: bool,
    /// Whether they sign in with a second factor.
    pub second_factor: bool,
    /// When the account was made.
    #[schema(value_type = schema::Moment)]
    pub created_at: Timestamp,
    /// Since when they may not sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schema::Moment)]
    pub disabled_at: Option<Timestamp>,
}

/// Somebody was let in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserCreated {
    /// Who.
    #[serde(flatten)]
    pub user: UserBody,
    /// With what they set their password; absent when they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = PasswordTokenBody)]
    pub invitation: Option<PasswordTokenBody>,
}

/// The people that the caller manages.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UserList {
    /// By e-mail address; at most 1,000.
    pub users: Vec<UserBody>,
}

/// A one-time token to set a password with, shown this once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordTokenBody {
    /// The token: `csp_` and 64 hex digits; for POST `/auth/set-password`.
    #[schema(pattern = "^csp_[0-9a-f]{64}$")]
    pub token: String,
    /// Until when it works.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
}

/// POST `/auth/set-password`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPasswordRequest {
    /// The one-time token.
    pub token: String,
    /// 12 to 1,024 characters.
    #[schema(format = Password, min_length = 12, max_length = 1024)]
    pub password: String,
}

/// POST `/auth/password`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePasswordRequest {
    /// The one that works now.
    #[schema(format = Password, max_length = 1024)]
    pub current_password: String,
    /// 12 to 1,024 characters.
    #[schema(format = Password, min_length = 12, max_length = 1024)]
    pub new_password: String,
}
