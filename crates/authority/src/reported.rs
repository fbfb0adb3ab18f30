//! Report: accesses to data that others tell of (seed 003). Their word, kept as such.

use std::time::Duration;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{DeviceId, Tenant, TenantId};
use countersign_core::snapshot::CertificateClaim;
use countersign_core::time::Timestamp;
use countersign_store::{AuditFilter, AuditRecord, ChainScope, LIST_LIMIT, StoreError};

use crate::authority::{Authority, DEFAULT_TENANT};
use crate::authorized::{Authorized, View};
use crate::tenants::TenantError;

/// Who reports, as the connection or the session proved it; never what the report says.
#[derive(Clone, Debug)]
pub struct Reporter {
    tenant: Tenant,
    actor: Actor,
    device: Option<DeviceId>,
    by: String,
}

/// What somebody says happened.
#[derive(Clone, Debug)]
pub struct AccessReport {
    /// When, by their clock.
    pub timestamp: Timestamp,
    /// What was done.
    pub action: String,
    /// With what kind of data.
    pub data_type: String,
    /// By whom, as they call them.
    pub user: String,
    /// Whether they used a certificate, as they say.
    pub certificate_used: bool,
    /// Further facts as a JSON text, or nothing.
    pub additional: Option<String>,
}

impl Authority {
    /// The reporter that a device's certificate proves; the caller has admitted it.
    ///
    /// # Errors
    /// [`StoreError`]; `None` when the device is not on record.
    pub async fn reporter_by_certificate(
        &self,
        claim: &CertificateClaim,
    ) -> Result<Option<Reporter>, StoreError> {
        let reference = claim.reference.clone();
        let row = self
            .store
            .read(move |r| Box::pin(async move { r.certificate_by_reference(&reference).await }))
            .await?;
        Ok(row.map(|row| Reporter {
            tenant: claim.identity.tenant().clone(),
            actor: Actor::Device(row.device),
            device: Some(row.device),
            by: claim.identity.uri(),
        }))
    }

    /// The reporter that a session proves: for the person's own tenant, or `default`.
    ///
    /// # Errors
    /// See [`TenantError`].
    pub async fn reporter_by_session(&self, by: &Authorized<View>) -> Result<Reporter, TenantError> {
        let own: Option<TenantId> = by.scope();
        let tenant = match own {
            Some(own) => self.tenant(own).await?.slug,
            None => self.find_tenant(by, DEFAULT_TENANT).await?.slug,
        };
        Ok(Reporter { tenant, actor: by.actor(), device: None, by: by.actor().to_string() })
    }

    /// Writes a report down as reported by whoever proved to be there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn report_access(&self, reporter: Reporter, report: AccessReport) -> Result<(), StoreError> {
        let Reporter { tenant, actor, device, by } = reporter;
        let mut entry = AuditEntry::new(Some(tenant), self.now(), AuditEvent::AccessReported, actor)
            .detail("reportedBy", by)
            .detail("reportedAt", report.timestamp)
            .detail("action", report.action)
            .detail("dataType", report.data_type)
            .detail("userId", report.user)
            .detail("certificateUsed", report.certificate_used);
        if let Some(additional) = report.additional {
            entry = entry.detail("additionalData", additional);
        }
        if let Some(device) = device {
            entry = entry.device(device);
        }
        self.store.write(move |w| Box::pin(async move { w.append_audit(&entry).await })).await
    }

    /// The reports of the last hours, newest first: a device sees its own, a person their tenant's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reported_accesses(
        &self,
        reporter: &Reporter,
        age: Duration,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let filter = AuditFilter {
            scope: ChainScope::Tenant(reporter.tenant.clone()),
            event: Some(AuditEvent::AccessReported),
            device: reporter.device,
            since: Some(self.now() - age),
            limit: LIST_LIMIT,
            ..AuditFilter::default()
        };
        self.store.read(move |r| Box::pin(async move { r.audit_entries(&filter).await })).await
    }
}
