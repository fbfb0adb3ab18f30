//! What agents say and hear. Unknown fields are ignored, so that old agents and new servers get on.

use countersign_core::TrustDomain;
use countersign_core::ids::{
    AgentId, CertificateId, ChallengeId, DeviceId, DeviceName, SerialNumber, SiteId, TenantId,
};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::agent_settings::AgentSettingsBody;
use super::command::Command;
use super::schema;

/// POST `/agents/enroll`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrollRequest {
    /// The enrolment key.
    pub enrollment_key: String,
    /// What the machine calls itself.
    pub hostname: String,
    /// `windows`, `macos` or `linux`.
    #[schema(value_type = schema::OsType)]
    pub os_type: String,
    /// The operating system's version.
    #[serde(default)]
    pub os_version: String,
    /// The processor's architecture.
    #[serde(default)]
    pub architecture: String,
    /// The agent's version.
    #[serde(default)]
    pub agent_version: String,
    /// A PKCS #10 signing request, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
    /// The name to be known by; the host name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Facts about the hardware, `serialNumber` among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub hardware_info: Option<serde_json::Value>,
    /// Facts about the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub network_info: Option<serde_json::Value>,
}

/// The answer to an enrolment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrollResponse {
    /// The agent's name in agent URLs.
    #[schema(value_type = schema::AgentId)]
    pub agent_id: AgentId,
    /// The device's id.
    #[schema(value_type = uuid::Uuid)]
    pub device_id: DeviceId,
    /// The bearer token, shown once.
    pub auth_token: String,
    /// The tenant's id.
    #[schema(value_type = uuid::Uuid)]
    pub org_id: TenantId,
    /// The site's id.
    #[schema(value_type = uuid::Uuid)]
    pub site_id: SiteId,
    /// The name it got.
    #[schema(value_type = schema::DeviceName)]
    pub device_name: DeviceName,
    /// How it should behave.
    pub config: AgentConfig,
    /// Its certificate, or null.
    pub mtls: Option<IssuedMtls>,
    /// Why `mtls` is null: `issuer_off`, `issuer_unavailable`, `csr_required`, `awaiting_approval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtls_reason: Option<String>,
}

/// How an agent should behave.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentConfig {
    /// Seconds between heartbeats.
    pub heartbeat_interval_seconds: u32,
    /// Seconds between metrics.
    pub metrics_collection_interval_seconds: u32,
    /// The version of these settings, to be sent back in heartbeats.
    #[serde(default = "first_version")]
    pub version: u64,
    /// The installation, which proofs of possession name.
    #[schema(value_type = String)]
    pub trust_domain: TrustDomain,
}

const fn first_version() -> u64 {
    countersign_core::agent_settings::AgentSettings::FIRST_VERSION
}

/// A certificate for a device.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedMtls {
    /// The leaf, PEM.
    pub certificate: String,
    /// The issuing CA and those above it, PEM.
    pub chain: String,
    /// Its end.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
    /// Its serial number, lower-case hex.
    #[schema(value_type = schema::SerialNumber)]
    pub serial_number: SerialNumber,
    /// The private key, PKCS #8 PEM: only when the tenant allows the server to make keys and no
    /// CSR was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
}

/// POST `/agents/:agentId/heartbeat`. Every field is optional, and a bad one is dropped.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatRequest {
    /// What the agent says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// Measurements, kept as they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metrics: Option<serde_json::Value>,
    /// Its addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_addresses: Option<Vec<String>>,
    /// The SHA-256, in lower-case hex, of the trust bundle (PEM) it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_bundle: Option<String>,
    /// The version of the settings it goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<u64>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatResponse {
    /// What to do: up to 16 commands without a result.
    pub commands: Vec<Command>,
    /// A new configuration, or null.
    pub config_update: Option<AgentSettingsBody>,
    /// A version to go to, or null.
    pub upgrade_to: Option<String>,
    /// Whether the certificate should be renewed.
    pub renew_cert: bool,
    /// From when on at the latest, if not at once: those that fall due together get different moments, and the
    /// answer is without it when this one's has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Moment>)]
    pub renew_from: Option<Timestamp>,
    /// The SHA-256, in lower-case hex, of the present trust bundle: only for an agent that has named
    /// another one, which should fetch it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_bundle: Option<String>,
}

/// POST `/agents/renew-cert`. Empty or `{}` is the seed's one-step form.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewRequest {
    /// 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<u32>,
    /// A PKCS #10 signing request, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
    /// A signature by the current key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// A signature over a challenge.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// Which challenge.
    #[schema(value_type = uuid::Uuid)]
    pub challenge_id: ChallengeId,
    /// The signature, standard base64.
    pub signature: String,
}

/// The answer to a renewal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewResponse {
    /// The new certificate.
    pub mtls: IssuedMtls,
    /// What to confirm.
    #[schema(value_type = uuid::Uuid)]
    pub certificate_id: CertificateId,
    /// By when; absent in the one-step form, which needs no confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Moment>)]
    pub confirm_before: Option<Timestamp>,
}

/// POST `/agents/renew-cert/challenge`: the answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChallengeResponse {
    /// Which challenge.
    #[schema(value_type = uuid::Uuid)]
    pub challenge_id: ChallengeId,
    /// To be signed.
    pub nonce: String,
    /// One use, until then.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
}

/// POST `/agents/renew-cert/confirm`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmRequest {
    /// Which certificate.
    #[schema(value_type = uuid::Uuid)]
    pub certificate_id: CertificateId,
    /// A signature by the new key, unless the request comes over the new certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// `{success: true}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Success {
    /// Always true.
    pub success: bool,
}
