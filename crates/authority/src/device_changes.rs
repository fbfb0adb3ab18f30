//! Changing a device: moving it to another site, setting it aside.

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::DeviceId;
pub use countersign_store::SiteFilter;
use countersign_store::{DeviceRow, SiteRow, StoreError, Writing};

use crate::authority::Authority;
use crate::authorized::{Authorized, Operate};
use crate::publish::Applied;
use crate::quarantine::{DecisionError, Maintenance, set_aside};

/// What is to change about a device; `None`: it stays.
#[derive(Clone, Debug, Default)]
pub struct DeviceChange {
    /// The site of its tenant where it goes.
    pub site: Option<SiteFilter>,
    /// Whether it is set aside.
    pub maintenance: Option<Maintenance>,
}

impl Authority {
    /// Changes a device: everything that was asked for, or nothing.
    ///
    /// # Errors
    /// See [`DecisionError`]; a decommissioned device stays where it is.
    pub async fn change_device(
        &self,
        by: &Authorized<Operate>,
        id: DeviceId,
        change: DeviceChange,
    ) -> Result<Applied, DecisionError> {
        let (now, by) = (self.now(), *by);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let mut device = w.device(id).await?.ok_or(DecisionError::Unknown)?;
                    by.covers(device.tenant)?;
                    if let Some(site) = &change.site {
                        let entry = AuditEntry::new(
                            Some(device.tenant_slug.clone()),
                            now,
                            AuditEvent::DeviceMoved,
                            by.actor(),
                        );
                        device = moved(w, device, site, entry).await?;
                    }
                    match change.maintenance {
                        Some(maintenance) => set_aside(w, device, maintenance, now, by.actor()).await,
                        None => Ok(()),
                    }
                })
            })
            .await?;
        Ok(self.publish_changes().await?)
    }
}

/// Moves a device within a transaction, and gives it as it is then on record.
async fn moved(
    w: &mut Writing<'_>,
    device: DeviceRow,
    site: &SiteFilter,
    entry: AuditEntry,
) -> Result<DeviceRow, DecisionError> {
    if device.status == DeviceStatus::Decommissioned {
        return Err(DecisionError::Conflict(device.status));
    }
    let site = site_of(w, &device, site).await?;
    if site.id == device.site {
        return Ok(device);
    }
    let entry = entry.device(device.id).detail("from", &device.site_slug).detail("to", &site.slug);
    let changed = DeviceRow { site: site.id, ..device };
    if !w.update_device(&changed).await? {
        return Err(StoreError::raced("device at revision", changed.revision).into());
    }
    w.append_audit(&entry).await?;
    w.device(changed.id).await?.ok_or(DecisionError::Unknown)
}

/// The site of the device's own tenant; another tenant's is as good as none.
async fn site_of(
    w: &mut Writing<'_>,
    device: &DeviceRow,
    site: &SiteFilter,
) -> Result<SiteRow, DecisionError> {
    let found = match site {
        SiteFilter::Id(id) => w.site(*id).await?.map(|listed| listed.site),
        SiteFilter::Slug(slug) => w.site_by_slug(device.tenant, slug.as_str()).await?,
    };
    found.filter(|site| site.tenant == device.tenant).ok_or(DecisionError::UnknownSite)
}
