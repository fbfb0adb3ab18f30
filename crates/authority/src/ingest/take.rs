//! Taking a message: the checks that need the records, and what becomes of it.

use std::time::Duration;

use countersign_core::identity::Identity;
use countersign_core::ids::CertificateRef;
use countersign_core::time::Timestamp;
use countersign_store::{DeviceRow, NewTelemetry, SetAsideRow, StoreError, Writing};
use serde_json::{Map, Value};

use super::check;
use super::sender::{Sender, TokenAsked};
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
    /// Whether it has to bear its device's provisioning token.
    pub token: TokenAsked,
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
    /// A token is asked for, and none is set for the device.
    TokenNotSet,
    /// A token is asked for, and the payload has none.
    TokenMissing,
    /// The token in the payload is another one.
    TokenInvalid,
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
            Self::TokenNotSet => "TOKEN_NOT_SET_IN_REGISTRY",
            Self::TokenMissing => "TOKEN_MISSING",
            Self::TokenInvalid => "TOKEN_INVALID",
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
                    let sender = Sender::of(w, &message.identity, message.token).await?;
                    match told.and_then(|told| judge(&sender, told)) {
                        Ok((device, sent_at, payload)) => {
                            let new = telemetry_of(&message, sent_at, payload);
                            Ok(Taken::Telemetry(w.insert_telemetry(device, &new).await?))
                        }
                        Err(rejection) => reject(w, &message, rejection, sender.device.as_ref()).await,
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
        let said = check::said(&message.payload);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let sender = Sender::of(w, &message.identity, message.token).await?;
                    match said.and_then(|said| judge_state(&sender, said)) {
                        Ok((device, members)) => {
                            let new = telemetry_of(&message, None, Value::Object(members).to_string());
                            Ok(Taken::Telemetry(w.insert_telemetry(device, &new).await?))
                        }
                        Err(rejection) => reject(w, &message, rejection, sender.device.as_ref()).await,
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

/// The checks of telemetry that need the record of its sender.
pub(super) fn judge(
    sender: &Sender,
    told: check::Told,
) -> Result<(&DeviceRow, Option<Timestamp>, String), Rejection> {
    let device = sender.standing()?;
    if told.site != device.site_slug && told.site != device.site.to_string() {
        return Err(Rejection::SiteMismatch);
    }
    sender.proves(told.token.as_ref())?;
    Ok((device, told.sent_at, Value::Object(told.members).to_string()))
}

/// Those of what a device says of its own state.
pub(super) fn judge_state(
    sender: &Sender,
    said: check::Said,
) -> Result<(&DeviceRow, Map<String, Value>), Rejection> {
    let device = sender.standing()?;
    sender.proves(said.token.as_ref())?;
    Ok((device, said.members))
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
