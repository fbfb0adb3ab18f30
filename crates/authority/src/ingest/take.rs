//! Taking a message: the checks that need the records, and what becomes of it.

use std::time::Duration;

use countersign_core::device::DeviceStatus;
use countersign_core::identity::Identity;
use countersign_core::ids::CertificateRef;
use countersign_core::time::Timestamp;
use countersign_store::{DeviceRow, NewTelemetry, SetAsideRow, StoreError, Writing};
use serde_json::Value;

use super::check;
use crate::authority::Authority;

/// How long telemetry and messages that were set aside are kept.
pub(crate) const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// How much of the payload of a message is kept that was set aside.
const KEPT_PAYLOAD: usize = 4096;

/// How many messages of one device are kept that were set aside; of further ones it is only counted that
/// they came.
const KEPT_OF_DEVICE: u32 = 1000;

/// A message that a door let in, with what the door knows of its sender.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Who sent it: by its certificate, never by the topic.
    pub identity: Identity,
    /// With which certificate.
    pub certificate: CertificateRef,
    /// On which topic.
    pub topic: String,
    /// At which QoS.
    pub qos: u8,
    /// Whether the device says that it may have come before.
    pub is_dup: bool,
    /// When it came.
    pub received_at: Timestamp,
    /// What it says.
    pub payload: Vec<u8>,
}

/// Why a message is no telemetry. Each has a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The payload is larger than may be.
    PayloadTooLarge,
    /// The payload is no JSON.
    PayloadInvalidJson,
    /// The payload names another tenant.
    TenantMismatch,
    /// The payload names no site.
    MissingSiteId,
    /// No such device is on record.
    UnregisteredDevice,
    /// The device is decommissioned.
    DeviceRevoked,
    /// The device is quarantined.
    DeviceQuarantined,
    /// The device is at another site.
    SiteMismatch,
    /// The payload is JSON of another shape.
    SchemaInvalid,
}

impl Rejection {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::PayloadInvalidJson => "PAYLOAD_INVALID_JSON",
            Self::TenantMismatch => "TENANT_MISMATCH_TOPIC_VS_PAYLOAD",
            Self::MissingSiteId => "MISSING_SITE_ID",
            Self::UnregisteredDevice => "UNREGISTERED_DEVICE",
            Self::DeviceRevoked => "DEVICE_REVOKED",
            Self::DeviceQuarantined => "DEVICE_QUARANTINED",
            Self::SiteMismatch => "SITE_MISMATCH_REGISTRY_VS_PAYLOAD",
            Self::SchemaInvalid => "SCHEMA_INVALID",
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is telemetry, with this number.
    Telemetry(u64),
    /// It was a word about a command.
    CommandWord,
    /// It was the state that the device had said it has before.
    KnownState,
    /// It is with those that it was handed on to, and not kept here.
    HandedOn,
    /// It was set aside.
    SetAside(&'static str),
}

impl Authority {
    /// Takes telemetry, or sets the message aside. It is committed when this returns.
    ///
    /// # Errors
    /// When the store fails: then nothing is kept, and the message must not be acknowledged.
    pub async fn take_telemetry(&self, message: Incoming) -> Result<Taken, StoreError> {
        let told = check::told(&message.payload, message.identity.tenant());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let device = w.device_by_identity(&message.identity).await?;
                    let judged = told.and_then(|told| judge(told, device.as_ref()));
                    match (judged, &device) {
                        (Ok((sent_at, payload)), Some(device)) => {
                            let new = telemetry_of(&message, sent_at, payload);
                            Ok(Taken::Telemetry(w.insert_telemetry(device, &new).await?))
                        }
                        (Ok(_), None) => reject(w, &message, Rejection::UnregisteredDevice, None).await,
                        (Err(rejection), device) => reject(w, &message, rejection, device.as_ref()).await,
                    }
                })
            })
            .await
    }

    /// Takes what a device says of its own state, a JSON object of any shape.
    ///
    /// # Errors
    /// As [`Self::take_telemetry`].
    pub async fn take_state(&self, message: Incoming) -> Result<Taken, StoreError> {
        let members = check::members(&message.payload);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let device = w.device_by_identity(&message.identity).await?;
                    let judged = members.and_then(|members| {
                        standing(device.as_ref()).map(|_stands| Value::Object(members).to_string())
                    });
                    match (judged, &device) {
                        (Ok(payload), Some(device)) => {
                            let new = telemetry_of(&message, None, payload);
                            Ok(Taken::Telemetry(w.insert_telemetry(device, &new).await?))
                        }
                        (Ok(_), None) => reject(w, &message, Rejection::UnregisteredDevice, None).await,
                        (Err(rejection), device) => reject(w, &message, rejection, device.as_ref()).await,
                    }
                })
            })
            .await
    }

    /// Sets a message aside that a door refused for this reason, with as much of its payload as the door
    /// passed on, and how long that was.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_message_aside(
        &self,
        message: Incoming,
        reason: &'static str,
        payload_bytes: usize,
    ) -> Result<Taken, StoreError> {
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let device = w.device_by_identity(&message.identity).await?;
                    set_aside(w, &message, (reason, payload_bytes), device.as_ref()).await
                })
            })
            .await
    }
}

