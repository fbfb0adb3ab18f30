//! Provisioning tokens: what devices show over MQTT that have no certificate. An admin sets, replaces and removes
//! them; one counts only where its tenant does not ask for certificates.

use std::net::IpAddr;

use countersign_ca::{KeyError, random_bytes};
use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::device::DeviceStatus;
use countersign_core::identity::Identity;
use countersign_core::ids::{DeviceId, DeviceName, IdError, SecretHash, SerialNumber, Tenant};
use countersign_core::snapshot::{CertificateClaim, TOKEN_SESSION};
use countersign_core::time::Timestamp;
pub use countersign_store::ProvisioningTokenRow;
use countersign_store::StoreError;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden, View};
use crate::devices::LookError;
use crate::limits::{Limited, Network};
use crate::names::FreshSecret;

/// What tokens begin with that are made here.
const PREFIX: &str = "brp_";

/// The fewest characters of a token that devices bring: whoever guesses has all the time there is.
const SHORTEST: usize = 20;

/// The most characters.
const LONGEST: usize = 256;

/// A token that a device has already, and that is to count.
pub struct OwnToken(Zeroizing<String>);

impl OwnToken {
    /// Of this text.
    ///
    /// # Errors
    /// Fails closed: what is short enough to be guessed is refused, and what no device can be told to send.
    pub fn new(text: Zeroizing<String>) -> Result<Self, &'static str> {
        let is_plain = text.chars().all(|letter| letter.is_ascii_graphic());
        if is_plain && (SHORTEST..=LONGEST).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err("must be 20 to 256 letters, digits and signs of ASCII")
        }
    }
}

/// A token that was set.
pub struct SetToken {
    /// Shown this once.
    pub text: Zeroizing<String>,
    /// When.
    pub set_at: Timestamp,
}

