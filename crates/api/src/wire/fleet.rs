//! What admins and their scripts say and hear about many devices at once: bulk decisions, denied keys,
//! and the rollout of `enforce`.

use std::collections::BTreeMap;

use countersign_core::ids::{CertificateId, DeviceId, DeviceName, SelectionId, SpkiSha256, Tenant, TenantId};
use countersign_core::settings::Enforcement;
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::{AppliedEdges, CertificateBody};
use super::schema;

/// POST `/agents/approve`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApproveManyRequest {
    /// The devices, each by its id.
    #[schema(value_type = Vec<uuid::Uuid>, min_items = 1, max_items = 1000)]
    pub device_ids: Vec<DeviceId>,
}

/// What became of each device.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApproveManyResponse {
    /// How many are approved now.
    pub approved: u64,
    /// Each of the request's ids, in its order.
    pub outcomes: Vec<ApprovalOutcome>,
    /// How far it has come.
    pub applied_edges: AppliedEdges,
}

/// What became of a device.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalOutcome {
    /// Which.
    #[schema(value_type = uuid::Uuid)]
    pub id: DeviceId,
    /// `approved`; `conflict`: its `state` does not allow it; `not_found`; `forbidden`: another tenant's.
    #[schema(value_type = schema::ApprovalFate)]
    pub outcome: String,
    /// Where the device stands, if that is what stood in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schema::DeviceStatus)]
    pub state: Option<String>,
}

/// POST `/certificates/revoke`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeManyRequest {
    /// The certificates, each by its id.
    #[schema(value_type = Vec<uuid::Uuid>, min_items = 1, max_items = 10_000)]
    pub certificate_ids: Vec<CertificateId>,
    /// Why; `unspecified` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::RevocationReason>)]
    pub reason: Option<String>,
}

/// What became of each certificate.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokeManyResponse {
    /// How many certificates are revoked now: those of the request, and what fell with them.
    pub revoked: u64,
    /// How many devices were left with nothing usable, and are in quarantine.
    pub quarantined_devices: u64,
    /// Each of the request's ids, in its order.
    pub outcomes: Vec<RevocationOutcome>,
    /// When.
    #[schema(value_type = schema::Moment)]
    pub revoked_at: Timestamp,
    /// How far it has come.
    pub applied_edges: AppliedEdges,
}

/// What became of a certificate.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevocationOutcome {
    /// Which.
    #[schema(value_type = uuid::Uuid)]
    pub id: CertificateId,
    /// `revoked`, `already_revoked`, `expired`, `not_found`, or `forbidden`: another tenant's.
    #[schema(value_type = schema::RevocationFate)]
    pub outcome: String,
}

/// POST `/certificates/revoke/preview`: exactly one of the ways to select.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PreviewRequest {
    /// Serial numbers, hex, of whichever issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<schema::SerialNumber>>, min_items = 1, max_items = 10_000)]
    pub serials: Option<Vec<String>>,
    /// Public keys, by the SHA-256 of their SubjectPublicKeyInfo.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<schema::Sha256>>, min_items = 1, max_items = 10_000)]
    pub spki_sha256: Option<Vec<String>>,
    /// Devices, all of whose certificates fall.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<uuid::Uuid>>, min_items = 1, max_items = 10_000)]
    pub device_ids: Option<Vec<DeviceId>>,
    /// A tenant, slug or id, all of whose certificates fall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// A CA, by its key id, all of whose device certificates fall. For owners of the whole installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Sha256>)]
    pub issuer: Option<String>,
    /// Why; `unspecified` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::RevocationReason>)]
    pub reason: Option<String>,
}

/// What would be revoked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewResponse {
    /// What to carry out; once, by whoever asked for it.
    #[schema(value_type = uuid::Uuid)]
    pub selection_id: SelectionId,
    /// How many certificates would be revoked.
    pub count: u64,
    /// How many devices would be left with nothing usable, and be in quarantine.
    pub quarantined_devices: u64,
    /// Some of the certificates.
    pub sample: Vec<CertificateBody>,
    /// Until when it can be carried out.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
}

