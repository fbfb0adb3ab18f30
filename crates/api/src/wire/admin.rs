//! What admins and their scripts say and hear.

use std::collections::BTreeMap;

use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{
    AgentId, CertificateId, DeviceId, DeviceName, EnrollmentKeyId, SerialNumber, SpkiSha256, Tenant,
    TenantId, UserId,
};
use countersign_core::settings::{Enforcement, ExpiredCertPolicy};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::agent_settings::TrustBundleBody;
use super::schema;

/// POST `/setup`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupRequest {
    /// The setup token from the start-up text or `<data-dir>/setup-token`.
    pub token: String,
    /// The owner's e-mail address.
    #[schema(format = Email, max_length = 254)]
    pub email: String,
    /// 12 to 1,024 characters.
    #[schema(format = Password, min_length = 12, max_length = 1024)]
    pub password: String,
}

/// The owner was made and is signed in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SetupResponse {
    /// A session token.
    pub token: String,
    /// The owner.
    pub user: User,
}

/// A person who may sign in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: UserId,
    /// E-mail address.
    #[schema(format = Email)]
    pub email: String,
    /// `owner`, `admin`, `operator` or `viewer`.
    #[schema(value_type = schema::Role)]
    pub role: String,
    /// The only tenant this person sees; null: all.
    #[serde(default)]
    #[schema(value_type = Option<schema::TenantSlug>)]
    pub tenant: Option<Tenant>,
}

/// POST `/auth/login`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// E-mail address.
    #[schema(format = Email, max_length = 254)]
    pub email: String,
    /// Password.
    #[schema(format = Password, max_length = 1024)]
    pub password: String,
    /// A one-time code or a recovery code, for whoever has a second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub code: Option<String>,
}

/// A session.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginResponse {
    /// The bearer token.
    pub token: String,
    /// Until when.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
}

/// POST `/tenants`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenantRequest {
    /// The slug.
    #[schema(value_type = schema::TenantSlug)]
    pub slug: String,
    /// The name for people.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
}

/// A tenant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantBody {
    /// Id, the seeds' `orgId`.
    #[schema(value_type = uuid::Uuid)]
    pub id: TenantId,
    /// The slug.
    #[schema(value_type = schema::TenantSlug)]
    pub slug: Tenant,
    /// The name for people.
    pub name: String,
    /// Since when its devices are served nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schema::Moment)]
    pub suspended_at: Option<Timestamp>,
}

/// Every tenant that the caller may see.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TenantList {
    /// The tenants.
    pub tenants: Vec<TenantBody>,
}

/// POST `/enrollment-keys`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CreateEnrollmentKeyRequest {
    /// Slug or id. When absent: that of `deviceId`, or the one that the caller is bound to, or
    /// `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// `default` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// How many devices may use it; 1 when absent.
    #[schema(minimum = 1, maximum = 1_000_000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<i64>,
    /// How long it works, at most a year; 60 when absent.
    #[schema(minimum = 1, maximum = 525_600)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_minutes: Option<i64>,
    /// Whether its devices start quarantined until approved; false when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<bool>,
    /// What its devices may be called, `*` for any run of characters.
    #[schema(min_length = 1, max_length = 128)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_name_pattern: Option<String>,
    /// The one existing device that may enrol again with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub device_id: Option<String>,
    /// From which networks it works (CIDR); anywhere when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 32)]
    pub networks: Option<Vec<String>>,
    /// The hash of the one public key that may enrol with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Sha256>)]
    pub spki_sha256: Option<String>,
}

/// A new enrolment key; the key itself is shown this once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrollmentKeyCreated {
    /// The record's id.
    #[schema(value_type = uuid::Uuid)]
    pub id: EnrollmentKeyId,
    /// The key.
    pub key: String,
    /// Until when.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
    /// The command that enrols a device with it.
    pub command: String,
}

/// An enrolment key's record.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrollmentKeyBody {
    /// The record's id.
    #[schema(value_type = uuid::Uuid)]
    pub id: EnrollmentKeyId,
    /// How many devices may use it.
    pub max_uses: u32,
    /// How many have.
    pub uses: u32,
    /// Until when.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
    /// Whether its devices start quarantined.
    pub require_approval: bool,
    /// The one existing device that may enrol again with it.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub device_id: Option<DeviceId>,
    /// Since when it does not work any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schema::Moment)]
    pub revoked_at: Option<Timestamp>,
}

