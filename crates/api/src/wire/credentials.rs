//! What devices say and hear about their bearer tokens and the end of their enrolment.

use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::agent::Proof;
use super::schema;

/// POST `/agents/:agentId/rotate-token` and DELETE `/agents/:agentId`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvedRequest {
    /// A signature by the current key, unless the request comes over the device's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// A new bearer token, to be confirmed with itself.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StagedToken {
    /// The new token, shown once. It opens nothing but `…/rotate-token/confirm` until it is confirmed.
    pub auth_token: String,
    /// By when; the old token stays good when it is not.
    #[schema(value_type = schema::Moment)]
    pub confirm_before: Timestamp,
}

impl std::fmt::Debug for StagedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StagedToken")
            .field("auth_token", &"[redacted]")
            .field("confirm_before", &self.confirm_before)
            .finish()
    }
}

/// POST `/devices/:id/rotate-token`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateTokenRequest {
    /// Whether the present token is revoked at once, instead of being replaced by the device; the
    /// device then comes back with an enrolment key made for it.
    #[serde(default)]
    pub revoke: bool,
}