/// Whether a device's word counts.
pub(super) fn standing(device: Option<&DeviceRow>) -> Result<&DeviceRow, Rejection> {
    let device = device.ok_or(Rejection::UnregisteredDevice)?;
    match device.status {
        DeviceStatus::Decommissioned => Err(Rejection::DeviceRevoked),
        DeviceStatus::Quarantined => Err(Rejection::DeviceQuarantined),
        DeviceStatus::Pending | DeviceStatus::Online | DeviceStatus::Offline | DeviceStatus::Maintenance => {
            Ok(device)
        }
    }
}

/// The checks that need the record of the device.
pub(super) fn judge(
    told: check::Told,
    device: Option<&DeviceRow>,
) -> Result<(Option<Timestamp>, String), Rejection> {
    let device = standing(device)?;
    if told.site != device.site_slug && told.site != device.site.to_string() {
        return Err(Rejection::SiteMismatch);
    }
    Ok((told.sent_at, Value::Object(told.members).to_string()))
}

pub(super) fn telemetry_of(message: &Incoming, sent_at: Option<Timestamp>, payload: String) -> NewTelemetry {
    NewTelemetry {
        certificate: message.certificate.clone(),
        topic: message.topic.clone(),
        qos: message.qos,
        is_dup: message.is_dup,
        received_at: message.received_at,
        sent_at,
        payload,
    }
}

pub(super) async fn reject(
    w: &mut Writing<'_>,
    message: &Incoming,
    rejection: Rejection,
    device: Option<&DeviceRow>,
) -> Result<Taken, StoreError> {
    set_aside(w, message, (rejection.code(), message.payload.len()), device).await
}

async fn set_aside(
    w: &mut Writing<'_>,
    message: &Incoming,
    (reason, payload_bytes): (&'static str, usize),
    device: Option<&DeviceRow>,
) -> Result<Taken, StoreError> {
    let mut payload = check::keepable(&message.payload);
    // Without its secrets it is whole, unless the door passed on a part.
    let bytes = if message.payload.len() == payload_bytes { payload.len() } else { payload_bytes };
    payload.truncate(KEPT_PAYLOAD);
    let row = SetAsideRow {
        id: 0,
        tenant: device.map(|device| device.tenant),
        tenant_slug: message.identity.tenant().clone(),
        device_name: message.identity.device().clone(),
        device: device.map(|device| device.id),
        certificate: message.certificate.clone(),
        topic: message.topic.clone(),
        qos: message.qos,
        reason: reason.to_owned(),
        received_at: message.received_at,
        payload,
        payload_bytes: bytes as u64,
        released: None,
    };
    if !w.insert_set_aside(&row, KEPT_OF_DEVICE).await? {
        tracing::debug!(tenant = %row.tenant_slug, device = %row.device_name, reason, "too many messages set aside");
    }
    Ok(Taken::SetAside(reason))
}
