//! Whoever sent a message, as it is on record: whether its word counts, and whether the message proves itself
//! where it has to.

use countersign_core::device::DeviceStatus;
use countersign_core::identity::Identity;
use countersign_core::ids::SecretHash;
use countersign_store::{DeviceRow, ProvisioningTokenRow, Reading, StoreError};

use super::take::Rejection;

/// Whether a message has to bear its device's provisioning token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAsked {
    /// Whoever let it in is believed.
    No,
    /// It has to.
    Yes,
}

/// What is on record of the device that a message came from.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) device: Option<DeviceRow>,
    /// Its token, where one is asked for.
    token: Option<ProvisioningTokenRow>,
    asked: TokenAsked,
}

impl Sender {
    pub(super) async fn of(
        r: &mut Reading<'_>,
        identity: &Identity,
        asked: TokenAsked,
    ) -> Result<Self, StoreError> {
        let device = r.device_by_identity(identity).await?;
        let token = match (&device, asked) {
            (Some(device), TokenAsked::Yes) => r.provisioning_token_of(device.id).await?,
            (None, _) | (_, TokenAsked::No) => None,
        };
        Ok(Self { device, token, asked })
    }

    /// The device, if its word counts.
    pub(super) fn standing(&self) -> Result<&DeviceRow, Rejection> {
        let device = self.device.as_ref().ok_or(Rejection::UnregisteredDevice)?;
        match device.status {
            DeviceStatus::Decommissioned => Err(Rejection::DeviceRevoked),
            DeviceStatus::Quarantined => Err(Rejection::DeviceQuarantined),
            DeviceStatus::Pending
            | DeviceStatus::Online
            | DeviceStatus::Offline
            | DeviceStatus::Maintenance => Ok(device),
        }
    }

    /// Whether a message that bears a token with this hash, or none, is proved.
    pub(super) fn proves(&self, borne: Option<&SecretHash>) -> Result<(), Rejection> {
        if self.asked == TokenAsked::No {
            return Ok(());
        }
        let known = self.token.as_ref().ok_or(Rejection::TokenNotSet)?;
        let borne = borne.ok_or(Rejection::TokenMissing)?;
        if known.token.matches(borne) { Ok(()) } else { Err(Rejection::TokenInvalid) }
    }
}
