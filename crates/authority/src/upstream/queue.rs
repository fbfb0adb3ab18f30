//! What is to be revoked at the CA elsewhere, and what it may have made without our hearing of it. All of
//! it is on record, so nothing is lost with a process, and of several authorities one does each.

use std::sync::Arc;
use std::time::Duration;

use countersign_ca::PublicKey;
use countersign_ca::upstream::{CertificateStatus, UpstreamError, backoff};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::SpkiSha256;
use countersign_core::time::Timestamp;
use countersign_store::{StoreError, UpstreamIntentRow, UpstreamRevocationRow};
use tokio::time::MissedTickBehavior;

use super::{Upstream, about};
use crate::authority::Authority;
use crate::enrol::Chain;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(2);

/// How many revocations are taken at once.
const AT_ONCE: u32 = 20;

/// For how long they are then one authority's: longer than all of these calls can take.
const CLAIM: Duration = Duration::from_secs(600);

/// How long after the request it is looked whether the revocation has come through.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// A call is over in seconds: whoever made one that is older is gone, or never got its answer.
const CALL_LIFE: Duration = Duration::from_secs(120);

/// When certificates nobody knows of are looked for again.
#[derive(Debug, Default)]
pub(super) struct Search {
    failures: u32,
    due: Option<Timestamp>,
}

