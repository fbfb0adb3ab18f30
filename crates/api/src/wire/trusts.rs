//! What admins and their scripts say and hear about CAs of somebody else's that doors trust.

use countersign_core::ids::{SpkiSha256, TrustName};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::AppliedEdges;
use super::schema;

/// POST `/trusts`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddTrustRequest {
    /// What routes call them: `trust:<name>`.
    #[schema(value_type = schema::TrustName)]
    pub name: TrustName,
    /// The certificates of their CAs, PEM, at most 16. A path may end at each of them.
    pub certificates: String,
}

/// GET `/trusts`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TrustsBody {
    /// By name.
    pub trusts: Vec<TrustBody>,
}

/// CAs of somebody else's.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustBody {
    /// What routes call them.
    #[schema(value_type = schema::TrustName)]
    pub name: TrustName,
    /// Since when they are trusted.
    #[schema(value_type = schema::Moment)]
    pub added_at: Timestamp,
    /// Each.
    pub cas: Vec<TrustedCaBody>,
}

/// A CA of somebody else's.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustedCaBody {
    /// Its subject.
    pub subject: String,
    /// First valid moment.
    #[schema(value_type = schema::Moment)]
    pub not_before: Timestamp,
    /// Last valid moment.
    #[schema(value_type = schema::Moment)]
    pub not_after: Timestamp,
    /// SHA-256 of its key.
    #[schema(value_type = schema::Sha256)]
    pub spki_sha256: SpkiSha256,
}

/// They were added.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustAdded {
    /// They.
    #[serde(flatten)]
    pub trust: TrustBody,
    /// How far it has come.
    pub applied_edges: AppliedEdges,
}

/// They were removed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustRemoved {
    /// What they were called.
    #[schema(value_type = schema::TrustName)]
    pub name: TrustName,
    /// How far it has come.
    pub applied_edges: AppliedEdges,
}
