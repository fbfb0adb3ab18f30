//! Revoke: a certificate is never trusted again, here at once and elsewhere with the next CRL.

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::{CertificateEvent, CertificateState, RevocationReason};
use countersign_core::device::{DeviceEvent, QuarantineReason};
use countersign_core::ids::CertificateId;
use countersign_core::time::Timestamp;
use countersign_store::DeviceRow;
use countersign_store::{CertificateChange, CertificateRow};
use countersign_store::{StoreError, Writing};
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Authorized, Forbidden, Operate};
use crate::publish::Applied;
use crate::quarantine::change_status;

/// A certificate was revoked.
#[derive(Clone, Copy, Debug)]
pub struct Revoked {
    /// When.
    pub at: Timestamp,
    /// How far it has come.
    pub applied: Applied,
}

/// A certificate was not revoked.
#[derive(Debug, Error)]
pub enum RevokeError {
    /// There is no such certificate.
    #[error("unknown certificate")]
    Unknown,
    /// It belongs to another tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// It is revoked already.
    #[error("already revoked")]
    AlreadyRevoked,
    /// It has expired, so there is nothing to revoke.
    #[error("already expired")]
    Expired,
    /// The store failed.
    #[error("cannot revoke the certificate")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Revokes one certificate. When it was the active one, every other certificate of the device
    /// goes with it and the device is quarantined: it has nothing usable left, and what its key
    /// obtained is not trusted either.
    ///
    /// # Errors
    /// See [`RevokeError`]; of two calls at once one wins.
    pub async fn revoke_certificate(
        &self,
        by: &Authorized<Operate>,
        id: CertificateId,
        reason: RevocationReason,
    ) -> Result<Revoked, RevokeError> {
        let now = self.now();
        let by = *by;
        let device = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let row = w.certificate(id).await?.ok_or(RevokeError::Unknown)?;
                    let device = w.device(row.device).await?.ok_or(RevokeError::Unknown)?;
                    by.covers(device.tenant)?;
                    match row.state {
                        CertificateState::Revoked => return Err(RevokeError::AlreadyRevoked),
                        CertificateState::Expired => return Err(RevokeError::Expired),
                        CertificateState::PendingActivation
                        | CertificateState::Active
                        | CertificateState::Superseded => {}
                    }
                    if row.state == CertificateState::Active {
                        revoke_all_for(w, &device, reason, now, by.actor()).await?;
                        quarantine_revoked(w, device.clone(), now, by.actor()).await?;
                    } else {
                        revoke_row(w, &device, &row, reason, now, by.actor()).await?;
                    }
                    w.raise_epoch().await?;
                    crate::repair::crash_point("revoke");
                    Ok(device.id)
                })
            })
            .await?;
        crate::repair::crash_point("revoked");
        let applied = self.publish_devices(&[device]).await?;
        self.crl_wanted.notify_one();
        Ok(Revoked { at: now, applied })
    }
}

async fn quarantine_revoked(
    w: &mut Writing<'_>,
    mut device: DeviceRow,
    now: Timestamp,
    actor: Actor,
) -> Result<(), StoreError> {
    if device.status.apply(DeviceEvent::Quarantine).is_err() {
        return Ok(());
    }
    device.quarantined_at = Some(now);
    device.quarantined_reason = Some(QuarantineReason::known(QuarantineReason::REVOKED));
    device.grant_until = None;
    device.pending_key = None;
    let entry = AuditEntry::new(Some(device.tenant_slug.clone()), now, AuditEvent::DeviceQuarantined, actor)
        .device(device.id)
        .detail("reason", QuarantineReason::REVOKED);
    change_status(w, device, DeviceEvent::Quarantine, entry).await
}

/// Revokes every certificate of a device that enrols again; its keys are denied from then on.
pub(crate) async fn revoke_all(
    w: &mut Writing<'_>,
    device: &DeviceRow,
    now: Timestamp,
    actor: Actor,
) -> Result<(), StoreError> {
    revoke_all_for(w, device, RevocationReason::CessationOfOperation, now, actor).await
}

/// Revokes every certificate of a device that can still be revoked.
pub(crate) async fn revoke_all_for(
    w: &mut Writing<'_>,
    device: &DeviceRow,
    reason: RevocationReason,
    now: Timestamp,
    actor: Actor,
) -> Result<(), StoreError> {
    for row in w.certificates_of(device.id).await? {
        if row.state.apply(CertificateEvent::Revoke).is_ok() {
            revoke_row(w, device, &row, reason, now, actor.clone()).await?;
        }
    }
    Ok(())
}

/// Revokes one certificate within a transaction. Its key proves nothing from then on, unless it was
/// merely replaced.
pub(crate) async fn revoke_row(
    w: &mut Writing<'_>,
    device: &DeviceRow,
    row: &CertificateRow,
    reason: RevocationReason,
    now: Timestamp,
    actor: Actor,
) -> Result<(), StoreError> {
    if !w.move_certificate(row.id, row.state, CertificateChange::Revoke { at: now, reason }).await? {
        return Err(StoreError::raced("certificate in state", row.state));
    }
    let entry = AuditEntry::new(Some(device.tenant_slug.clone()), now, AuditEvent::CertificateRevoked, actor)
        .device(device.id)
        .certificate(row.id)
        .detail("serial", &row.reference.serial)
        .detail("from", row.state)
        .detail("reason", reason);
    w.append_audit(&entry).await
}