impl Authority {
    /// Keeps the CA elsewhere up to date for ever; at once over when there is none.
    pub async fn keep_upstream(self: Arc<Self>) {
        if self.upstream.is_none() {
            return;
        }
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.sweep_upstream().await {
                tracing::error!(error = %Chain(&error), "sweep of the upstream ca failed");
            }
        }
    }

    /// Does everything that is due there now. That the API fails is no error: what it did not do stays
    /// on record and is tried again, after 60 s and ever later, at the latest after a day.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_upstream(&self) -> Result<(), StoreError> {
        let Some(upstream) = &self.upstream else { return Ok(()) };
        let searched = self.search_unknown(upstream).await;
        self.revoke_due(upstream).await.and(searched)
    }

    /// What is still to be revoked at the CA elsewhere, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_upstream_revocations(&self) -> Result<Vec<UpstreamRevocationRow>, StoreError> {
        self.store.read(|r| Box::pin(async move { r.open_upstream_revocations().await })).await
    }

    async fn revoke_due(&self, upstream: &Upstream) -> Result<(), StoreError> {
        let (zone, now) = (upstream.api.zone().to_string(), self.now());
        let claimed = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    w.queue_what_is_revoked(&zone, now).await?;
                    w.claim_upstream_revocations(&zone, (now, now + CLAIM), AT_ONCE).await
                })
            })
            .await?;
        for row in claimed {
            self.carry_on(upstream, row).await?;
        }
        Ok(())
    }

    /// The next step of one revocation: the request, or a look at what became of it.
    async fn carry_on(&self, upstream: &Upstream, row: UpstreamRevocationRow) -> Result<(), StoreError> {
        let now = self.now();
        let outcome = match row.asked_at {
            None => upstream.api.revoke(&row.id, now).await,
            Some(_) => match upstream.api.status(&row.id, now).await {
                // Brought back by somebody over there: nobody here has changed their mind.
                Ok(Some(CertificateStatus::Active | CertificateStatus::PendingReactivation)) => {
                    upstream.api.revoke(&row.id, now).await
                }
                looked => looked,
            },
        };
        match outcome {
            Ok(None | Some(CertificateStatus::Revoked)) => self.upstream_has_revoked(row, now).await,
            Ok(Some(_pending)) => self.upstream_was_asked(row, now).await,
            Err(error) => self.upstream_failed(row, &error, now).await,
        }
    }

    async fn upstream_has_revoked(
        &self,
        row: UpstreamRevocationRow,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        tracing::info!(certificate = %row.id, "revoked at the upstream ca");
        let entry = entry(&row, AuditEvent::UpstreamRevoked, now);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if w.finish_upstream_revocation(&row.zone, &row.id, now).await? {
                        w.append_audit(&entry).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn upstream_was_asked(
        &self,
        mut row: UpstreamRevocationRow,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let first = row.asked_at.is_none();
        if first {
            row.attempts = 0;
            row.asked_at = Some(now);
        }
        row.problem = None;
        let due = now + if first { LOOK_AGAIN } else { backoff(row.attempts) };
        let entry = first.then(|| entry(&row, AuditEvent::UpstreamRevocationAsked, now));
        self.put_back(row, due, entry).await
    }

    async fn upstream_failed(
        &self,
        mut row: UpstreamRevocationRow,
        error: &UpstreamError,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let wait = if let UpstreamError::Throttled(wait) = error {
            // It was not asked, so this was no attempt.
            row.attempts = row.attempts.saturating_sub(1);
            *wait
        } else {
            tracing::warn!(error = %Chain(error), certificate = %row.id, attempts = row.attempts,
                "cannot revoke at the upstream ca; our doors refuse the certificate already");
            backoff(row.attempts)
        };
        row.problem = Some(error.code().to_owned());
        self.put_back(row, now + wait, None).await
    }

    async fn put_back(
        &self,
        row: UpstreamRevocationRow,
        due: Timestamp,
        entry: Option<AuditEntry>,
    ) -> Result<(), StoreError> {
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let is_open = w.put_back_upstream_revocation(&row, due).await?;
                    if let Some(entry) = entry.filter(|_entry| is_open) {
                        w.append_audit(&entry).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Looks for certificates that were made while their answer, or whoever waited for it, was lost.
    async fn search_unknown(&self, upstream: &Upstream) -> Result<(), StoreError> {
        let now = self.now();
        if upstream.search.lock().due.is_some_and(|due| now < due) {
            return Ok(());
        }
        let (zone, before) = (upstream.api.zone().to_string(), now - CALL_LIFE);
        let open = self
            .store
            .read(move |r| Box::pin(async move { r.upstream_intents_before(&zone, before).await }))
            .await?;
        if open.is_empty() {
            return Ok(());
        }
        let known = match upstream.api.certificates(now).await {
            Ok(known) => known,
            Err(error) => {
                let mut search = upstream.search.lock();
                search.failures += 1;
                search.due = Some(now + backoff(search.failures));
                tracing::warn!(error = %Chain(&error), open = open.len(),
                    "cannot look for certificates whose answer was lost");
                return Ok(());
            }
        };
        *upstream.search.lock() = Search::default();
        let keys: Vec<(SpkiSha256, String)> = known
            .into_iter()
            .filter(|certificate| certificate.status != CertificateStatus::Revoked)
            .filter_map(|certificate| Some((key_of(&certificate.certificate)?, certificate.id)))
            .collect();
        for intent in open {
            let of_key = keys.iter().filter(|(key, _id)| *key == intent.spki);
            let ids = of_key.map(|(_key, id)| id.clone()).collect();
            self.abandon_upstream(intent, ids, before).await?;
        }
        Ok(())
    }

    /// Closes a call without an answer; what was made by it and is on no record is to be revoked. Another
    /// call for the same key that is still under way is waited for: it may be its certificate.
    async fn abandon_upstream(
        &self,
        intent: UpstreamIntentRow,
        ids: Vec<String>,
        before: Timestamp,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let event = about(&intent, AuditEvent::CertificateAbandoned, now).detail("reason", "no_answer");
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if w.upstream_intents_since(intent.spki, before).await? > 0 {
                        return Ok(());
                    }
                    if !w.finish_upstream_intent(intent.id).await? {
                        return Ok(());
                    }
                    let mut unknown = 0_u32;
                    for id in &ids {
                        if w.upstream_certificate(&intent.zone, id).await?.is_none()
                            && w.queue_upstream_revocation(&intent.zone, id, now).await?
                        {
                            unknown += 1;
                        }
                    }
                    w.append_audit(&event.detail("found", unknown)).await
                })
            })
            .await
    }
}

/// The hash of a certificate's key; `None` for what cannot be read, which is no device's.
fn key_of(pem: &str) -> Option<SpkiSha256> {
    let der = countersign_ca::upstream::der_of(pem)?;
    PublicKey::from_certificate_der(&der).ok().map(|key| key.sha256())
}

fn entry(row: &UpstreamRevocationRow, event: AuditEvent, now: Timestamp) -> AuditEntry {
    AuditEntry::new(None, now, event, Actor::System).detail("zone", &row.zone).detail("upstreamId", &row.id)
}
