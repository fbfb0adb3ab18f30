//! Judging a message without keeping it, for whoever hands it on.

use countersign_core::ids::{DeviceId, SiteId};
use countersign_core::time::Timestamp;
use countersign_store::StoreError;
use serde_json::Value;

use super::check;
use super::sender::Sender;
use super::take::{Incoming, Rejection, judge, judge_state};
use crate::authority::Authority;

/// A message that was found right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Which device sent it.
    pub device: DeviceId,
    /// Where that is.
    pub site: SiteId,
    /// When the device says it was.
    pub sent_at: Option<Timestamp>,
    /// What it says, JSON, without secrets.
    pub payload: String,
}

impl Authority {
    /// Whether a message is telemetry that may be taken. Nothing is kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn judge_telemetry(
        &self,
        message: &Incoming,
    ) -> Result<Result<Accepted, Rejection>, StoreError> {
        let told = match check::told(&message.payload, message.identity.tenant()) {
            Ok(told) => told,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let sender = self.sender_of(message).await?;
        Ok(judge(&sender, told).map(|(device, sent_at, payload)| Accepted {
            device: device.id,
            site: device.site,
            sent_at,
            payload,
        }))
    }

    /// The same for what a device says of its own state.
    ///
    /// # Errors
    /// As [`Self::judge_telemetry`].
    pub async fn judge_state(&self, message: &Incoming) -> Result<Result<Accepted, Rejection>, StoreError> {
        let said = match check::said(&message.payload) {
            Ok(said) => said,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let sender = self.sender_of(message).await?;
        Ok(judge_state(&sender, said).map(|(device, members)| Accepted {
            device: device.id,
            site: device.site,
            sent_at: None,
            payload: Value::Object(members).to_string(),
        }))
    }

    async fn sender_of(&self, message: &Incoming) -> Result<Sender, StoreError> {
        let (identity, token) = (message.identity.clone(), message.token);
        self.store.read(move |r| Box::pin(async move { Sender::of(r, &identity, token).await })).await
    }
}
