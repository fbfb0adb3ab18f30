//! The body of every refusal and failure.

use std::collections::BTreeMap;

use countersign_core::ids::RequestId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `{"error": "<sentence>", "code": "<STABLE_CODE>", "requestId": "…", …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// A sentence for people.
    pub error: String,
    /// A stable code for programs.
    #[serde(default)]
    #[schema(required = true)]
    pub code: String,
    /// What to quote, and what `countersign explain` takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = uuid::Uuid, required = true)]
    pub request_id: Option<RequestId>,
    /// Each bad field of a request, with what is wrong with it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Why exactly, where a code has several reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The seed's mark of a quarantined device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<bool>,
    /// The state that stands in the way (409).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl ErrorBody {
    /// A body with the two fields that every error has.
    #[must_use]
    pub fn new(code: &str, error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            code: code.to_owned(),
            request_id: None,
            fields: BTreeMap::new(),
            reason: None,
            quarantined: None,
            state: None,
        }
    }
}
