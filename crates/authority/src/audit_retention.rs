//! Old entries of the audit are removed: up to an end that an anchor vouches for, when the whole audit is as it was
//! written, every copy has them, and nothing is lost that was to be kept elsewhere first.

use std::time::Duration;

use countersign_ca::SignedAnchor;
use countersign_core::anchor::AnchoredHead;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::time::Timestamp;
use countersign_store::{AnchorRow, AuditCutRow, AuditFilter, ChainScope, Reading, StoreError};
use thiserror::Error;

use crate::anchors::AnchorError;
use crate::audit_export::{AuditExport, ExportFormat};
use crate::authority::Authority;

/// How long lies between two removals at least: each is one file, and one entry.
const BETWEEN: Duration = Duration::from_secs(86_400);

/// How many entries are removed in one transaction.
const AT_ONCE: u32 = 200;

/// What can be removed.
#[derive(Debug)]
pub struct AuditCut {
    anchor: SignedAnchor,
    /// The last entry of each chain that goes.
    ends: Vec<AnchoredHead>,
}

/// Nothing was removed.
#[derive(Debug, Error)]
pub enum CutError {
    /// An anchor cannot be read, or is not what was signed.
    #[error("cannot use the anchor")]
    Anchor(#[from] AnchorError),
    /// An entry is not what it was when it was anchored, or some other is not as it was written.
    #[error("the audit is not as it was written: {0}")]
    Broken(String),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

impl AuditCut {
    /// What vouches for what remains, and for what goes.
    #[must_use]
    pub const fn anchor(&self) -> &SignedAnchor {
        &self.anchor
    }
}

impl Authority {
    /// What can be removed of the entries that are older than this; `None` when there is nothing, when the last
    /// removal was less than a day ago, or when a copy has not all of it.
    ///
    /// # Errors
    /// See [`CutError`].
    pub async fn audit_to_cut(&self, kept: Duration) -> Result<Option<AuditCut>, CutError> {
        let now = self.now();
        let found: Result<Option<(AnchorRow, Vec<AnchoredHead>, u64)>, StoreError> =
            self.store.read(move |r| Box::pin(async move { cut_of(r, (now, now - kept)).await })).await;
        let Some((anchor, ends, last)) = found? else { return Ok(None) };
        let streams = self.stream_statuses().await?;
        if let Some(behind) = streams.iter().find(|stream| stream.row.position < last) {
            tracing::warn!(stream = %behind.row.name, "audit not removed, a copy has not all of it");
            return Ok(None);
        }
        Ok(Some(AuditCut { anchor: self.anchors.signed(anchor)?, ends }))
    }

    /// What goes, for keeping elsewhere: an export for each chain.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn export_cut(&self, cut: &AuditCut) -> Result<Vec<AuditExport>, StoreError> {
        let mut exports = Vec::with_capacity(cut.ends.len());
        for end in &cut.ends {
            let scope = end.tenant.clone().map_or(ChainScope::Platform, ChainScope::Tenant);
            let filter = AuditFilter { scope, up_to: Some(end.sequence), ..AuditFilter::default() };
            exports.push(AuditExport::begin(self.store.clone(), filter, ExportFormat::JsonLines).await?);
        }
        Ok(exports)
    }

    /// Cuts: from now on every chain begins after what goes. `kept_in` is where that was put before.
    ///
    /// # Errors
    /// See [`CutError`]. Fails closed: nothing is removed of an audit that is not as it was written.
    pub async fn cut_audit(&self, cut: AuditCut, kept_in: Option<String>) -> Result<(), CutError> {
        if let Some(broken) = self.verify_audit().await? {
            return Err(CutError::Broken(broken));
        }
        let (now, anchor) = (self.now(), cut.anchor.statement().number);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let mut chains = 0_u64;
                    for end in cut.ends {
                        let stored = w.audit_hash(end.tenant.as_ref(), end.sequence).await?;
                        if stored != Some(end.hash) {
                            return Err(CutError::Broken(format!("anchor {anchor} names another")));
                        }
                        if w.cut_audit(&AuditCutRow { end, anchor, at: now }).await? {
                            chains += 1;
                        }
                    }
                    // Another authority may have been here.
                    if chains == 0 {
                        return Ok(());
                    }
                    let entry = AuditEntry::new(None, now, AuditEvent::AuditCut, Actor::System)
                        .detail("anchor", anchor)
                        .detail("before", cut.anchor.statement().at)
                        .detail("chains", chains)
                        .detail("keptIn", kept_in.as_deref().unwrap_or("nowhere"));
                    Ok(w.append_audit(&entry).await?)
                })
            })
            .await
    }

    /// Removes what lies behind the cuts, a few entries in each transaction.
    ///
    /// # Errors
    /// [`StoreError`]: the rest is removed the next time.
    pub async fn remove_cut_audit(&self) -> Result<(), StoreError> {
        let cuts = self.store.read(|r| Box::pin(async move { r.audit_cuts().await })).await?;
        for cut in cuts {
            loop {
                let this = cut.clone();
                let removed: Result<u64, StoreError> = self
                    .store
                    .write(move |w| Box::pin(async move { w.remove_cut_audit(&this, AT_ONCE).await }))
                    .await;
                if removed? < u64::from(AT_ONCE) {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The newest anchor from before a moment, the ends that it names and that lie before no cut yet, and the last
/// entry among them by its number in the log.
async fn cut_of(
    r: &mut Reading<'_>,
    (now, before): (Timestamp, Timestamp),
) -> Result<Option<(AnchorRow, Vec<AnchoredHead>, u64)>, StoreError> {
    let cuts = r.audit_cuts().await?;
    if cuts.iter().any(|cut| now.since(cut.at) < BETWEEN) {
        return Ok(None);
    }
    let Some(anchor) = anchor_before(r, before).await? else { return Ok(None) };
    let is_cut = |head: &AnchoredHead| {
        cuts.iter().any(|cut| cut.end.tenant == head.tenant && cut.end.sequence >= head.sequence)
    };
    let ends: Vec<AnchoredHead> =
        anchor.statement.heads.iter().filter(|head| !is_cut(head)).cloned().collect();
    let mut last = 0;
    for end in &ends {
        last = last.max(r.audit_id(end.tenant.as_ref(), end.sequence).await?.unwrap_or_default());
    }
    Ok((!ends.is_empty()).then_some((anchor, ends, last)))
}

/// Anchors are made one after the other: the newest that is old enough is found by halving.
async fn anchor_before(r: &mut Reading<'_>, before: Timestamp) -> Result<Option<AnchorRow>, StoreError> {
    let newest = r.latest_anchor().await?.map_or(0, |anchor| anchor.statement.number);
    let (mut found, mut low, mut high) = (None, 1, newest);
    while low <= high {
        let middle = low.midpoint(high);
        let Some(row) = r.anchors_after(middle - 1, 1).await?.pop() else { break };
        if row.statement.at <= before {
            (found, low) = (Some(row), middle + 1);
        } else {
            high = middle - 1;
        }
    }
    Ok(found)
}
