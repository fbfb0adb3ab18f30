//! What an edge that runs elsewhere says and asks for devices at its MQTT door.

use std::net::IpAddr;

use countersign_core::ids::{DeviceName, IssuerKeyId, SerialNumber, Tenant};
use countersign_core::snapshot::DeviceKey;
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::schema;

/// How many messages are in one request at most.
pub const MESSAGES_AT_ONCE: usize = 256;

/// Of how many devices it is asked at once at most what there is for them.
pub const DEVICES_AT_ONCE: usize = 256;

/// POST `/edges/self/messages`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EdgeMessages {
    /// In the order in which they came, at most 256.
    pub messages: Vec<EdgeMessage>,
}

/// A message of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EdgeMessage {
    /// The tenant of the device that sent it.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// That device's name.
    #[schema(value_type = schema::DeviceName)]
    pub device: DeviceName,
    /// Who issued the certificate that it was sent with; of a provisioning token nobody, which is 64 `f`.
    #[schema(value_type = schema::Sha256)]
    pub issuer: IssuerKeyId,
    /// The serial number of the certificate, or of the token.
    #[schema(value_type = schema::SerialNumber)]
    pub serial_number: SerialNumber,
    /// On which topic.
    pub topic: String,
    /// How much of the topic comes before what follows the device's own prefix, in octets.
    pub prefix_bytes: usize,
    /// At which QoS.
    #[schema(minimum = 0, maximum = 2)]
    pub qos: u8,
    /// Whether it may have come before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dup: bool,
    /// When it came.
    #[schema(value_type = schema::Moment)]
    pub received_at: Timestamp,
    /// What it says, or its beginning, in standard base64.
    pub payload: String,
    /// How long all of it was.
    pub payload_bytes: usize,
    /// The code for which the door refused it; absent: it was let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The answer to POST `/edges/self/messages`: whoever is to have them has them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeMessagesTaken {
    /// Which were set aside, by their places in the request, from 0.
    pub set_aside: Vec<usize>,
}

/// POST `/edges/self/letters`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeLettersRequest {
    /// Whom it is about, at most 256.
    pub devices: Vec<EdgeDevice>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeDevice {
    /// Its tenant.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// Its name.
    #[schema(value_type = schema::DeviceName)]
    pub device: DeviceName,
}

impl From<&DeviceKey> for EdgeDevice {
    fn from((tenant, device): &DeviceKey) -> Self {
        Self { tenant: tenant.clone(), device: device.clone() }
    }
}

impl From<EdgeDevice> for DeviceKey {
    fn from(EdgeDevice { tenant, device }: EdgeDevice) -> Self {
        (tenant, device)
    }
}

/// The answer to POST `/edges/self/letters`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EdgeLetters {
    /// What there is for the first of the devices, a list for each: as many as there is room for, at least one.
    pub letters: Vec<Vec<EdgeLetter>>,
}

/// Something that a device is to be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeLetter {
    /// What it is about: of two that say the same it is the same.
    pub about: String,
    /// On which topic, below the device's own prefix.
    pub topic: String,
    /// What it says.
    pub payload: Value,
    /// For how many seconds it is worth telling; absent: always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub life_seconds: Option<u64>,
}

/// POST `/edges/self/logins`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeLoginRequest {
    /// The tenant of the device that it says it is.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// That device's name.
    #[schema(value_type = schema::DeviceName)]
    pub device: DeviceName,
    /// What it shows.
    pub token: String,
    /// Where it comes from.
    #[schema(value_type = String)]
    pub address: IpAddr,
}

impl std::fmt::Debug for EdgeLoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeLoginRequest")
            .field("tenant", &self.tenant)
            .field("device", &self.device)
            .field("token", &"[redacted]")
            .finish_non_exhaustive()
    }
}

/// The answer to POST `/edges/self/logins`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum EdgeLogin {
    /// The token is the device's; its serial number.
    #[schema(value_type = schema::SerialNumber)]
    Recognised(SerialNumber),
    /// It is not: the stable code of why.
    Refused(String),
}
