//! Tenants.

use countersign_core::agent_settings::AgentSettings;
use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::ids::{Tenant, TenantId};
use countersign_core::settings::MtlsSettings;
use countersign_core::snapshot::TenantService;
use countersign_store::StoreError;
pub use countersign_store::TenantRow;
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Authorized, Forbidden, Own, View};
use crate::installation::default_site;
use crate::publish::Applied;

/// A tenant was not made.
#[derive(Debug, Error)]
pub enum CreateTenantError {
    /// Only who sees every tenant may make one.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The slug is taken.
    #[error("the slug is taken")]
    Taken,
    /// The store failed.
    #[error("cannot make the tenant")]
    Store(#[from] StoreError),
}

/// A tenant was not suspended or taken back; nothing changed.
#[derive(Debug, Error)]
pub enum TenantServiceError {
    /// It was not found, or may not be decided about.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// It is so already.
    #[error("the tenant is so already")]
    Unchanged,
    /// The store failed.
    #[error("cannot change the tenant")]
    Store(#[from] StoreError),
}

/// A tenant was not found, or may not be seen.
#[derive(Debug, Error)]
pub enum TenantError {
    /// There is no such tenant.
    #[error("unknown tenant")]
    Unknown,
    /// It is not the caller's.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error("cannot look up the tenant")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes a tenant with its site `default`.
    ///
    /// # Errors
    /// See [`CreateTenantError`].
    pub async fn create_tenant(
        &self,
        by: &Authorized<Own>,
        slug: Tenant,
        name: String,
    ) -> Result<TenantRow, CreateTenantError> {
        by.covers_all()?;
        let now = self.now();
        let tenant = TenantRow {
            id: TenantId::random(),
            slug,
            name,
            created_at: now,
            suspended_at: None,
            settings: MtlsSettings::default(),
            agent_settings: AgentSettings::default(),
        };
        let row = tenant.clone();
        let entry = AuditEntry::new(Some(row.slug.clone()), now, AuditEvent::TenantCreated, by.actor())
            .detail("id", row.id)
            .detail("name", &row.name);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if !w.insert_tenant(&row).await? {
                        return Err(CreateTenantError::Taken);
                    }
                    w.insert_site(&default_site(row.id)).await?;
                    w.tenant_trust_changed(row.id).await?;
                    w.append_audit(&entry).await?;
                    Ok(())
                })
            })
            .await?;
        self.publish_changes().await?;
        Ok(tenant)
    }

    /// Suspends a tenant, so that its devices are served nowhere, or takes it back.
    ///
    /// # Errors
    /// See [`TenantServiceError`]; of two calls at once one wins.
    pub async fn set_tenant_service(
        &self,
        by: &Authorized<Own>,
        slug_or_id: &str,
        service: TenantService,
    ) -> Result<Applied, TenantServiceError> {
        let tenant = self.find_tenant(by, slug_or_id).await?;
        by.covers_all().map_err(TenantError::from)?;
        let (id, now) = (tenant.id, self.now());
        let event = match service {
            TenantService::Suspended => AuditEvent::TenantSuspended,
            TenantService::Running => AuditEvent::TenantResumed,
        };
        let entry = AuditEntry::new(Some(tenant.slug.clone()), now, event, by.actor()).detail("id", id);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let changed = match service {
                        TenantService::Suspended => w.suspend_tenant(id, now).await?,
                        TenantService::Running => w.resume_tenant(id).await?,
                    };
                    if !changed {
                        return Err(TenantServiceError::Unchanged);
                    }
                    w.tenant_trust_changed(id).await?;
                    w.append_audit(&entry).await?;
                    Ok(())
                })
            })
            .await?;
        Ok(self.publish_changes().await?)
    }

    /// The tenants that the caller may see.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_tenants(&self, by: &Authorized<View>) -> Result<Vec<TenantRow>, StoreError> {
        let mut tenants = self.store.read(|r| Box::pin(async move { r.tenants().await })).await?;
        tenants.retain(|tenant| by.covers(tenant.id).is_ok());
        Ok(tenants)
    }

    /// Finds a tenant by its slug or its id.
    ///
    /// # Errors
    /// See [`TenantError`].
    pub async fn find_tenant<P>(
        &self,
        by: &Authorized<P>,
        slug_or_id: &str,
    ) -> Result<TenantRow, TenantError> {
        let id = slug_or_id.parse::<TenantId>().ok();
        let slug = slug_or_id.parse::<Tenant>().ok();
        let found = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    if let Some(id) = id
                        && let Some(tenant) = r.tenant_by_id(id).await?
                    {
                        return Ok(Some(tenant));
                    }
                    match slug {
                        Some(slug) => r.tenant_by_slug(&slug).await,
                        None => Ok::<_, StoreError>(None),
                    }
                })
            })
            .await?;
        let tenant = found.ok_or(TenantError::Unknown)?;
        by.covers(tenant.id)?;
        Ok(tenant)
    }
}
