//! Certificates of services on the wire.

use std::net::IpAddr;

use countersign_core::ids::{CaName, CertificateId, IssuerKeyId, SerialNumber, ServiceLabel, SpkiSha256};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// POST `/service-certificates`. Of the signing request the public key and the proof of possession are
/// used, nothing else.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssueServiceCertificateRequest {
    /// Who is to sign; the active service CA when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::CaName>)]
    pub ca: Option<CaName>,
    /// What it is for.
    #[schema(value_type = schema::ServiceProfile)]
    pub profile: String,
    /// Its subject, as in `CN=web,O=Example`; the first name that fits is its common name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Host names; the leftmost label may be `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(min_items = 1, max_items = 100)]
    pub dns: Vec<String>,
    /// Addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 100)]
    pub ip: Vec<IpAddr>,
    /// URIs; not for a server that is no client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(min_items = 1, max_items = 100)]
    pub uri: Vec<String>,
    /// What people call it; those in use that are called so are superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ServiceLabel>)]
    pub label: Option<ServiceLabel>,
    /// How long it lives, cut at its issuer's end; 365 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 36_500)]
    pub lifetime_days: Option<u32>,
    /// A PKCS #10 signing request, PEM.
    pub csr: String,
}

/// POST `/service-certificates/:id/renew`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenewServiceCertificateRequest {
    /// A PKCS #10 signing request, PEM.
    pub csr: String,
    /// How long it lives; as long as the old one did when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 36_500)]
    pub lifetime_days: Option<u32>,
}

/// POST `/service-certificates/import`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportServiceCertificateRequest {
    /// The certificate, PEM; the CAs above it may follow, each behind what it signed.
    pub certificate: String,
    /// Its private key: PKCS #8 in PEM, without a passphrase. Sealed at once, and never shown again.
    pub key: String,
    /// What people call it; those in use that are called so are superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ServiceLabel>)]
    pub label: Option<ServiceLabel>,
}

/// A service's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceCertificateBody {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: CertificateId,
    /// The CA of ours that signed it; null: another's did.
    #[schema(value_type = Option<schema::CaName>)]
    pub ca: Option<CaName>,
    /// The key that signed it, by its hash; of an imported one whose CA did not come with it the hash of
    /// that CA's name.
    #[schema(value_type = schema::Sha256)]
    pub issuer: IssuerKeyId,
    /// Serial number.
    #[schema(value_type = schema::SerialNumber)]
    pub serial_number: SerialNumber,
    /// What it is for: a service's profile, or `ocsp` of a responder of ours.
    pub profile: String,
    /// `made` here, or `imported`.
    #[schema(value_type = schema::ServiceOrigin)]
    pub origin: String,
    /// What people call it.
    #[schema(value_type = Option<schema::ServiceLabel>)]
    pub label: Option<ServiceLabel>,
    /// Its subject (RFC 4514).
    pub subject: String,
    /// Its host names.
    pub dns: Vec<String>,
    /// Its addresses.
    #[schema(value_type = Vec<String>)]
    pub ip: Vec<IpAddr>,
    /// Its URIs.
    pub uri: Vec<String>,
    /// Where it stands; that it has ended its dates say.
    #[schema(value_type = schema::ServiceState)]
    pub state: String,
    /// Where its private key is.
    #[schema(value_type = schema::ServiceKey)]
    pub key: String,
    /// From when it counts.
    #[schema(value_type = schema::Moment)]
    pub issued_at: Timestamp,
    /// Until when.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
    /// When it was revoked.
    #[schema(value_type = Option<schema::Moment>)]
    pub revoked_at: Option<Timestamp>,
    /// Why.
    #[schema(value_type = Option<schema::RevocationReason>)]
    pub reason: Option<String>,
    /// The hash of its public key.
    #[schema(value_type = schema::Sha256)]
    pub spki_sha256: SpkiSha256,
}

/// A service's certificate, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceCertificateDetail {
    /// What is on record of it.
    #[serde(flatten)]
    pub record: ServiceCertificateBody,
    /// The certificate, PEM.
    pub pem: String,
    /// The CAs above it, PEM, its issuer first and the root last, as far as they are known.
    pub chain: String,
}

/// One page of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceCertificateList {
    /// Newest first.
    pub certificates: Vec<ServiceCertificateBody>,
    /// What to pass as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// A service's certificate was revoked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceCertificateRevoked {
    /// Which.
    #[schema(value_type = uuid::Uuid)]
    pub id: CertificateId,
    /// `revoked`.
    #[schema(value_type = schema::ServiceState)]
    pub state: String,
    /// When.
    #[schema(value_type = schema::Moment)]
    pub revoked_at: Timestamp,
    /// How far it has come.
    pub applied_edges: super::admin::AppliedEdges,
}

/// What was imported was removed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceCertificateRemoved {
    /// Which.
    #[schema(value_type = uuid::Uuid)]
    pub id: CertificateId,
    /// What is left of it: `nothing`, or its `record` without the key, because it was issued here.
    #[schema(value_type = schema::LeftOfService)]
    pub left: String,
}
