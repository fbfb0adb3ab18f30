//! Provisioning tokens of devices.

use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// Answer to GET `/devices/:id/provisioning-token`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisioningTokenBody {
    /// When it was set; none: there is no token.
    #[schema(value_type = Option<schema::Moment>)]
    pub set_at: Option<Timestamp>,
}

/// PUT `/devices/:id/provisioning-token`.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetProvisioningTokenRequest {
    /// The token that the device has already: 20 to 256 letters, digits and signs of ASCII, as random as a fresh
    /// one. Without it a fresh one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 20, max_length = 256)]
    pub token: Option<String>,
}

impl std::fmt::Debug for SetProvisioningTokenRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetProvisioningTokenRequest").field("token", &"[redacted]").finish()
    }
}

/// Answer to PUT `/devices/:id/provisioning-token`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisioningTokenSet {
    /// The device's password at the token listener of the MQTT door; shown once.
    pub token: String,
    /// When it was set.
    #[schema(value_type = schema::Moment)]
    pub set_at: Timestamp,
}

impl std::fmt::Debug for ProvisioningTokenSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProvisioningTokenSet")
            .field("token", &"[redacted]")
            .field("set_at", &self.set_at)
            .finish()
    }
}
