//! Certificate revocation lists: for everyone who is not one of our doors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign_ca::{CrlContents, CrlEntry};
use countersign_ca::{CrlError, Issuer};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::Lifetime;
use countersign_core::ids::IssuerKeyId;
use countersign_core::time::Timestamp;
use countersign_store::{CrlRow, IssuerRole, StoreError};
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::authority::Authority;
use crate::enrol::Chain;
use crate::issuers::Ca;

/// How long a CRL says it is good for: a day; it is signed anew at two thirds of that.
const CRL_LIFE: Duration = Duration::from_secs(86_400);

/// How long revocations wait for company before the CRL is signed.
const GATHER: Duration = Duration::from_millis(500);

/// How long to wait before looking whether a CRL has become old.
const LOOK: Duration = Duration::from_secs(60);

/// Word that the CRLs are behind.
#[derive(Debug, Default)]
pub(crate) struct CrlWork {
    urgent: Notify,
    waiting: AtomicBool,
}

impl CrlWork {
    /// Something was revoked that others must hear of.
    pub(crate) fn want_now(&self) {
        self.urgent.notify_one();
    }

    /// Something was revoked that nobody has or that was replaced: the next look takes it along.
    pub(crate) fn want_soon(&self) {
        self.waiting.store(true, Ordering::Relaxed);
    }
}

/// Whose CRLs are behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Nobody's.
    None,
    /// Those of the CAs that make devices: what is revoked on request.
    OfDevices,
    /// Those of every issuing CA: what was signed and abandoned may be a door's.
    All,
}

/// No CRL could be signed.
#[derive(Debug, Error)]
pub enum SignCrlError {
    /// The CA failed.
    #[error("cannot sign the CRL")]
    Sign(#[from] CrlError),
    /// The store failed.
    #[error("cannot keep the CRL")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Signs CRLs for ever: soon after a revocation, and before they get old.
    pub async fn publish_crls(self: Arc<Self>) {
        loop {
            let woken = timeout(LOOK, self.crl.urgent.notified()).await;
            if woken.is_ok() {
                tokio::time::sleep_until(Instant::now() + GATHER).await;
            }
            let wanted = match (self.crl.waiting.swap(false, Ordering::Relaxed), woken) {
                (true, _) => Wanted::All,
                (false, Ok(())) => Wanted::OfDevices,
                (false, Err(_)) => Wanted::None,
            };
            for ca in self.issuers().all() {
                if let Err(error) = self.refresh_crl(ca, wanted).await {
                    // What could not be signed is still wanted.
                    self.crl.want_soon();
                    tracing::error!(error = %Chain(&error), issuer = %ca.key_id(), "cannot publish the crl");
                }
            }
        }
    }

    /// Signs the CRLs for a start: a process that died after a revocation may not have come to sign
    /// the list that has it.
    ///
    /// # Errors
    /// See [`SignCrlError`].
    pub async fn refresh_crls(&self) -> Result<(), SignCrlError> {
        for ca in self.issuers().all() {
            self.refresh_crl(ca, Wanted::All).await?;
        }
        Ok(())
    }

    /// Nothing where the key is not at hand: its list is signed where that is.
    async fn refresh_crl(&self, ca: &Ca, wanted: Wanted) -> Result<(), SignCrlError> {
        let Ok(issuer) = ca.issuer() else { return Ok(()) };
        let (id, now) = (ca.key_id(), self.now());
        let latest = self.store.read(move |r| Box::pin(async move { r.latest_crl(id).await })).await?;
        let is_old = latest.as_ref().is_none_or(|crl| {
            Lifetime { issued_at: crl.this_update, expires_at: crl.next_update }.renewal_due(now)
        });
        let is_wanted = match wanted {
            Wanted::None => false,
            Wanted::OfDevices => ca.role() == IssuerRole::Device,
            // A root's list has nothing of what is issued from day to day.
            Wanted::All => ca.role() != IssuerRole::Root,
        };
        if is_old || is_wanted { self.sign_crl(issuer, now).await } else { Ok(()) }
    }

    async fn sign_crl(&self, issuer: &Issuer, now: Timestamp) -> Result<(), SignCrlError> {
        let id = issuer.key_id();
        // The number is taken before signing: a crash leaves a gap, never a repetition.
        let (number, entries) = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    Ok::<_, StoreError>((w.next_crl_number(id).await?, w.crl_entries(id, now).await?))
                })
            })
            .await?;
        let contents = CrlContents {
            number,
            this_update: now.floor_to_second(),
            next_update: (now + CRL_LIFE).floor_to_second(),
            entries: entries
                .into_iter()
                .map(|row| CrlEntry {
                    serial: row.reference.serial,
                    revoked_at: row.revoked_at,
                    reason: row.reason,
                })
                .collect(),
            distribution_point: None,
        };
        let der = issuer.sign_crl(&contents)?;
        let entry = AuditEntry::new(None, now, AuditEvent::CrlSigned, Actor::System)
            .detail("issuer", id)
            .detail("number", number)
            .detail("entries", contents.entries.len());
        let row = CrlRow {
            issuer: id,
            number,
            this_update: contents.this_update,
            next_update: contents.next_update,
            der,
        };
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.save_crl(&row).await?;
                    w.append_audit(&entry).await
                })
            })
            .await?;
        Ok(())
    }

    /// The latest CRL of a CA, DER.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn latest_crl(&self, issuer: IssuerKeyId) -> Result<Option<CrlRow>, StoreError> {
        self.store.read(move |r| Box::pin(async move { r.latest_crl(issuer).await })).await
    }
}