/// A provisioning token is as it was.
#[derive(Debug, Error)]
pub enum ProvisioningTokenError {
    /// There is no such device.
    #[error("unknown device")]
    Unknown,
    /// It belongs to another tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// It is decommissioned.
    #[error("the device is {0}")]
    Conflict(DeviceStatus),
    /// No token could be made.
    #[error("cannot make a token")]
    Key(#[from] KeyError),
    /// Its name could not be made.
    #[error("cannot name the token")]
    Name(#[from] IdError),
    /// The store failed.
    #[error("cannot change the token")]
    Store(#[from] StoreError),
}

/// A device is not let in by what it showed.
#[derive(Debug, Error)]
pub enum TokenRefused {
    /// No device is called so, or too many failures came from there.
    #[error("authentication failed")]
    Failed,
    /// The device has no token.
    #[error("no provisioning token is set for the device")]
    NotSet,
    /// It is another one.
    #[error("the provisioning token is wrong")]
    Invalid,
    /// The store failed.
    #[error("cannot look for the token")]
    Store(#[from] StoreError),
}

impl TokenRefused {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Failed | Self::Store(_) => "AUTH_FAILED",
            Self::NotSet => "TOKEN_NOT_SET_IN_REGISTRY",
            Self::Invalid => "TOKEN_INVALID",
        }
    }
}

impl Authority {
    /// The provisioning token of a device, if it has one.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn provisioning_token(
        &self,
        by: &Authorized<View>,
        device: DeviceId,
    ) -> Result<Option<ProvisioningTokenRow>, LookError> {
        self.device(by, device).await?;
        let found = self.store.read(move |r| Box::pin(async move { r.provisioning_token_of(device).await }));
        Ok(found.await?)
    }

    /// Gives a device a provisioning token, its own or a fresh one. A former one counts no more, and the sessions
    /// that it opened end.
    ///
    /// # Errors
    /// See [`ProvisioningTokenError`].
    pub async fn set_provisioning_token(
        &self,
        by: &Authorized<Administer>,
        device: DeviceId,
        own: Option<OwnToken>,
    ) -> Result<SetToken, ProvisioningTokenError> {
        let (now, by) = (self.now(), *by);
        let text = match own {
            Some(OwnToken(text)) => text,
            None => Zeroizing::new(FreshSecret::new(PREFIX)?.text),
        };
        let serial = SerialNumber::from_be_bytes(&random_bytes::<16>()?)?;
        let row = ProvisioningTokenRow { serial, device, token: SecretHash::of(&text), set_at: now };
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let device = w.device(device).await?.ok_or(ProvisioningTokenError::Unknown)?;
                    by.covers(device.tenant)?;
                    if device.status == DeviceStatus::Decommissioned {
                        return Err(ProvisioningTokenError::Conflict(device.status));
                    }
                    let is_replaced = w.end_provisioning_token(device.id, now).await?;
                    w.insert_provisioning_token(&row).await?;
                    if is_replaced {
                        w.device_trust_changed(device.id).await?;
                    }
                    let event = AuditEvent::ProvisioningTokenSet;
                    let entry = AuditEntry::new(Some(device.tenant_slug), now, event, by.actor());
                    let entry = entry.device(device.id).detail("serialNumber", &row.serial);
                    w.append_audit(&entry.detail("replaced", is_replaced)).await?;
                    Ok::<_, ProvisioningTokenError>(())
                })
            })
            .await?;
        self.publish_changes().await?;
        Ok(SetToken { text, set_at: now })
    }

    /// Takes a device's provisioning token away: the sessions that it opened end. Without one nothing happens.
    ///
    /// # Errors
    /// See [`ProvisioningTokenError`].
    pub async fn remove_provisioning_token(
        &self,
        by: &Authorized<Administer>,
        device: DeviceId,
    ) -> Result<(), ProvisioningTokenError> {
        let (now, by) = (self.now(), *by);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let device = w.device(device).await?.ok_or(ProvisioningTokenError::Unknown)?;
                    by.covers(device.tenant)?;
                    if !w.end_provisioning_token(device.id, now).await? {
                        return Ok(());
                    }
                    w.device_trust_changed(device.id).await?;
                    let event = AuditEvent::ProvisioningTokenRemoved;
                    let entry = AuditEntry::new(Some(device.tenant_slug), now, event, by.actor());
                    w.append_audit(&entry.device(device.id)).await?;
                    Ok::<_, ProvisioningTokenError>(())
                })
            })
            .await?;
        self.publish_changes().await?;
        Ok(())
    }

    /// Which device shows this token, for a session that begins now. Whether it is let in is the door's to judge.
    ///
    /// # Errors
    /// See [`TokenRefused`]. Fails closed: who guessed too often is not looked at.
    pub async fn recognise_token(
        &self,
        (tenant, name): (Tenant, DeviceName),
        token: &str,
        from: IpAddr,
    ) -> Result<CertificateClaim, TokenRefused> {
        let (now, token) = (self.now(), SecretHash::of(token));
        let failures = Limited::FailedToken(Network::from(from));
        self.limits.check(&failures, now).map_err(|_too_many| TokenRefused::Failed)?;
        let identity = Identity::new(self.trust_domain().clone(), tenant, name);
        let found = self.known_token(identity.clone()).await.and_then(|known| {
            let is_right = known.token.matches(&token);
            if is_right { Ok(known) } else { Err(TokenRefused::Invalid) }
        });
        let known = found.inspect_err(|refused| {
            if !matches!(refused, TokenRefused::Store(_)) {
                self.limits.count(failures, now);
            }
        })?;
        Ok(CertificateClaim::of_token(identity, known.serial, now, now + TOKEN_SESSION))
    }

    async fn known_token(&self, identity: Identity) -> Result<ProvisioningTokenRow, TokenRefused> {
        self.store
            .read(move |r| {
                Box::pin(async move {
                    let device = r.device_by_identity(&identity).await?.ok_or(TokenRefused::Failed)?;
                    r.provisioning_token_of(device.id).await?.ok_or(TokenRefused::NotSet)
                })
            })
            .await
    }
}
