//! What admins and their scripts hear about copies of the audit.

use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// GET `/audit/streams`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditStreamList {
    /// By name.
    pub streams: Vec<AuditStreamBody>,
}

/// A copy of the audit that is sent elsewhere as it is written.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditStreamBody {
    /// What the configuration calls it.
    pub name: String,
    /// How many entries have not arrived.
    pub behind: u64,
    /// When the first of them was written; null: all have arrived.
    #[schema(value_type = Option<schema::Moment>)]
    pub oldest_at: Option<Timestamp>,
    /// When something arrived last.
    #[schema(value_type = Option<schema::Moment>)]
    pub arrived_at: Option<Timestamp>,
    /// How often what comes next was sent in vain.
    pub attempts: u32,
    /// Since when; null: it was not.
    #[schema(value_type = Option<schema::Moment>)]
    pub failing_since: Option<Timestamp>,
    /// Why it did not arrive the last time.
    pub problem: Option<String>,
}
