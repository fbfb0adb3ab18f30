//! What admins and their scripts say and hear about alerts.

use countersign_core::ids::{AlertId, SilenceId, Tenant};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// GET `/alerts`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AlertList {
    /// Latest first.
    pub alerts: Vec<AlertBody>,
}

/// An alert.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertBody {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: AlertId,
    /// What kind of cause.
    #[schema(value_type = schema::AlertKind)]
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// Whose; null: the whole installation's.
    #[schema(value_type = Option<schema::TenantSlug>)]
    pub tenant: Option<Tenant>,
    /// How grave it is.
    #[schema(value_type = schema::Severity)]
    pub severity: String,
    /// A sentence for people.
    pub summary: String,
    /// Since when.
    #[schema(value_type = schema::Moment)]
    pub opened_at: Timestamp,
    /// When the cause was last seen to begin or to change.
    #[schema(value_type = schema::Moment)]
    pub seen_at: Timestamp,
    /// Since when the cause is gone.
    #[schema(value_type = Option<schema::Moment>)]
    pub resolved_at: Option<Timestamp>,
    /// When somebody said that they see to it.
    #[schema(value_type = Option<schema::Moment>)]
    pub acknowledged_at: Option<Timestamp>,
    /// Who did.
    pub acknowledged_by: Option<String>,
}

/// GET `/alert-silences`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SilenceList {
    /// Those that have not ended, the first to end first.
    pub silences: Vec<SilenceBody>,
}

/// A window in which nobody is told.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SilenceBody {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: SilenceId,
    /// Of this kind alone; null: of any.
    #[schema(value_type = Option<schema::AlertKind>)]
    pub kind: Option<String>,
    /// About this alone; null: about anything.
    pub subject: Option<String>,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub created_by: String,
    /// Since when.
    #[schema(value_type = schema::Moment)]
    pub created_at: Timestamp,
    /// Until when.
    #[schema(value_type = schema::Moment)]
    pub ends_at: Timestamp,
}

/// POST `/alert-silences`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateSilenceRequest {
    /// Of this kind alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::AlertKind>)]
    pub kind: Option<String>,
    /// About this alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub subject: Option<String>,
    /// Why, for people.
    #[schema(min_length = 1, max_length = 255)]
    pub reason: String,
    /// For how long: at most 30 days.
    #[schema(minimum = 1, maximum = 43_200)]
    pub minutes: u32,
}
