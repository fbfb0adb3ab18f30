//! What people and programs hear of messages that devices sent over MQTT.

use countersign_core::ids::{DeviceId, DeviceName, SerialNumber, Tenant};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::schema;

/// GET `/telemetry`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TelemetryBody {
    /// Newest first, or with `after` oldest first.
    pub messages: Vec<TelemetryMessage>,
}

/// Telemetry of a device.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TelemetryMessage {
    /// Its number: they count up in the order in which they were taken.
    pub id: u64,
    /// The device's tenant.
    #[schema(value_type = String)]
    pub tenant: Tenant,
    /// The device's id.
    #[schema(value_type = uuid::Uuid)]
    pub device_id: DeviceId,
    /// The device's name.
    #[schema(value_type = schema::DeviceName)]
    pub device: DeviceName,
    /// The serial number of the certificate that it was sent with.
    #[schema(value_type = String)]
    pub serial_number: SerialNumber,
    /// On which topic.
    pub topic: String,
    /// At which QoS.
    pub qos: u8,
    /// The earlier message that this one is once more: the device did not hear that it had arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<u64>,
    /// When it came.
    #[schema(value_type = schema::Moment)]
    pub received_at: Timestamp,
    /// When the device says it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Moment>)]
    pub sent_at: Option<Timestamp>,
    /// What it says, without secrets.
    pub payload: Value,
}

/// GET `/quarantined-messages`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuarantinedMessagesBody {
    /// Newest first.
    pub messages: Vec<QuarantinedMessage>,
}

/// A message that was set aside.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuarantinedMessage {
    /// Its number.
    pub id: u64,
    /// The tenant in the certificate that it was sent with.
    #[schema(value_type = String)]
    pub tenant: Tenant,
    /// The device in the certificate.
    #[schema(value_type = schema::DeviceName)]
    pub device: DeviceName,
    /// The serial number of the certificate.
    #[schema(value_type = String)]
    pub serial_number: SerialNumber,
    /// The topic that it named.
    pub topic: String,
    /// At which QoS.
    pub qos: u8,
    /// The stable code of why it was set aside.
    pub reason: String,
    /// When it came.
    #[schema(value_type = schema::Moment)]
    pub received_at: Timestamp,
    /// The beginning of what it says, without secrets, in base64.
    pub payload_base64: String,
    /// How long all of it was, in octets.
    pub payload_bytes: u64,
    /// When it was released after all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Moment>)]
    pub released_at: Option<Timestamp>,
    /// The number of the telemetry that it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_as: Option<u64>,
}

/// A message was released.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageReleased {
    /// The number of the telemetry that it became.
    pub telemetry_id: u64,
}
