//! Quarantine, approve, deny, decommission: an admin's decisions about a device.

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::RevocationReason;
use countersign_core::device::{DeviceEvent, DeviceStatus, QuarantineReason};
use countersign_core::ids::{DeviceId, SpkiSha256};
use countersign_core::renewal::GRANT_LIFE;
use countersign_core::time::Timestamp;
use countersign_store::{DeniedKeyRow, DeviceRow, StoreError, TraitKind, Writing};
use thiserror::Error;

use crate::authority::{Authority, IssuerMode};
use crate::authorized::{Authorized, Forbidden, Operate};
use crate::device_changes::DeviceChange;
use crate::publish::Applied;
use crate::revoke::revoke_all;

/// A decision was not carried out; nothing changed.
#[derive(Debug, Error)]
pub enum DecisionError {
    /// There is no such device.
    #[error("unknown device")]
    Unknown,
    /// It belongs to another tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The device's tenant has no such site.
    #[error("unknown site")]
    UnknownSite,
    /// The device's status does not allow it, or another decision came first.
    #[error("the device is {0}")]
    Conflict(DeviceStatus),
    /// The store failed.
    #[error("cannot carry out the decision")]
    Store(#[from] StoreError),
}

/// What an admin decides.
#[derive(Clone, Debug)]
enum Decision {
    Quarantine(QuarantineReason),
    Approve,
    Deny,
    Decommission,
    EnterMaintenance,
    LeaveMaintenance,
}

impl Decision {
    const fn event(&self) -> DeviceEvent {
        match self {
            Self::Quarantine(_) => DeviceEvent::Quarantine,
            Self::Approve => DeviceEvent::Approve,
            Self::Deny => DeviceEvent::Deny,
            Self::Decommission => DeviceEvent::Decommission,
            Self::EnterMaintenance => DeviceEvent::EnterMaintenance,
            Self::LeaveMaintenance => DeviceEvent::LeaveMaintenance,
        }
    }

    const fn audit_event(&self) -> AuditEvent {
        match self {
            Self::Quarantine(_) => AuditEvent::DeviceQuarantined,
            Self::Approve => AuditEvent::DeviceApproved,
            Self::Deny => AuditEvent::DeviceDenied,
            Self::Decommission => AuditEvent::DeviceDecommissioned,
            Self::EnterMaintenance | Self::LeaveMaintenance => AuditEvent::DeviceMaintenance,
        }
    }
}

impl Authority {
    /// Refuses a device everywhere until someone approves or denies it.
    ///
    /// # Errors
    /// See [`DecisionError`].
    pub async fn quarantine_device(
        &self,
        by: &Authorized<Operate>,
        id: DeviceId,
        reason: QuarantineReason,
    ) -> Result<Applied, DecisionError> {
        self.decide(by, id, Decision::Quarantine(reason)).await
    }

    /// Lets a quarantined device back: it is `offline` until heard of, and for 24 hours its pinned
    /// key may ask for one new certificate.
    ///
    /// # Errors
    /// See [`DecisionError`]; of two approvals at once one wins.
    pub async fn approve(&self, by: &Authorized<Operate>, id: DeviceId) -> Result<Applied, DecisionError> {
        self.decide(by, id, Decision::Approve).await
    }

