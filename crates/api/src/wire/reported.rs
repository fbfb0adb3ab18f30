//! Accesses to data that others report (seed 003), in the seed's spelling.

use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// POST `/api/audit`: what the caller says happened.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessReportRequest {
    /// When, by the caller's clock.
    #[schema(value_type = schema::Moment)]
    pub timestamp: Timestamp,
    /// What was done.
    #[schema(min_length = 1, max_length = 200)]
    pub action: String,
    /// With what kind of data.
    #[schema(min_length = 1, max_length = 200)]
    pub data_type: String,
    /// By whom, as the caller calls them.
    #[schema(min_length = 1, max_length = 200)]
    pub user_id: String,
    /// Whether they used a certificate, as the caller says.
    pub certificate_used: bool,
    /// Further facts: an object, at most 8 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_data: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The report is on record.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AccessReportResponse {
    /// Always true.
    pub success: bool,
    /// A sentence.
    pub message: String,
}

/// A report on record: the word of `reportedBy`, and nothing that this platform saw itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportedAccess {
    /// When it was recorded, by this platform's clock.
    #[schema(value_type = schema::Moment)]
    pub recorded_at: Timestamp,
    /// Who proved to be the one who reported it.
    pub reported_by: String,
    /// When it happened, as they say.
    pub timestamp: String,
    /// What was done, as they say.
    pub action: String,
    /// With what kind of data, as they say.
    pub data_type: String,
    /// By whom, as they say.
    pub user_id: String,
    /// Whether with a certificate, as they say.
    pub certificate_used: bool,
    /// Further facts, as they say.
    #[schema(value_type = Option<Object>)]
    pub additional_data: Option<serde_json::Value>,
}
