//! The state that a device is to have, and the one it says it has.

use countersign_core::ids::DeviceId;
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::schema;

/// GET and PUT `/devices/:id/shadow`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShadowBody {
    /// Whose.
    #[schema(value_type = uuid::Uuid)]
    pub device_id: DeviceId,
    /// What is wanted; null: nothing was ever.
    pub desired: Option<DesiredBody>,
    /// What the device says; null: nothing yet.
    pub reported: Option<ReportedBody>,
}

/// The state that a device is to have.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DesiredBody {
    /// Counts up with each change.
    pub version: u64,
    /// What is wanted.
    #[schema(value_type = Object)]
    pub state: Value,
    /// Since when.
    #[schema(value_type = schema::Moment)]
    pub at: Timestamp,
}

/// The state that a device says it has.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReportedBody {
    /// The version of the wanted state that it goes by, if it says so.
    pub version: Option<u64>,
    /// In its own words.
    #[schema(value_type = Object)]
    pub state: Value,
    /// When it said so.
    #[schema(value_type = schema::Moment)]
    pub at: Timestamp,
}

/// PUT `/devices/:id/shadow`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DesireRequest {
    /// What is wanted, all of it: at most 16 KiB.
    #[schema(value_type = Object)]
    pub desired: Value,
}