/// The enrolment keys of a tenant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrollmentKeyList {
    /// Newest first.
    pub enrollment_keys: Vec<EnrollmentKeyBody>,
}

/// A device.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceBody {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: DeviceId,
    /// Its name in agent URLs.
    #[schema(value_type = schema::AgentId)]
    pub agent_id: AgentId,
    /// Its name.
    #[schema(value_type = schema::DeviceName)]
    pub name: DeviceName,
    /// Its tenant's slug.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// Its site.
    pub site: String,
    /// What the machine calls itself.
    pub hostname: String,
    /// `windows`, `macos` or `linux`.
    #[schema(value_type = schema::OsType)]
    pub os_type: String,
    /// Where it stands.
    #[schema(value_type = schema::DeviceStatus)]
    pub status: DeviceStatus,
    /// The last heartbeat.
    #[schema(value_type = Option<schema::Moment>)]
    pub last_seen_at: Option<Timestamp>,
    /// Since when it is quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Moment>)]
    pub quarantined_at: Option<Timestamp>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined_reason: Option<String>,
    /// The newest certificate.
    pub certificate: Option<CertificateSummary>,
    /// Which CA certificates its agent trusts; null: it has not said so.
    #[serde(default)]
    pub trust_bundle: Option<TrustBundleBody>,
}

/// The certificate of a device in brief.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSummary {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: CertificateId,
    /// Serial number, lower-case hex.
    #[schema(value_type = schema::SerialNumber)]
    pub serial_number: SerialNumber,
    /// When it was issued.
    #[schema(value_type = schema::Moment)]
    pub issued_at: Timestamp,
    /// Its end.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
    /// Where it stands.
    #[schema(value_type = schema::CertificateState)]
    pub state: CertificateState,
}

/// One page of devices.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceList {
    /// The devices.
    pub devices: Vec<DeviceBody>,
    /// What to pass as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// GET `/agents/quarantined`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct QuarantinedList {
    /// Newest first.
    pub devices: Vec<QuarantinedDevice>,
}

/// A device that waits for a decision, as the seed shows it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuarantinedDevice {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: DeviceId,
    /// Its name in agent URLs.
    #[schema(value_type = schema::AgentId)]
    pub agent_id: AgentId,
    /// What the machine calls itself.
    pub hostname: String,
    /// `windows`, `macos` or `linux`.
    #[schema(value_type = schema::OsType)]
    pub os_type: String,
    /// Since when.
    #[schema(value_type = schema::Moment)]
    pub quarantined_at: Timestamp,
    /// Why.
    pub quarantined_reason: String,
}

/// A certificate's record.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateBody {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: CertificateId,
    /// Whose.
    #[schema(value_type = uuid::Uuid)]
    pub device_id: DeviceId,
    /// The device's name, as the certificate has it.
    #[schema(value_type = schema::DeviceName)]
    pub device_name: DeviceName,
    /// The tenant's slug, as the certificate has it.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// Serial number, lower-case hex.
    #[schema(value_type = schema::SerialNumber)]
    pub serial_number: SerialNumber,
    /// Where it stands.
    #[schema(value_type = schema::CertificateState)]
    pub state: CertificateState,
    /// When it was issued.
    #[schema(value_type = schema::Moment)]
    pub issued_at: Timestamp,
    /// Its end.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
    /// When it was revoked.
    #[schema(value_type = Option<schema::Moment>)]
    pub revoked_at: Option<Timestamp>,
    /// Why it was revoked.
    #[schema(value_type = Option<schema::RevocationReason>)]
    pub reason: Option<RevocationReason>,
    /// SHA-256 of its public key.
    #[schema(value_type = schema::Sha256)]
    pub spki_sha256: SpkiSha256,
}

/// Certificates, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateList {
    /// The certificates.
    pub certificates: Vec<CertificateBody>,
    /// What to pass as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// One certificate with its PEM.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CertificateDetail {
    /// The record.
    #[serde(flatten)]
    pub record: CertificateBody,
    /// The certificate, PEM.
    pub pem: String,
}

