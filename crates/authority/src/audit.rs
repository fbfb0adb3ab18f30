//! Reading the audit.

use countersign_core::time::Timestamp;
pub use countersign_store::{AuditCutRow, AuditFilter, AuditRecord, ChainScope, StoreError};

pub use crate::alerts::AuditVerified;
use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::devices::LookError;

/// How the chains stand.
#[derive(Clone, Debug)]
pub struct AuditStanding {
    /// What recomputing them showed; `None`: this process has not yet.
    pub verified: Option<AuditVerified>,
    /// The newest anchor: its number, and when it was made.
    pub anchor: Option<(u64, Timestamp)>,
    /// Where one of them was cut last.
    pub cut: Option<AuditCutRow>,
}

impl Authority {
    /// How the chains stand. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn audit_standing(&self, by: &Authorized<View>) -> Result<AuditStanding, LookError> {
        by.covers_all()?;
        let found = self.store.read(|r| {
            Box::pin(async move { Ok::<_, StoreError>((r.latest_anchor().await?, r.audit_cuts().await?)) })
        });
        let (anchor, cuts) = found.await?;
        Ok(AuditStanding {
            verified: self.alerts.verified.lock().clone(),
            anchor: anchor.map(|anchor| (anchor.statement.number, anchor.statement.at)),
            cut: cuts.into_iter().max_by_key(|cut| cut.anchor),
        })
    }

    /// Entries of the audit, newest first; a caller bound to a tenant sees that tenant's chain alone.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn audit(
        &self,
        by: &Authorized<View>,
        mut filter: AuditFilter,
    ) -> Result<Vec<AuditRecord>, LookError> {
        if let Some(own) = by.scope() {
            filter.scope = ChainScope::Tenant(self.tenant(own).await?.slug);
        }
        Ok(self.store.read(move |r| Box::pin(async move { r.audit_entries(&filter).await })).await?)
    }
}
