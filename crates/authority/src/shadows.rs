//! Shadows: the state that a device is to have, told to it until it is replaced, and the one it says it has.

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::device::DeviceStatus;
use countersign_core::identity::Identity;
use countersign_core::ids::DeviceId;
use countersign_core::snapshot::DeviceKey;
use countersign_store::StoreError;
pub use countersign_store::{DesiredState, ReportedState, ShadowRow};
use thiserror::Error;

use crate::agent_settings::SeenVersion;
use crate::authority::Authority;
use crate::authorized::{Authorized, Forbidden, Operate, View};
use crate::commands::CommandPayload;
use crate::devices::LookError;

/// The state that a device is to have did not change.
#[derive(Debug, Error)]
pub enum DesireError {
    /// There is no such device.
    #[error("unknown device")]
    Unknown,
    /// It belongs to another tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The device is served nowhere.
    #[error("the device is {0}")]
    Conflict(DeviceStatus),
    /// It is not of a version that the caller has seen; 0 stands for none.
    #[error("the state is of version {0} already")]
    Changed(u64),
    /// The store failed.
    #[error("cannot record the state")]
    Store(#[from] StoreError),
}

impl Authority {
    /// What is on record of a device's state.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn shadow(&self, by: &Authorized<View>, device: DeviceId) -> Result<ShadowRow, LookError> {
        self.device(by, device).await?;
        Ok(self.store.read(move |r| Box::pin(async move { r.shadow(device).await })).await?)
    }

    /// Replaces the state that a device is to have, and tells the device if it is connected here. No version
    /// is 0.
    ///
    /// # Errors
    /// See [`DesireError`]. Fails closed: nothing is wanted of a device that is served nowhere.
    pub async fn desire_state(
        &self,
        by: &Authorized<Operate>,
        device: DeviceId,
        state: CommandPayload,
        only_if: SeenVersion,
    ) -> Result<ShadowRow, DesireError> {
        let (now, by) = (self.now(), *by);
        let shadow = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let device = w.device(device).await?.ok_or(DesireError::Unknown)?;
                    by.covers(device.tenant)?;
                    if device.status.is_barred() {
                        return Err(DesireError::Conflict(device.status));
                    }
                    let ShadowRow { desired, reported } = w.shadow(device.id).await?;
                    let known = desired.map_or(0, |desired| desired.version);
                    if let SeenVersion::OneOf(seen) = only_if
                        && !seen.contains(&known)
                    {
                        return Err(DesireError::Changed(known));
                    }
                    let state = state.into_value();
                    let version = w.desire(device.id, &state, now).await?;
                    let event = AuditEvent::ShadowDesired;
                    let entry = AuditEntry::new(Some(device.tenant_slug), now, event, by.actor());
                    w.append_audit(&entry.device(device.id).detail("version", version)).await?;
                    Ok(ShadowRow { desired: Some(DesiredState { version, state, at: now }), reported })
                })
            })
            .await?;
        self.ears.ring(device);
        Ok(shadow)
    }

    /// The state that the device of this tenant and name is to have; `None`: nothing is wanted of it, or it
    /// is served nowhere.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn desired_state_for(
        &self,
        (tenant, name): &DeviceKey,
    ) -> Result<Option<DesiredState>, StoreError> {
        let identity = Identity::new(self.trust_domain().clone(), tenant.clone(), name.clone());
        self.store
            .read(move |r| {
                Box::pin(async move {
                    match r.device_by_identity(&identity).await? {
                        Some(device) if !device.status.is_barred() => Ok(r.shadow(device.id).await?.desired),
                        Some(_) | None => Ok(None),
                    }
                })
            })
            .await
    }
}
