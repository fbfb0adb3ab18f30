//! Reading the audit.

pub use countersign_store::{AuditFilter, AuditRecord, ChainScope, StoreError};

use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::devices::LookError;

impl Authority {
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
