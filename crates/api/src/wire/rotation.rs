//! What admins and their scripts say and hear about the rotation of a CA.

use countersign_core::ids::{CaName, DeviceId, DeviceName, ServiceLabel, Tenant};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::AppliedEdges;
use super::schema;

/// POST `/cas/:name/rotation`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrepareRotationRequest {
    /// The prepared CA that is to take the place; a new one is made when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// POST `/cas/:name/rotation/canary`: exactly one of `tenant`, `devices` and `percent`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanaryRequest {
    /// All devices of this tenant, by slug or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// So many devices, those that were seen last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub devices: Option<u32>,
    /// About so many of a hundred devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 99)]
    pub percent: Option<u8>,
    /// Ask them to renew at once, spread over this time; by their own clocks when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 2_592_000)]
    pub renew_within_seconds: Option<u64>,
}

/// POST `/cas/:name/rotation/activate`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActivateRotationRequest {
    /// How many devices of a hundred must follow; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100)]
    pub adoption_percent: Option<u8>,
    /// Devices that were not seen for longer do not count; 30 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3650)]
    pub seen_within_days: Option<u32>,
    /// Go on whatever was measured: whoever does not follow is refused. Audited.
    #[serde(default)]
    pub danger_skip_adoption: bool,
    /// Ask devices to renew at once, spread over this time; by their own clocks when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 2_592_000)]
    pub renew_within_seconds: Option<u64>,
}

/// POST `/cas/:name/rotation/retire`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetireRotationRequest {
    /// Retire it even though somebody depends on it: they are refused from then on. Audited.
    #[serde(default)]
    pub danger_strand_dependents: bool,
}

/// POST `/cas/:name/rotation/rollback`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollBackRotationRequest {
    /// Ask devices that moved to come back at once, spread over this time; by their own clocks when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 2_592_000)]
    pub renew_within_seconds: Option<u64>,
}

/// What a step answers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotationChanged {
    /// How far the rotation is now.
    pub rotation: RotationBody,
    /// How far the step has come.
    pub applied_edges: AppliedEdges,
}

/// How far a rotation is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotationBody {
    /// The CA that is replaced.
    #[schema(value_type = schema::CaName)]
    pub old: CaName,
    /// The one that comes in its place.
    #[schema(value_type = schema::CaName)]
    pub new: CaName,
    /// Where it is.
    #[schema(value_type = schema::RotationStep)]
    pub step: String,
    /// Who goes first: `tenant:…`, `percent:…` or `devices:…`.
    pub canary: Option<String>,
    /// When the new CA was made.
    #[schema(value_type = schema::Moment)]
    pub prepared_at: Timestamp,
    /// When it began to sign for all.
    #[schema(value_type = Option<schema::Moment>)]
    pub activated_at: Option<Timestamp>,
    /// When the rotation was over.
    #[schema(value_type = Option<schema::Moment>)]
    pub ended_at: Option<Timestamp>,
    /// When devices are asked to follow before their own clocks say so.
    pub renewal: Option<RenewalCallBody>,
    /// How far the new CA is known.
    pub adoption: AdoptionBody,
    /// What is missing until it may sign for all, with the usual thresholds; empty: nothing.
    pub missing: Vec<String>,
    /// What depends on the old CA; while there is anything, it is not retired.
    pub at_old: InUseBody,
    /// What depends on the new one; while there is anything, it is not withdrawn.
    pub at_new: InUseBody,
}

/// When devices are asked to renew.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewalCallBody {
    /// The first ones.
    #[schema(value_type = schema::Moment)]
    pub from: Timestamp,
    /// The last ones.
    #[schema(value_type = schema::Moment)]
    pub until: Timestamp,
}

/// How far a new CA is known.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdoptionBody {
    /// Edges that trust it, of those attached.
    pub edges: AppliedEdges,
    /// The epoch from which on they do.
    pub epoch: u64,
    /// What of devices is measured: `trust_bundle`: whether they have reported the CA certificates that they
    /// need; `canary_certificate`: whether those that go first use a certificate of the new CA; `nothing`:
    /// devices need nothing new, and the numbers say who has moved.
    #[schema(value_type = schema::AdoptionMeasure)]
    pub measure: String,
    /// How many devices follow.
    pub devices_adopted: u64,
    /// Of how many.
    pub devices_total: u64,
    /// Within how many days they were seen.
    pub seen_within_days: u64,
}

/// What depends on a CA.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InUseBody {
    /// Active certificates of devices.
    pub active: u64,
    /// Certificates of devices that wait to be confirmed.
    pub pending: u64,
    /// Replaced ones whose overlap has not ended.
    pub superseded: u64,
    /// Certificates of services.
    pub services: u64,
    /// The names of those that have one.
    #[schema(value_type = Vec<String>)]
    pub service_names: Vec<ServiceLabel>,
    /// Certificates that are being signed.
    pub being_signed: u64,
    /// Doors that show a certificate of it.
    pub doors: u32,
    /// CAs below it.
    #[schema(value_type = Vec<schema::CaName>)]
    pub cas: Vec<CaName>,
}

/// GET `/cas/:name/rotation`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotationStatusBody {
    /// How far it is.
    pub rotation: RotationBody,
    /// Devices with a live certificate of the CA in the path: of the old one those that have not moved.
    pub devices: Vec<CaDeviceBody>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

/// A device with a live certificate of a CA.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaDeviceBody {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: DeviceId,
    /// Its tenant.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// Its name.
    #[schema(value_type = schema::DeviceName)]
    pub name: DeviceName,
    /// Where it stands.
    #[schema(value_type = schema::DeviceStatus)]
    pub status: String,
    /// When it was last heard of.
    #[schema(value_type = Option<schema::Moment>)]
    pub last_seen_at: Option<Timestamp>,
    /// Where the certificate stands.
    #[schema(value_type = schema::CertificateState)]
    pub certificate_state: String,
    /// When that ends.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
}
