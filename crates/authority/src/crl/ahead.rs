//! Lists that last while the key of their CA is away.

use std::sync::Arc;
use std::time::Duration;

use countersign_ca::CertificateDescription;
use countersign_core::audit::AuditEntry;
use countersign_core::crl_scope::CrlScope;
use countersign_core::time::Timestamp;
use countersign_store::{CrlName, StoreError, Writing};

use super::{Lists, SignCrlError, Signed, crls_entry, sign_all};
use crate::authority::Authority;
use crate::issuers::Ca;

/// Lists that were signed for long and are not on record yet.
#[derive(Debug)]
pub(crate) struct SignedAhead {
    signed: Vec<Signed>,
    entry: AuditEntry,
}

impl SignedAhead {
    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.signed.len()
    }

    /// When the first of them ends.
    pub(crate) fn crl_until(&self) -> Option<Timestamp> {
        self.signed.iter().map(|(row, ..)| row.next_update).min()
    }

    /// Puts them on record, within a transaction.
    pub(crate) async fn record(&self, w: &mut Writing<'_>) -> Result<(), StoreError> {
        super::record_signed(w, &self.signed).await?;
        w.append_audit(&self.entry).await
    }
}

/// Every list that a certificate of a CA may name.
pub(super) fn every_scope(lists: Lists) -> Vec<CrlScope> {
    let shards = (0..=u8::MAX).map(CrlScope::Shard).filter(|scope| lists.have(*scope));
    std::iter::once(CrlScope::Whole).chain(shards).collect()
}

impl Authority {
    /// Whether certificates or lists of a CA name a public address and this configuration has none: then
    /// it is not that of the server, and what is signed under it would not be all that is published.
    pub(crate) async fn lacks_public_address(&self, ca: &Ca) -> Result<bool, StoreError> {
        if self.lists() == Lists::Sharded {
            return Ok(false);
        }
        let (issuer, issuers, now) = (ca.key_id(), self.issuers(), self.now());
        let dates = self.store.read(|r| Box::pin(async move { r.crl_dates().await })).await?;
        let is_shard = |list: CrlName| list.issuer == issuer && list.scope != CrlScope::Whole;
        let names_list = |der: &[u8]| {
            CertificateDescription::of(der, None, now).is_ok_and(|said| !said.crl_urls.is_empty())
        };
        let mut below = issuers.all().filter(|one| one.parent() == Some(issuer));
        Ok(dates.iter().any(|date| is_shard(date.list)) || below.any(|one| names_list(one.certificate_der())))
    }

    /// Signs every list of a CA for so long, at most to the CA's own end.
    pub(crate) async fn sign_crls_ahead(
        &self,
        ca: &Arc<Ca>,
        life: Duration,
    ) -> Result<SignedAhead, SignCrlError> {
        let _alone = self.crl.signing.lock().await;
        let now = self.now();
        let until = ca.issuer().map_or(now + life, |issuer| (now + life).min(issuer.not_after()));
        let mut drafts = self.draft_crls(ca.key_id(), &every_scope(self.lists())).await?;
        for draft in &mut drafts {
            draft.contents.next_update = until.floor_to_second();
        }
        let signer = Arc::clone(ca);
        let signed = tokio::task::spawn_blocking(move || sign_all(&signer, drafts)).await??;
        let entry = crls_entry(ca.key_id(), &signed, now);
        Ok(SignedAhead { signed, entry })
    }
}
