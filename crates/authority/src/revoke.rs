//! Revoke: a certificate is never trusted again, here at once and elsewhere with the next CRL.

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::{CertificateEvent, CertificateState, RevocationReason};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::CertificateId;
use countersign_core::time::Timestamp;
use countersign_store::{CertificateChange, CertificateRow, DeniedKeyRow, DeviceRow, StoreError, Writing};
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Authorized, Forbidden, Operate};
use crate::publish::Applied;
use crate::quarantine::quarantine;

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
    /// Revokes one certificate, and with it those of the device that share its key. When that takes
    /// the active one, or leaves nothing usable, every certificate of the device goes and the device
    /// is quarantined: what its key obtained is not trusted either.
    ///
    /// # Errors
    /// See [`RevokeError`]; of two calls at once one wins.
    pub async fn revoke_certificate(
        &self,
        by: &Authorized<Operate>,
        id: CertificateId,
        reason: RevocationReason,
    ) -> Result<Revoked, RevokeError> {
        let (now, by) = (self.now(), *by);
        self.store
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
                    revoke_with_company(w, device, &row, reason, (now, by.actor())).await?;
                    crate::repair::crash_point("revoke");
                    Ok(())
                })
            })
            .await?;
        crate::repair::crash_point("revoked");
        let applied = self.publish_changes().await?;
        self.crl.want_now();
        Ok(Revoked { at: now, applied })
    }
}

/// Revokes a certificate within a transaction, and whatever of its device falls with it.
pub(crate) async fn revoke_with_company(
    w: &mut Writing<'_>,
    device: DeviceRow,
    row: &CertificateRow,
    reason: RevocationReason,
    (now, actor): (Timestamp, Actor),
) -> Result<(), StoreError> {
    let (rows, leaves) = falling(w.certificates_of(device.id).await?, row, reason, now);
    for row in &rows {
        revoke_row(w, &device, row, reason, now, actor.clone()).await?;
    }
    match leaves {
        Leaves::Something => w.device_trust_changed(device.id).await.map(drop),
        Leaves::Nothing => {
            deny_replaced_keys(w, &device, &rows, reason, now).await?;
            quarantine_revoked(w, device, now, actor).await
        }
    }
}

/// Whether a device has something usable left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    Something,
    Nothing,
}

/// What falls of a device's certificates when `row` is revoked, and whether something usable is left.
fn falling(
    rows: Vec<CertificateRow>,
    row: &CertificateRow,
    reason: RevocationReason,
    now: Timestamp,
) -> (Vec<CertificateRow>, Leaves) {
    let live: Vec<CertificateRow> =
        rows.into_iter().filter(|one| one.state.apply(CertificateEvent::Revoke).is_ok()).collect();
    // The key of a certificate that was merely replaced stays good.
    let shares_key = |one: &CertificateRow| reason != RevocationReason::Superseded && one.spki == row.spki;
    let falls = |one: &CertificateRow| one.id == row.id || shares_key(one);
    let is_usable = |one: &CertificateRow| one.state.is_usable() && !one.lifetime.is_expired(now);
    let takes_active = live.iter().any(|one| falls(one) && one.state == CertificateState::Active);
    let takes_usable = live.iter().any(|one| falls(one) && one.state.is_usable());
    let keeps_usable = live.iter().any(|one| !falls(one) && is_usable(one));
    if takes_active || (takes_usable && !keeps_usable) {
        (live, Leaves::Nothing)
    } else {
        (live.into_iter().filter(falls).collect(), Leaves::Something)
    }
}

/// The key of a certificate that was in use proves nothing once an admin has revoked it, even for the
/// reason `superseded`, which denies no key by itself.
async fn deny_replaced_keys(
    w: &mut Writing<'_>,
    device: &DeviceRow,
    rows: &[CertificateRow],
    reason: RevocationReason,
    now: Timestamp,
) -> Result<(), StoreError> {
    if reason != RevocationReason::Superseded {
        return Ok(());
    }
    for row in rows {
        let key = DeniedKeyRow { spki: row.spki, tenant: device.tenant, device: device.id, at: now };
        w.insert_denied_key(&key).await?;
    }
    Ok(())
}

/// Quarantines a device that has nothing usable left; one that is quarantined already is so for this
/// reason from now on, and approving it does not bring its key back.
async fn quarantine_revoked(
    w: &mut Writing<'_>,
    mut device: DeviceRow,
    now: Timestamp,
    actor: Actor,
) -> Result<(), StoreError> {
    let reason = QuarantineReason::known(QuarantineReason::REVOKED);
    device.pending_key = None;
    if quarantine(w, device.clone(), reason.clone(), now, actor).await? {
        return Ok(());
    }
    if device.status == DeviceStatus::Quarantined {
        device.quarantined_at = Some(now);
        device.quarantined_reason = Some(reason);
        if !w.update_device(&device).await? {
            return Err(StoreError::raced("device at revision", device.revision));
        }
    }
    w.device_trust_changed(device.id).await.map(drop)
}

/// Revokes every certificate of a device that can still be revoked.
pub(crate) async fn revoke_all(
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