/// POST `/certificates/:id/revoke`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// RFC 5280's spelling; `unspecified` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::RevocationReason>)]
    pub reason: Option<String>,
}

/// How far a change of trust has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppliedEdges {
    /// Edges that have applied it.
    pub applied: u32,
    /// Edges attached.
    pub total: u32,
}

/// A certificate was revoked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokeResponse {
    /// Which.
    #[schema(value_type = uuid::Uuid)]
    pub id: CertificateId,
    /// `revoked`.
    #[schema(value_type = schema::CertificateState)]
    pub state: CertificateState,
    /// When.
    #[schema(value_type = schema::Moment)]
    pub revoked_at: Timestamp,
    /// How far it has come.
    pub applied_edges: AppliedEdges,
}

/// A decision about a device was carried out.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// Always true.
    pub success: bool,
    /// How far it has come.
    pub applied_edges: AppliedEdges,
}

/// POST `/devices/:id/quarantine`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuarantineRequest {
    /// Why, for people.
    #[schema(min_length = 1, max_length = 255)]
    pub reason: String,
}

/// PATCH `/devices/:id`; what is absent stays, and something must be there.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DevicePatch {
    /// Slug or id of the site of its tenant where the device goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Whether the device is set aside: heartbeats do not change its status meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<bool>,
}

/// A tenant's certificate settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MtlsSettingsBody {
    /// How long a device certificate lives.
    #[schema(minimum = 1, maximum = 365)]
    pub cert_lifetime_days: u16,
    /// What happens to an expired one.
    #[schema(value_type = schema::ExpiredCertPolicy)]
    pub expired_cert_policy: ExpiredCertPolicy,
    /// Whether one is needed.
    #[schema(value_type = schema::Enforcement)]
    pub enforcement: Enforcement,
    /// Whether the server may make device keys.
    pub allow_server_generated_keys: bool,
    /// Whether renewal by bearer token alone is accepted.
    pub allow_bearer_only_renewal: bool,
    /// How long sessions of a superseded certificate may go on.
    #[schema(maximum = 720)]
    pub renewal_overlap_hours: u16,
    /// How long after its end an expired certificate may be renewed under `auto_reissue`.
    #[schema(minimum = 1, maximum = 365)]
    pub recovery_window_days: u16,
}

/// PATCH of a tenant's settings: a field that is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MtlsSettingsPatch {
    /// How long a device certificate lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 365)]
    pub cert_lifetime_days: Option<u16>,
    /// What happens to an expired one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ExpiredCertPolicy>)]
    pub expired_cert_policy: Option<ExpiredCertPolicy>,
    /// Whether one is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Enforcement>)]
    pub enforcement: Option<Enforcement>,
    /// Whether the server may make device keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_server_generated_keys: Option<bool>,
    /// Whether renewal by bearer token alone is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_bearer_only_renewal: Option<bool>,
    /// How long sessions of a superseded certificate may go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 720)]
    pub renewal_overlap_hours: Option<u16>,
    /// How long after its end an expired certificate may be renewed; null: as long as one lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 365)]
    pub recovery_window_days: Option<Option<u16>>,
}

/// One audit entry.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntryBody {
    /// The tenant's slug; empty for the platform's own chain.
    pub chain: String,
    /// Its number in the chain.
    pub sequence: u64,
    /// When.
    #[schema(value_type = schema::Moment)]
    pub at: Timestamp,
    /// What.
    pub event: String,
    /// Who.
    pub actor: String,
    /// About which device.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub device_id: Option<DeviceId>,
    /// About which certificate.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub certificate_id: Option<CertificateId>,
    /// Further facts.
    pub details: BTreeMap<String, String>,
    /// The chain's hash after it, hex.
    pub hash: String,
}

/// One page of the audit, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditList {
    /// The entries.
    pub entries: Vec<AuditEntryBody>,
    /// What to pass as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// GET `/health`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `healthy`.
    pub status: String,
    /// `countersign`.
    pub service: String,
    /// The program's version.
    pub version: String,
    /// What somebody must see to before long, a sentence each; `/health/ready` alone says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Health {
    /// That of a process of this version that does its work, with what somebody must see to before long.
    #[must_use]
    pub fn healthy(warnings: Vec<String>) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { status: "healthy".to_owned(), service: "countersign".to_owned(), version, warnings }
    }
}
