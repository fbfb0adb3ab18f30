//! How a tenant's agents are to behave, and what they say they go by.

use countersign_core::ids::TrustBundleHash;
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// How agents are to behave: a tenant's settings, and what agents are told of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentSettingsBody {
    /// Seconds between heartbeats.
    #[schema(minimum = 10, maximum = 3600)]
    pub heartbeat_interval_seconds: u16,
    /// Seconds between metrics.
    #[schema(minimum = 5, maximum = 3600)]
    pub metrics_collection_interval_seconds: u16,
    /// Grows with each change; an agent sends it back in its heartbeats.
    #[schema(minimum = 1)]
    pub version: u64,
}

/// PATCH of a tenant's settings for its agents: a field that is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentSettingsPatch {
    /// Seconds between heartbeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 10, maximum = 3600)]
    pub heartbeat_interval_seconds: Option<u16>,
    /// Seconds between metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 5, maximum = 3600)]
    pub metrics_collection_interval_seconds: Option<u16>,
}

/// Which CA certificates a device's agent trusts, by its own word.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustBundleBody {
    /// Their hash.
    #[schema(value_type = schema::Sha256)]
    pub sha256: TrustBundleHash,
    /// Whether they are those that agents get now.
    pub current: bool,
    /// When the agent first said so.
    #[schema(value_type = schema::Moment)]
    pub reported_at: Timestamp,
}
