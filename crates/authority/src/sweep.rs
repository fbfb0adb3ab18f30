//! Sweep: what time alone changes — certificates that expire, windows that close, devices that
//! fall silent.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::{DeviceEvent, QuarantineReason};
use countersign_core::door_work::Slot;
use countersign_core::ids::CertificateId;
use countersign_core::settings::ExpiredCertPolicy;
use countersign_core::time::Timestamp;
use countersign_store::{CertificateChange, CertificateRow, DeviceRow, SWEEP_LIMIT, StoreError, Writing};
use tokio::time::MissedTickBehavior;

use crate::authority::Authority;
use crate::enrol::Chain;
use crate::quarantine::quarantine;
use crate::revoke::revoke_row;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(2);

/// Three heartbeats missed: the device is offline.
const SILENCE: Duration = Duration::from_secs(180);

/// An issuance takes milliseconds; after this long its caller is gone. Longer than all its steps may take
/// together before they are given up, and than clocks of several authorities may differ.
pub(crate) const INTENT_LIFE: Duration = Duration::from_secs(600);

/// How long refusals can be explained.
const REFUSALS_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// How long provisioning tokens are kept that count no more: longer than authorities that restart may take, and
/// than sessions may last.
const ENDED_TOKENS_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// How long commands with an outcome can be looked at.
const COMMANDS_KEPT: Duration = Duration::from_secs(30 * 86_400);

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
    /// The first failure of the store. What was done stays done and is published, nothing keeps the
    /// rest from being tried, and what failed is tried again.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let now = self.now();
        let outcomes = [
            self.expire_certificates(now).await,
            self.close_windows(now).await,
            self.end_unused_grants(now).await,
            self.publish_changes().await.map(drop),
            self.report_edges(now).await,
            self.look_for_silent_edges().await,
            self.tell_what_expires(now).await,
            self.look_for_alerts(now).await,
            self.forget_ended().await,
            self.abandon_stale(now).await,
            self.note_silence(now).await,
            self.expire_commands(now).await,
            self.wake_for_commands(now).await,
            self.flush_token_uses().await,
            self.flush_usage().await,
            self.prune(now).await,
        ];
        outcomes.into_iter().collect()
    }

    async fn prune(&self, now: Timestamp) -> Result<(), StoreError> {
        let messages_from = now - self.messages_kept;
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.prune_sessions(now).await?;
                    w.prune_door_work(Slot::of(now).first_counted()).await?;
                    w.prune_staged_tokens(now).await?;
                    w.prune_provisioning_tokens(now - ENDED_TOKENS_KEPT).await?;
                    w.prune_commands(now - COMMANDS_KEPT).await?;
                    w.prune_jobs(now - COMMANDS_KEPT).await?;
                    w.prune_password_tokens(now).await?;
                    w.prune_begun_sign_ins(now).await?;
                    w.turn_telemetry_days(now, messages_from).await?;
                    w.prune_messages(messages_from).await?;
                    w.prune_usage(now - crate::usage::KEPT).await?;
                    w.prune_refusals(now - REFUSALS_KEPT).await.map(drop)
                })
            })
            .await
    }

    /// Abandons issuances whose caller went away between the intent and the record.
    async fn abandon_stale(&self, now: Timestamp) -> Result<(), StoreError> {
        let open = self.store.read(|r| Box::pin(async move { r.unfinished_intents().await })).await?;
        for intent in open.iter().filter(|intent| now > intent.at + INTENT_LIFE) {
            self.abandon(&intent.reference).await?;
        }
        Ok(())
    }

    /// Devices that have fallen silent are offline.
    async fn note_silence(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = now - SILENCE;
        while self.store.write(move |w| Box::pin(async move { w.note_heard_since(before).await })).await? {}
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
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        self.store.note_presence();
        Ok(())
    }

    async fn expire_certificates(&self, now: Timestamp) -> Result<(), StoreError> {
        let due = self
            .store
            .read(move |r| Box::pin(async move { r.certificates_past_end(now, SWEEP_LIMIT).await }))
            .await?;
        if due.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |w| {
                Box::pin(async move {
                    for row in &due {
                        expire(w, row, now).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Revokes what was not confirmed in time, and what was superseded long enough ago.
    async fn close_windows(&self, now: Timestamp) -> Result<(), StoreError> {
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
            return Ok(());
        }
        self.store
            .write(move |w| {
                Box::pin(async move {
                    for row in &due {
                        close_window(w, row.id, now).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        Ok(())
    }

    /// Quarantines again whoever was approved and did not come back in time.
    async fn end_unused_grants(&self, now: Timestamp) -> Result<(), StoreError> {
        let due =
            self.store.read(move |r| Box::pin(async move { r.devices_with_grant_ended(now).await })).await?;
        if due.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |w| {
                Box::pin(async move {
                    for DeviceRow { id, .. } in due {
                        let Some(device) = w.device(id).await? else { continue };
                        if device.grant_until.is_some_and(|until| now > until) {
                            let reason = QuarantineReason::known(QuarantineReason::APPROVAL_UNUSED);
                            quarantine(w, device, reason, now, Actor::System).await?;
                        }
                    }
                    Ok(())
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
    w.device_trust_changed(row.device).await?;
    if row.state != CertificateState::Active {
        return Ok(());
    }
    let Some(device) = w.device(row.device).await? else { return Ok(()) };
    let policy = w.tenant_by_id(device.tenant).await?.map(|tenant| tenant.settings.expired_cert_policy);
    let is_granted = device.grant_until.is_some_and(|until| now <= until);
    if policy == Some(ExpiredCertPolicy::Quarantine) && !is_granted {
        let reason = QuarantineReason::known(QuarantineReason::EXPIRED);
        quarantine(w, device, reason, now, Actor::System).await?;
    }
    Ok(())
}

/// Revokes a certificate whose window is over, if it still is in it.
async fn close_window(w: &mut Writing<'_>, id: CertificateId, now: Timestamp) -> Result<(), StoreError> {
    let Some(row) = w.certificate(id).await? else { return Ok(()) };
    let until = match row.state {
        CertificateState::PendingActivation => row.confirm_before,
        CertificateState::Superseded => row.superseded_until,
        CertificateState::Active | CertificateState::Revoked | CertificateState::Expired => None,
    };
    if until.is_none_or(|until| now <= until) {
        return Ok(());
    }
    let Some(device) = w.device(row.device).await? else { return Ok(()) };
    revoke_row(w, &device, &row, RevocationReason::Superseded, now, Actor::System).await?;
    w.device_trust_changed(device.id).await.map(drop)
}
