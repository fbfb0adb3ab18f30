//! API tokens on the wire.

use countersign_core::ids::{ApiTokenId, Tenant, UserId};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// POST `/api-tokens`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CreateApiTokenRequest {
    /// What it is called.
    #[schema(min_length = 1, max_length = 255, required = true)]
    pub name: String,
    /// The role it acts with, at most the caller's; the caller's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Role>)]
    pub role: Option<String>,
    /// Slug or id of the only tenant it sees; whatever the caller sees when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What it may be used for; everything that its role allows when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<schema::Scope>>, min_items = 1)]
    pub scopes: Option<Vec<String>>,
    /// How long it works, at most two years; 90 when absent.
    #[schema(minimum = 1, maximum = 730)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_days: Option<i64>,
}

/// A new API token; the token itself is shown this once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApiTokenCreated {
    /// The record.
    #[serde(flatten)]
    pub record: ApiTokenBody,
    /// The token: `cst_` and 64 hex digits.
    #[schema(pattern = "^cst_[0-9a-f]{64}$")]
    pub token: String,
}

/// An API token's record.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiTokenBody {
    /// The record's id.
    #[schema(value_type = uuid::Uuid)]
    pub id: ApiTokenId,
    /// What it is called.
    pub name: String,
    /// Who made it, and in whose name it acts.
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    /// That person's e-mail address.
    #[schema(format = Email)]
    pub user_email: String,
    /// The highest role it acts with.
    #[schema(value_type = schema::Role)]
    pub role: String,
    /// The only tenant it sees; null: whatever its person sees.
    #[schema(value_type = Option<schema::TenantSlug>)]
    pub tenant: Option<Tenant>,
    /// What it may be used for; null: everything that its role allows.
    #[schema(value_type = Option<Vec<schema::Scope>>)]
    pub scopes: Option<Vec<String>>,
    /// When it was made.
    #[schema(value_type = schema::Moment)]
    pub created_at: Timestamp,
    /// Until when it works.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
    /// When it was last used, to the minute; null: never.
    #[schema(value_type = Option<schema::Moment>)]
    pub last_used_at: Option<Timestamp>,
    /// Since when it does not work any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schema::Moment)]
    pub revoked_at: Option<Timestamp>,
}

/// The API tokens that the caller may revoke.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiTokenList {
    /// Newest first.
    pub api_tokens: Vec<ApiTokenBody>,
}
