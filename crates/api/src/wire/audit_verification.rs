//! What admins and their scripts hear about the chains of the audit.

use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// GET `/audit/verification`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditVerification {
    /// When this server last recomputed the chains; null: not since it was started.
    pub last_run: Option<AuditVerificationRun>,
    /// The newest anchor; null: there is none yet.
    pub last_anchor: Option<AuditVerificationAnchor>,
    /// Where old entries were last removed; null: none ever were.
    pub last_cut: Option<AuditVerificationCut>,
}

/// What recomputing the chains showed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditVerificationRun {
    /// When.
    #[schema(value_type = schema::Moment)]
    pub at: Timestamp,
    /// How many anchors they were held against.
    pub anchors: u64,
    /// Whether everything is as it was written.
    pub intact: bool,
    /// What is not; null: nothing.
    pub problem: Option<String>,
}

/// An anchor.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditVerificationAnchor {
    /// Its number.
    pub number: u64,
    /// When it was signed.
    #[schema(value_type = schema::Moment)]
    pub at: Timestamp,
}

/// An end of what was removed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditVerificationCut {
    /// The anchor that vouches for it.
    pub anchor: u64,
    /// When it was removed.
    #[schema(value_type = schema::Moment)]
    pub at: Timestamp,
}