/// POST `/certificates/revoke/execute`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecuteRequest {
    /// What the preview said.
    #[schema(value_type = uuid::Uuid)]
    pub selection_id: SelectionId,
}

/// What was revoked: exactly what the preview showed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecuteResponse {
    /// How many certificates.
    pub revoked: u64,
    /// How many devices are in quarantine for it.
    pub quarantined_devices: u64,
    /// When.
    #[schema(value_type = schema::Moment)]
    pub revoked_at: Timestamp,
    /// How far it has come.
    pub applied_edges: AppliedEdges,
}

/// GET `/denied-keys`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedKeyList {
    /// One page of the denied public keys, latest first.
    pub denied_keys: Vec<DeniedKey>,
    /// The host names and hardware serials of denied devices, on the first page alone.
    pub denied_traits: Vec<DeniedTrait>,
    /// What to pass as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// A public key that is refused everywhere.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedKey {
    /// SHA-256 of its SubjectPublicKeyInfo.
    #[schema(value_type = schema::Sha256)]
    pub spki_sha256: SpkiSha256,
    /// The tenant of the device that was denied.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// That device.
    #[schema(value_type = uuid::Uuid)]
    pub device_id: DeviceId,
    /// Its name.
    #[schema(value_type = schema::DeviceName)]
    pub device_name: DeviceName,
    /// When.
    #[schema(value_type = schema::Moment)]
    pub denied_at: Timestamp,
}

/// What makes a new device of the tenant wait for approval.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeniedTrait {
    /// The tenant.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// `hostname` or `hardware_serial`.
    #[schema(value_type = schema::TraitKind)]
    pub kind: String,
    /// In lower case.
    pub value: String,
}

/// A key is not denied any more.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedKeyLifted {
    /// Always true.
    pub success: bool,
    /// Whether the key is refused nevertheless, because it belonged to a revoked certificate.
    pub still_refused: bool,
    /// How far it has come.
    pub applied_edges: AppliedEdges,
}

/// GET `/rollout`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutReport {
    /// When it was made.
    #[schema(value_type = schema::Moment)]
    pub at: Timestamp,
    /// Each tenant that the caller may see.
    pub tenants: Vec<TenantRolloutBody>,
}

/// How far a tenant is from `enforce`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantRolloutBody {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: TenantId,
    /// Its slug.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// Its mode.
    #[schema(value_type = schema::Enforcement)]
    pub enforcement: Enforcement,
    /// Devices that are not decommissioned.
    pub devices: u64,
    /// Those with an active certificate that they were seen using.
    pub ready: u64,
    /// Those without an active certificate that has not ended.
    pub without_certificate: u64,
    /// Those whose active certificate ends within seven days.
    pub expiring: u64,
    /// Devices that `enforce` would have refused, by the code of the refusal.
    pub would_be_blocked: WouldBeBlocked,
}

/// Devices by the code with which they would have been refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WouldBeBlocked {
    /// In the last 24 hours.
    pub last24h: BTreeMap<String, u64>,
    /// In the last seven days.
    pub last7d: BTreeMap<String, u64>,
}

/// GET `/rollout/blocked`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockedList {
    /// The devices, each with its latest refusal, latest first.
    pub devices: Vec<BlockedDeviceBody>,
    /// What to pass as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// A device that `enforce` would have refused.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockedDeviceBody {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: DeviceId,
    /// Its tenant.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// Its name.
    #[schema(value_type = schema::DeviceName)]
    pub name: DeviceName,
    /// What it calls itself.
    pub hostname: String,
    /// The code of the refusal that it would have got.
    pub code: String,
    /// The rule that would have blocked it, with `RULE_BLOCKED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// When last, to five minutes.
    #[schema(value_type = schema::Moment)]
    pub last_at: Timestamp,
}

/// Every tenant is in `off`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    /// Always true.
    pub success: bool,
    /// How many tenants were in another mode.
    pub changed: u64,
    /// How far it has come.
    pub applied_edges: AppliedEdges,
}