    /// Lets several quarantined devices back in one transaction, as [`Self::approve`] does one, and says
    /// of each why not, if not.
    ///
    /// # Errors
    /// When the store fails; then none is approved.
    pub async fn approve_all(
        &self,
        by: &Authorized<Operate>,
        ids: Vec<DeviceId>,
    ) -> Result<(Applied, Vec<(DeviceId, Result<(), DecisionError>)>), StoreError> {
        let (now, by, issuer) = (self.now(), *by, self.config.issuer);
        let outcomes = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let mut outcomes = Vec::with_capacity(ids.len());
                    for id in ids {
                        match decide_within(w, &by, id, Decision::Approve, (now, issuer)).await {
                            Err(DecisionError::Store(error)) => return Err(error),
                            outcome => outcomes.push((id, outcome)),
                        }
                    }
                    Ok::<_, StoreError>(outcomes)
                })
            })
            .await?;
        Ok((self.publish_changes().await?, outcomes))
    }

    /// Refuses a device for good: decommissioned, its certificates and token revoked, its keys
    /// denied everywhere, its host name and hardware serial remembered.
    ///
    /// # Errors
    /// See [`DecisionError`].
    pub async fn deny(&self, by: &Authorized<Operate>, id: DeviceId) -> Result<Applied, DecisionError> {
        self.decide(by, id, Decision::Deny).await
    }

    /// Retires a device: like [`Self::deny`], but its host name is not held against a successor.
    ///
    /// # Errors
    /// See [`DecisionError`].
    pub async fn decommission(
        &self,
        by: &Authorized<Operate>,
        id: DeviceId,
    ) -> Result<Applied, DecisionError> {
        self.decide(by, id, Decision::Decommission).await
    }

    /// Sets a device aside, or takes it back; heartbeats do not change it meanwhile.
    ///
    /// # Errors
    /// See [`DecisionError`].
    pub async fn set_maintenance(
        &self,
        by: &Authorized<Operate>,
        id: DeviceId,
        maintenance: Maintenance,
    ) -> Result<Applied, DecisionError> {
        let change = DeviceChange { maintenance: Some(maintenance), ..DeviceChange::default() };
        self.change_device(by, id, change).await
    }

    async fn decide(
        &self,
        by: &Authorized<Operate>,
        id: DeviceId,
        decision: Decision,
    ) -> Result<Applied, DecisionError> {
        let (now, by, issuer) = (self.now(), *by, self.config.issuer);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    decide_within(w, &by, id, decision, (now, issuer)).await?;
                    crate::repair::crash_point("decide");
                    Ok::<_, DecisionError>(())
                })
            })
            .await?;
        crate::repair::crash_point("decided");
        let applied = self.publish_changes().await?;
        self.crl.want_now();
        Ok(applied)
    }
}

/// Decides about one device within a transaction; what is refused has changed nothing.
async fn decide_within(
    w: &mut Writing<'_>,
    by: &Authorized<Operate>,
    id: DeviceId,
    decision: Decision,
    (now, issuer): (Timestamp, IssuerMode),
) -> Result<(), DecisionError> {
    let mut device = w.device(id).await?.ok_or(DecisionError::Unknown)?;
    by.covers(device.tenant)?;
    let status = device.status;
    if status.apply(decision.event()).is_err() {
        return Err(DecisionError::Conflict(status));
    }
    if matches!(decision, Decision::Approve) && has_use_for_grant(&device, issuer) {
        device.grant_until = Some(now + GRANT_LIFE);
    }
    Ok(carry_out(w, device, decision, now, by.actor()).await?)
}

/// Which way a device goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// Set aside.
    Enter,
    /// Taken back.
    Leave,
}

/// Sets a device aside within a transaction, or takes it back.
pub(crate) async fn set_aside(
    w: &mut Writing<'_>,
    device: DeviceRow,
    maintenance: Maintenance,
    now: Timestamp,
    actor: Actor,
) -> Result<(), DecisionError> {
    let decision = match maintenance {
        Maintenance::Enter => Decision::EnterMaintenance,
        Maintenance::Leave => Decision::LeaveMaintenance,
    };
    if device.status.apply(decision.event()).is_err() {
        return Err(DecisionError::Conflict(device.status));
    }
    Ok(carry_out(w, device, decision, now, actor).await?)
}

/// Whether an approval has something to grant: a new certificate in the place of one that the device
/// had, or its first one. A device without either would only be quarantined again for not using it.
fn has_use_for_grant(device: &DeviceRow, issuer: IssuerMode) -> bool {
    device.ever_had_certificate() || (device.pending_key.is_some() && issuer != IssuerMode::None)
}

