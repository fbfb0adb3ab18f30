//! Sweep: what time alone changes — certificates that expire, windows that close, devices that
//! fall silent.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::{DeviceEvent, QuarantineReason};
use countersign_core::ids::DeviceId;
use countersign_core::settings::ExpiredCertPolicy;
use countersign_core::time::Timestamp;
use countersign_store::{CertificateChange, CertificateRow, DeviceRow, SWEEP_LIMIT, StoreError, Writing};
use tokio::time::MissedTickBehavior;

use crate::authority::Authority;
use crate::enrol::Chain;
use crate::quarantine::change_status;
use crate::revoke::revoke_row;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(2);

/// Three heartbeats missed: the device is offline.
const SILENCE: Duration = Duration::from_secs(180);

/// How long refusals can be explained.
const REFUSALS_KEPT: Duration = Duration::from_secs(7 * 86_400);

impl Authority {
    /// Sweeps for ever.
    pub async fn sweep_regularly(self: Arc<Self>) {
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.sweep().await {
                tracing::error!(error = %Chain(&error), "sweep failed");
            }
        }
    }

    /// Does everything that is due now.
    ///
    /// # Errors
    /// When the store fails; what was done stays done and the rest is tried again.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let now = self.now();
        let mut changed = self.expire_certificates(now).await?;
        changed.extend(self.close_windows(now).await?);
        changed.extend(self.end_unused_grants(now).await?);
        if !changed.is_empty() {
            self.publish_devices(&changed).await?;
            self.crl_wanted.notify_one();
        }
        self.note_silence(now).await?;
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.prune_sessions(now).await?;
                    w.prune_refusals(now - REFUSALS_KEPT).await
                })
            })
            .await
            .map(drop)
    }

    /// Devices that have fallen silent are offline.
    async fn note_silence(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = now - SILENCE;
        let silent =
            self.store.read(move |r| Box::pin(async move { r.devices_silent_since(before).await })).await?;
        if silent.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |w| {
                Box::pin(async move {
                    for id in silent {
                        let Some(mut device) = w.device(id).await? else { continue };
                        let is_silent = device.last_seen_at.is_none_or(|seen| seen < before);
                        if let (true, Ok(status)) = (is_silent, device.status.apply(DeviceEvent::Missed)) {
                            device.status = status;
                            w.update_device(&device).await?;
                        }
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn expire_certificates(&self, now: Timestamp) -> Result<Vec<DeviceId>, StoreError> {
        let due = self
            .store
            .read(move |r| Box::pin(async move { r.certificates_past_end(now, SWEEP_LIMIT).await }))
            .await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let devices = due.iter().map(|row| row.device).collect();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    for row in &due {
                        expire(w, row, now).await?;
                    }
                    w.raise_epoch().await
                })
            })
            .await?;
        Ok(devices)
    }

    /// Revokes what was not confirmed in time, and what was superseded long enough ago.
    async fn close_windows(&self, now: Timestamp) -> Result<Vec<DeviceId>, StoreError> {
        let due = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let mut due = r.unconfirmed_past_window(now).await?;
                    due.extend(r.overlap_ended(now).await?);
                    Ok::<_, StoreError>(due)
                })
            })
            .await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let devices = due.iter().map(|row| row.device).collect();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    for row in &due {
                        let (Some(row), Some(device)) =
                            (w.certificate(row.id).await?, w.device(row.device).await?)
                        else {
                            continue;
                        };
                        let is_due = match row.state {
                            CertificateState::PendingActivation => {
                                row.confirm_before.is_some_and(|at| now > at)
                            }
                            CertificateState::Superseded => row.superseded_until.is_some_and(|at| now > at),
                            CertificateState::Active
                            | CertificateState::Revoked
                            | CertificateState::Expired => false,
                        };
                        if is_due {
                            revoke_row(w, &device, &row, RevocationReason::Superseded, now, Actor::System)
                                .await?;
                        }
                    }
                    w.raise_epoch().await
                })
            })
            .await?;
        Ok(devices)
    }

    /// Quarantines again whoever was approved and did not come back in time.
    async fn end_unused_grants(&self, now: Timestamp) -> Result<Vec<DeviceId>, StoreError> {
        let due =
            self.store.read(move |r| Box::pin(async move { r.devices_with_grant_ended(now).await })).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let mut changed = Vec::new();
                    for DeviceRow { id, .. } in due {
                        let reason = QuarantineReason::known(QuarantineReason::APPROVAL_UNUSED);
                        if quarantine_by_system(w, id, reason, now, |until| now > until).await? {
                            changed.push(id);
                        }
                    }
                    Ok(changed)
                })
            })
            .await
    }
}

async fn expire(w: &mut Writing<'_>, row: &CertificateRow, now: Timestamp) -> Result<(), StoreError> {
    if !w.move_certificate(row.id, row.state, CertificateChange::Expire).await? {
        return Ok(());
    }
    let entry = AuditEntry::new(Some(row.tenant.clone()), now, AuditEvent::CertificateExpired, Actor::System)
        .device(row.device)
        .certificate(row.id)
        .detail("serial", &row.reference.serial)
        .detail("from", row.state);
    w.append_audit(&entry).await?;
    if row.state != CertificateState::Active {
        return Ok(());
    }
    let Some(device) = w.device(row.device).await? else { return Ok(()) };
    let policy = w.tenant_by_id(device.tenant).await?.map(|tenant| tenant.settings.expired_cert_policy);
    if policy != Some(ExpiredCertPolicy::Quarantine) {
        return Ok(());
    }
    let reason = QuarantineReason::known(QuarantineReason::EXPIRED);
    quarantine_by_system(w, row.device, reason, now, |until| now > until).await.map(drop)
}

/// Quarantines a device unless a grant says otherwise; tells whether it did.
async fn quarantine_by_system(
    w: &mut Writing<'_>,
    id: DeviceId,
    reason: QuarantineReason,
    now: Timestamp,
    is_grant_over: impl Fn(Timestamp) -> bool,
) -> Result<bool, StoreError> {
    let Some(mut device) = w.device(id).await? else { return Ok(false) };
    let is_granted = device.grant_until.is_some_and(|until| !is_grant_over(until));
    if is_granted || device.status.apply(DeviceEvent::Quarantine).is_err() {
        return Ok(false);
    }
    let entry =
        AuditEntry::new(Some(device.tenant_slug.clone()), now, AuditEvent::DeviceQuarantined, Actor::System)
            .device(id)
            .detail("from", device.status)
            .detail("reason", &reason);
    device.quarantined_at = Some(now);
    device.quarantined_reason = Some(reason);
    device.grant_until = None;
    change_status(w, device, DeviceEvent::Quarantine, entry).await?;
    Ok(true)
}
