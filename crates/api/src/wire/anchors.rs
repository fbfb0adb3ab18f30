//! Anchors of the audit.

use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// A signed anchor: the file to keep elsewhere. docs/concepts/audit.md says how to check it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnchorFile {
    /// `countersign-audit-anchor-v1`.
    pub format: String,
    /// The text that is signed, byte for byte: its lines say which installation it is, the anchor's
    /// number and time, the hash of the anchor before it, and the end of every chain.
    pub statement: String,
    /// The signature over the statement, base64: ECDSA on P-256 with SHA-256, in DER.
    pub signature: String,
    /// The anchor key's public half, PEM.
    pub public_key: String,
}

/// An anchor in brief.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnchorSummary {
    /// Which one it is, from 1.
    pub number: u64,
    /// When it was made.
    #[schema(value_type = schema::Moment)]
    pub at: Timestamp,
    /// SHA-256 of its statement, which the next anchor names.
    #[schema(value_type = schema::Sha256)]
    pub sha256: String,
    /// SHA-256 of the statement before it; zeros for the first.
    #[schema(value_type = schema::Sha256)]
    pub previous: String,
    /// How many chains it holds.
    pub chains: usize,
    /// How many entries it vouches for.
    pub entries: u64,
    /// SHA-256 of the key that signed it.
    #[schema(value_type = schema::Sha256)]
    pub key_id: String,
}

/// One page of anchors.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnchorList {
    /// Newest first.
    pub anchors: Vec<AnchorSummary>,
    /// What to pass as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}
