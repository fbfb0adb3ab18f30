//! Sites: places within a tenant.

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::ids::{SiteId, SiteSlug};
pub use countersign_store::ListedSite;
use countersign_store::{SiteRow, StoreError};
use thiserror::Error;

use crate::authority::{Authority, DEFAULT_TENANT};
use crate::authorized::{Administer, Authorized, Forbidden, View};
use crate::installation::DEFAULT_SITE;
use crate::tenants::TenantError;

/// The site that somebody wants.
#[derive(Clone, Debug)]
pub struct WantedSite {
    /// Slug or id of its tenant; `None`: the one that its maker is bound to, or `default`.
    pub tenant: Option<String>,
    /// Its short name.
    pub slug: SiteSlug,
    /// Its name for people.
    pub name: String,
}

/// A site was not made.
#[derive(Debug, Error)]
pub enum CreateSiteError {
    /// Its tenant was not found, or is another's.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The tenant has a site of this short name.
    #[error("the short name is taken")]
    Taken,
    /// The store failed.
    #[error("cannot make the site")]
    Store(#[from] StoreError),
}

/// A site was not found, or not changed.
#[derive(Debug, Error)]
pub enum SiteError {
    /// There is no such site.
    #[error("unknown site")]
    Unknown,
    /// It is another tenant's.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// It is in use by these: it is not deleted.
    #[error("the site has {0}")]
    InUse(&'static str),
    /// Every tenant keeps the site `default`.
    #[error("the site default stays")]
    Default,
    /// The store failed.
    #[error("cannot change the site")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes a site.
    ///
    /// # Errors
    /// See [`CreateSiteError`].
    pub async fn create_site(
        &self,
        by: &Authorized<Administer>,
        wanted: WantedSite,
    ) -> Result<ListedSite, CreateSiteError> {
        let tenant = match (wanted.tenant, by.scope()) {
            (None, Some(own)) => self.tenant(own).await?,
            (tenant, _) => self.find_tenant(by, tenant.as_deref().unwrap_or(DEFAULT_TENANT)).await?,
        };
        let site = SiteRow {
            id: SiteId::random(),
            tenant: tenant.id,
            slug: wanted.slug.to_string(),
            name: wanted.name,
        };
        let listed = ListedSite { site, tenant_slug: tenant.slug };
        let entry = self.site_entry(by, &listed, AuditEvent::SiteCreated);
        let row = listed.site.clone();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if !w.insert_site(&row).await? {
                        return Err(CreateSiteError::Taken);
                    }
                    w.append_audit(&entry).await?;
                    Ok(())
                })
            })
            .await?;
        Ok(listed)
    }

    /// A tenant's sites, or all that the caller sees, by tenant and short name.
    ///
    /// # Errors
    /// See [`TenantError`].
    pub async fn list_sites(
        &self,
        by: &Authorized<View>,
        tenant: Option<&str>,
    ) -> Result<Vec<ListedSite>, TenantError> {
        let tenant = match tenant {
            Some(tenant) => Some(self.find_tenant(by, tenant).await?.id),
            None => by.scope(),
        };
        Ok(self.store.read(move |r| Box::pin(async move { r.sites(tenant).await })).await?)
    }

    /// One site.
    ///
    /// # Errors
    /// See [`SiteError`].
    pub async fn site<P>(&self, by: &Authorized<P>, id: SiteId) -> Result<ListedSite, SiteError> {
        let found = self.store.read(move |r| Box::pin(async move { r.site(id).await })).await?;
        let site = found.ok_or(SiteError::Unknown)?;
        by.covers(site.site.tenant)?;
        Ok(site)
    }

    /// Gives a site another name for people; its short name stays.
    ///
    /// # Errors
    /// See [`SiteError`].
    pub async fn rename_site(
        &self,
        by: &Authorized<Administer>,
        id: SiteId,
        name: String,
    ) -> Result<ListedSite, SiteError> {
        let mut listed = self.site(by, id).await?;
        let entry = self.site_entry(by, &listed, AuditEvent::SiteChanged);
        let entry = entry.detail("name", format!("{} -> {name}", listed.site.name));
        listed.site.name.clone_from(&name);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if !w.rename_site(id, &name).await? {
                        return Err(SiteError::Unknown);
                    }
                    w.append_audit(&entry).await?;
                    Ok(())
                })
            })
            .await?;
        Ok(listed)
    }

    /// Deletes a site that no device and no enrolment key uses any more. Decommissioned devices and used
    /// up, expired or revoked keys of it are the site `default`'s from then on.
    ///
    /// # Errors
    /// See [`SiteError`].
    pub async fn delete_site(&self, by: &Authorized<Administer>, id: SiteId) -> Result<(), SiteError> {
        let listed = self.site(by, id).await?;
        if listed.site.slug == DEFAULT_SITE {
            return Err(SiteError::Default);
        }
        let (now, tenant) = (self.now(), listed.site.tenant);
        let entry = self.site_entry(by, &listed, AuditEvent::SiteDeleted);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if w.site_has_devices(id).await? {
                        return Err(SiteError::InUse("devices"));
                    }
                    if w.site_has_live_keys(id, now).await? {
                        return Err(SiteError::InUse("enrollment_keys"));
                    }
                    let heir = w.site_by_slug(tenant, DEFAULT_SITE).await?;
                    let heir = heir.ok_or_else(|| StoreError::raced("site", DEFAULT_SITE))?.id;
                    if !w.delete_site(id, heir).await? {
                        return Err(SiteError::Unknown);
                    }
                    w.append_audit(&entry).await?;
                    Ok(())
                })
            })
            .await
    }

    fn site_entry(&self, by: &Authorized<Administer>, listed: &ListedSite, event: AuditEvent) -> AuditEntry {
        AuditEntry::new(Some(listed.tenant_slug.clone()), self.now(), event, by.actor())
            .detail("id", listed.site.id)
            .detail("slug", &listed.site.slug)
            .detail("name", &listed.site.name)
    }
}
