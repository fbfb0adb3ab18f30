//! What is said about edges that run elsewhere, and by them when they enrol and renew.

use countersign_core::ids::{EdgeId, EdgeName, Tenant};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::AppliedEdges;
use super::schema;

/// POST `/edges`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateEdgeRequest {
    /// What it is to be called.
    #[schema(value_type = schema::EdgeName)]
    pub name: EdgeName,
    /// Slugs or ids of the tenants that it is told about, and whose devices it serves; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants: Option<Vec<String>>,
    /// Host names and addresses that its doors may have in the certificate that they are given; without any
    /// they are given none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_names: Option<Vec<String>>,
    /// How long its token works: 60 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10080)]
    pub expires_in_minutes: Option<u32>,
}

/// The answer to POST `/edges`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeCreated {
    /// What it enrols with, once; shown this once.
    pub token: String,
    /// When that works no more.
    #[schema(value_type = schema::Moment)]
    pub token_expires_at: Timestamp,
    /// The command that runs it.
    pub command: String,
    /// The edge.
    #[serde(flatten)]
    pub record: EdgeBody,
}

/// An edge.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeBody {
    /// Its record.
    #[schema(value_type = uuid::Uuid)]
    pub id: EdgeId,
    /// What it is called.
    #[schema(value_type = schema::EdgeName)]
    pub name: EdgeName,
    /// The tenants that it is told about; `null`: all.
    #[schema(value_type = Option<Vec<schema::TenantSlug>>)]
    pub tenants: Option<Vec<Tenant>>,
    /// What its doors may be called.
    pub public_names: Vec<String>,
    /// How it is doing: `waiting` for its enrolment, `lapsed` without it, `attached`, `silent` when it is
    /// attached and cannot be reached, `detached`.
    #[schema(value_type = schema::EdgeStatus)]
    pub status: String,
    /// When it was added.
    #[schema(value_type = schema::Moment)]
    pub created_at: Timestamp,
    /// When it enrolled.
    #[schema(value_type = Option<schema::Moment>)]
    pub enrolled_at: Option<Timestamp>,
    /// Since when it counts.
    #[schema(value_type = Option<schema::Moment>)]
    pub attached_at: Option<Timestamp>,
    /// When something was last heard of it.
    #[schema(value_type = Option<schema::Moment>)]
    pub seen_at: Option<Timestamp>,
    /// The epoch that it enforces, as it said last; 0: it has said nothing yet.
    pub applied_epoch: u64,
    /// How busy its doors are, as it said last; absent: it has not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<EdgeLoadBody>,
}

/// How busy an edge's doors are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeLoadBody {
    /// Connections that are open.
    pub connections: u64,
    /// Connections let in in the last minute.
    pub handshakes_per_minute: u64,
    /// HTTP requests answered in the last minute.
    pub requests_per_minute: u64,
    /// When it said so.
    #[schema(value_type = schema::Moment)]
    pub at: Timestamp,
}

/// GET `/edges`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EdgeList {
    /// By name.
    pub edges: Vec<EdgeBody>,
}

/// The answer to DELETE `/edges/:id`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeRevoked {
    /// Which.
    #[schema(value_type = uuid::Uuid)]
    pub id: EdgeId,
    /// When.
    #[schema(value_type = schema::Moment)]
    pub revoked_at: Timestamp,
    /// How many of the other edges have applied that its certificates are revoked.
    pub applied_edges: AppliedEdges,
}

/// POST `/edges/self/enroll`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrollEdgeRequest {
    /// The token that it was added with.
    pub token: String,
    /// A signing request for its own key, PEM; only the key is used.
    pub csr: String,
    /// One for the key of its doors; without it they show a certificate of the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door_csr: Option<String>,
}

impl std::fmt::Debug for EnrollEdgeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrollEdgeRequest").field("token", &"[redacted]").finish_non_exhaustive()
    }
}

/// POST `/edges/self/renew`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenewEdgeRequest {
    /// A signing request for its own key, PEM; only the key is used.
    pub csr: String,
    /// One for the key of its doors; without it they show a certificate of the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door_csr: Option<String>,
}

/// What an edge is given: the answer to both.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeEquipment {
    /// What it is called.
    #[schema(value_type = schema::EdgeName)]
    pub name: EdgeName,
    /// The installation's trust domain.
    pub trust_domain: String,
    /// The tenants that it is told about; `null`: all.
    #[schema(value_type = Option<Vec<schema::TenantSlug>>)]
    pub tenants: Option<Vec<Tenant>>,
    /// Its own certificate.
    pub certificate: EdgeCertificateBody,
    /// That of its doors, if it asked for one.
    pub door: Option<EdgeCertificateBody>,
    /// The root that the authority's doors are trusted by, PEM.
    pub root: String,
    /// The key that signs what it is told: SubjectPublicKeyInfo, DER in standard base64.
    pub snapshot_key: String,
}

/// A certificate with the CAs above it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeCertificateBody {
    /// The certificate, PEM.
    pub pem: String,
    /// The CAs above it, PEM, the root last.
    pub chain: String,
    /// When it was issued.
    #[schema(value_type = schema::Moment)]
    pub issued_at: Timestamp,
    /// When it ends.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
}