async fn carry_out(
    w: &mut Writing<'_>,
    mut device: DeviceRow,
    decision: Decision,
    now: Timestamp,
    actor: Actor,
) -> Result<(), StoreError> {
    match &decision {
        Decision::Quarantine(reason) => {
            return quarantine(w, device, reason.clone(), now, actor).await.map(drop);
        }
        Decision::Approve => {
            device.quarantined_at = None;
            device.quarantined_reason = None;
        }
        Decision::Deny => {
            deny_traits(w, &device).await?;
            deny_keys(w, &device, now).await?;
            revoke_all(w, &device, RevocationReason::PrivilegeWithdrawn, now, actor.clone()).await?;
            retire(&mut device, now);
        }
        Decision::Decommission => {
            revoke_all(w, &device, RevocationReason::CessationOfOperation, now, actor.clone()).await?;
            retire(&mut device, now);
        }
        Decision::EnterMaintenance | Decision::LeaveMaintenance => {}
    }
    let entry = AuditEntry::new(Some(device.tenant_slug.clone()), now, decision.audit_event(), actor);
    change_status(w, device, decision.event(), entry).await
}

/// Quarantines a device within a transaction; `false` when its status does not allow it.
pub(crate) async fn quarantine(
    w: &mut Writing<'_>,
    mut device: DeviceRow,
    reason: QuarantineReason,
    now: Timestamp,
    actor: Actor,
) -> Result<bool, StoreError> {
    if device.status.apply(DeviceEvent::Quarantine).is_err() {
        return Ok(false);
    }
    let entry = AuditEntry::new(Some(device.tenant_slug.clone()), now, AuditEvent::DeviceQuarantined, actor)
        .detail("reason", &reason);
    device.quarantined_at = Some(now);
    device.quarantined_reason = Some(reason);
    device.grant_until = None;
    change_status(w, device, DeviceEvent::Quarantine, entry).await?;
    Ok(true)
}

pub(crate) fn retire(device: &mut DeviceRow, now: Timestamp) {
    device.decommissioned_at = Some(now);
    device.quarantined_at = None;
    device.quarantined_reason = None;
    device.grant_until = None;
    device.pending_key = None;
    device.token = None;
}

async fn deny_traits(w: &mut Writing<'_>, device: &DeviceRow) -> Result<(), StoreError> {
    w.insert_denied_trait(device.tenant, TraitKind::Hostname, &device.hostname).await?;
    match crate::enrol::telling_serial(device.hardware_serial.as_deref()) {
        Some(serial) => w.insert_denied_trait(device.tenant, TraitKind::HardwareSerial, &serial).await,
        None => Ok(()),
    }
}

/// Denies every key the device ever had here, expired certificates' included.
async fn deny_keys(w: &mut Writing<'_>, device: &DeviceRow, now: Timestamp) -> Result<(), StoreError> {
    let mut keys: Vec<SpkiSha256> =
        w.certificates_of(device.id).await?.into_iter().map(|row| row.spki).collect();
    keys.extend(device.pending_key.as_deref().map(SpkiSha256::of));
    for key in keys {
        w.insert_denied_key(&DeniedKeyRow { spki: key, tenant: device.tenant, device: device.id, at: now })
            .await?;
    }
    Ok(())
}

/// Applies `event` to a device within a transaction, with its audit entry and word to the doors.
///
/// # Errors
/// [`StoreError`] also when the device changed since it was read: the transaction is undone.
pub(crate) async fn change_status(
    w: &mut Writing<'_>,
    mut device: DeviceRow,
    event: DeviceEvent,
    entry: AuditEntry,
) -> Result<(), StoreError> {
    let status = device.status;
    device.status = status.apply(event).map_err(|_illegal| StoreError::raced("device in status", status))?;
    if !w.update_device(&device).await? {
        return Err(StoreError::raced("device at revision", device.revision));
    }
    w.device_trust_changed(device.id).await?;
    let entry = entry.device(device.id).detail("from", status).detail("to", device.status);
    w.append_audit(&entry).await
}
