//! A CA elsewhere that signs for our devices: intent → call → check → intent for the serial it gave.
//! From there on its certificate goes the way of every other.

mod queue;

use std::time::Duration;

use countersign_ca::upstream::{
    Cloudflare, Misissued, UpstreamCertificate, UpstreamError, Wanted, certified, signing_request,
};
use countersign_ca::{IssuedCertificate, Profile, csr_pem};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::UpstreamIntentId;
use countersign_core::time::Timestamp;
use countersign_store::{IntentRow, StoreError, UpstreamCertificateRow, UpstreamIntentRow, Writing};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::authority::Authority;
use crate::enrol::Chain;
use crate::issue::{DeviceIssuer, DeviceSubject, IssuanceError, Requested, Signed, Unrecorded};

use queue::Search;

/// The profile's name in intents and audit.
const PROFILE: &str = "device";

/// What the issuer is called in the audit until its key is known.
const ISSUER: &str = "cloudflare";

const DAY: u64 = 86_400;

/// Cloudflare, and what is remembered about asking it.
#[derive(Debug)]
pub(crate) struct Upstream {
    api: Cloudflare,
    search: Mutex<Search>,
}

impl Upstream {
    pub(crate) fn new(api: Cloudflare) -> Self {
        Self { api, search: Mutex::default() }
    }
}

impl DeviceIssuer for Upstream {
    fn issue<'a>(
        &'a self,
        authority: &'a Authority,
        subject: DeviceSubject,
        key: Requested<'a>,
    ) -> BoxFuture<'a, Result<Unrecorded, IssuanceError>> {
        Box::pin(self.issue_for(authority, subject, key))
    }
}

impl Upstream {
    async fn issue_for(
        &self,
        authority: &Authority,
        subject: DeviceSubject,
        key: Requested<'_>,
    ) -> Result<Unrecorded, IssuanceError> {
        let request = match key {
            Requested::Csr(csr) => csr_pem(csr.der()),
            Requested::OwnKey(own) => {
                let profile = Profile::Device { identity: subject.identity.clone() };
                csr_pem(&signing_request(own, &profile)?)
            }
        };
        let now = authority.now();
        let intent = UpstreamIntentRow {
            id: UpstreamIntentId::random(),
            zone: self.api.zone().to_string(),
            spki: key.key().sha256(),
            device: Some(subject.device),
            at: now,
        };
        authority.intend_upstream(&intent, &subject).await?;
        crate::repair::crash_point("upstream-intent");
        let answered = match self.api.issue(&request, days(subject.lifetime), now).await {
            Ok(answered) => answered,
            Err(error) => {
                if !error.leaves_doubt() {
                    authority.drop_upstream_intent(&intent, &error).await?;
                }
                return Err(error.into());
            }
        };
        crate::repair::crash_point("upstream-answer");
        let wanted = Wanted { key: key.key(), identity: &subject.identity, now, lifetime: subject.lifetime };
        match certified(&answered.certificate, &wanted) {
            Ok(certificate) => {
                authority.name_upstream(&intent, &answered, &certificate).await?;
                Ok(Unrecorded { certificate, subject, signed: Signed::Elsewhere })
            }
            Err(misissued) => {
                authority.reject_upstream(&intent, &answered, &misissued).await?;
                Err(misissued.into())
            }
        }
    }
}

/// In whole days, which is what is asked in: never less than wanted, since ours is the end that counts.
fn days(lifetime: Duration) -> u32 {
    u32::try_from(lifetime.as_secs().div_ceil(DAY)).unwrap_or(u32::MAX).max(1)
}

impl Authority {
    async fn intend_upstream(
        &self,
        intent: &UpstreamIntentRow,
        subject: &DeviceSubject,
    ) -> Result<(), StoreError> {
        let tenant = subject.identity.tenant().clone();
        let mut entry = about(intent, AuditEvent::CertificateIntended, intent.at).detail("profile", PROFILE);
        entry.tenant = Some(tenant);
        let intent = intent.clone();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.insert_upstream_intent(&intent).await?;
                    w.append_audit(&entry).await
                })
            })
            .await
    }

    /// Nothing was made, for certain.
    async fn drop_upstream_intent(
        &self,
        intent: &UpstreamIntentRow,
        error: &UpstreamError,
    ) -> Result<(), StoreError> {
        let entry =
            about(intent, AuditEvent::CertificateAbandoned, self.now()).detail("reason", error.code());
        self.settle_upstream(intent, entry, |_w| Box::pin(async { Ok(()) })).await
    }

    /// What was made is not what was asked for: it is to be revoked there, and counts for nothing here.
    async fn reject_upstream(
        &self,
        intent: &UpstreamIntentRow,
        answered: &UpstreamCertificate,
        misissued: &Misissued,
    ) -> Result<(), StoreError> {
        let now = self.now();
        tracing::error!(error = %Chain(misissued), certificate = %answered.id, "cloudflare signed something else");
        let entry = about(intent, AuditEvent::CertificateAbandoned, now)
            .detail("reason", "misissued")
            .detail("upstreamId", &answered.id);
        let (zone, id) = (intent.zone.clone(), answered.id.clone());
        self.settle_upstream(intent, entry, move |w| {
            Box::pin(async move { w.queue_upstream_revocation(&zone, &id, now).await.map(drop) })
        })
        .await
    }

    /// The serial number is known: from here on the usual intent stands for it, and whoever abandons that
    /// revokes the certificate, here and there.
    async fn name_upstream(
        &self,
        intent: &UpstreamIntentRow,
        answered: &UpstreamCertificate,
        certificate: &IssuedCertificate,
    ) -> Result<(), StoreError> {
        let reference = certificate.reference().clone();
        let row = UpstreamCertificateRow {
            reference: reference.clone(),
            zone: intent.zone.clone(),
            id: answered.id.clone(),
        };
        let named = IntentRow {
            reference,
            device: intent.device,
            profile: PROFILE.to_owned(),
            at: self.now(),
            expires_at: certificate.lifetime().expires_at,
        };
        let id = intent.id;
        self.store
            .write(move |w| {
                Box::pin(async move {
                    // Gone: somebody took us for dead and looks for the certificate, to revoke it.
                    if !w.finish_upstream_intent(id).await? {
                        return Err(StoreError::raced("upstream intent", id));
                    }
                    w.insert_upstream_certificate(&row).await?;
                    w.insert_intent(&named).await
                })
            })
            .await
    }

    /// Closes an intent, with what goes with that. Without effect when somebody else did.
    async fn settle_upstream<F>(
        &self,
        intent: &UpstreamIntentRow,
        entry: AuditEntry,
        with: F,
    ) -> Result<(), StoreError>
    where
        F: for<'w> FnOnce(&'w mut Writing<'_>) -> BoxFuture<'w, Result<(), StoreError>> + Send + 'static,
    {
        let id = intent.id;
        self.store
            .write(move |w| {
                Box::pin(async move {
                    with(w).await?;
                    if w.finish_upstream_intent(id).await? {
                        w.append_audit(&entry).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

fn about(intent: &UpstreamIntentRow, event: AuditEvent, now: Timestamp) -> AuditEntry {
    let mut entry = AuditEntry::new(None, now, event, Actor::System)
        .detail("issuer", ISSUER)
        .detail("spkiSha256", intent.spki);
    entry.device = intent.device;
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_asked_for_in_whole_days() {
        for (seconds, asked) in [(1, 1), (DAY, 1), (DAY + 1, 2), (90 * DAY, 90)] {
            assert_eq!(days(Duration::from_secs(seconds)), asked);
        }
    }
}
