//! Release: a person takes a message after all that was set aside.

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_store::{NewTelemetry, StoreError};
use serde_json::Value;
use thiserror::Error;

use super::check;
use crate::authority::Authority;
use crate::authorized::{Authorized, Forbidden, Operate};

/// A message was not released; nothing changed.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// There is no such message.
    #[error("unknown message")]
    Unknown,
    /// It belongs to another tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// It was released before, as telemetry of this number.
    #[error("the message was released before, as {0}")]
    Released(u64),
    /// What is kept of it is no telemetry.
    #[error("the message cannot be telemetry: {0}")]
    Unfit(&'static str),
    /// The store failed.
    #[error("cannot release the message")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Takes a message as telemetry that was set aside, whatever the reason was, and says which number it
    /// has.
    ///
    /// # Errors
    /// See [`ReleaseError`]. Fails closed: what is not kept whole, or is no JSON object, is not released, nor
    /// is a message of a device that is not on record.
    pub async fn release_message(&self, by: &Authorized<Operate>, id: u64) -> Result<u64, ReleaseError> {
        let (now, by) = (self.now(), *by);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let row = w.set_aside_message(id).await?.ok_or(ReleaseError::Unknown)?;
                    match row.tenant {
                        Some(tenant) => by.covers(tenant)?,
                        None => by.covers_all()?,
                    }
                    if let Some((_, telemetry)) = row.released {
                        return Err(ReleaseError::Released(telemetry));
                    }
                    if row.payload.len() as u64 != row.payload_bytes {
                        return Err(ReleaseError::Unfit("it is not kept whole"));
                    }
                    let said = check::said(&row.payload);
                    let said = said.map_err(|_unfit| ReleaseError::Unfit("it is no JSON object"))?;
                    let device = match row.device {
                        Some(device) => w.device(device).await?,
                        None => None,
                    };
                    let device = device.ok_or(ReleaseError::Unfit("its device is not on record"))?;
                    let new = NewTelemetry {
                        certificate: row.certificate,
                        topic: row.topic,
                        qos: row.qos,
                        is_dup: false,
                        received_at: row.received_at,
                        sent_at: None,
                        payload: Value::Object(said.members).to_string(),
                    };
                    let telemetry = w.insert_telemetry(&device, &new).await?;
                    w.release_set_aside(id, now, telemetry).await?;
                    let entry = AuditEntry::new(
                        Some(device.tenant_slug.clone()),
                        now,
                        AuditEvent::MessageReleased,
                        by.actor(),
                    );
                    let entry = entry.device(device.id).detail("message", id).detail("reason", row.reason);
                    w.append_audit(&entry).await?;
                    Ok(telemetry)
                })
            })
            .await
    }
}
