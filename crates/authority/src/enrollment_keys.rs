//! Enrolment keys: what lets a device enrol.

use std::time::Duration;

use countersign_ca::KeyError;
use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{DeviceId, EnrollmentKeyId, SpkiSha256};
use countersign_store::StoreError;
pub use countersign_store::{Approval, EnrollmentKeyRow};
use ipnet::IpNet;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::authority::{Authority, DEFAULT_TENANT};
use crate::authorized::{Authorized, Forbidden, Operate, View};
use crate::names::FreshSecret;
use crate::tenants::{TenantError, TenantRow};

/// The prefix of enrolment keys.
const KEY_PREFIX: &str = "csk_";

/// The enrolment key that somebody wants.
#[derive(Clone, Debug)]
pub struct WantedKey {
    /// Slug or id; `None`: that of the device it is made for, or the one its maker is bound to, or
    /// `default`.
    pub tenant: Option<String>,
    /// `None`: `default`.
    pub site: Option<String>,
    /// How many devices may use it.
    pub max_uses: u32,
    /// How long it works.
    pub life: Duration,
    /// Whether its devices start quarantined.
    pub approval: Approval,
    /// What its devices may be called.
    pub name_pattern: Option<String>,
    /// The one existing device that may enrol again with it.
    pub device: Option<DeviceId>,
    /// The one public key that may enrol with it.
    pub spki: Option<SpkiSha256>,
    /// From where it works; empty: anywhere.
    pub networks: Vec<IpNet>,
}

/// A new enrolment key.
pub struct CreatedKey {
    /// Its record.
    pub row: EnrollmentKeyRow,
    /// The key, shown this once.
    pub key: Zeroizing<String>,
}

/// An enrolment key was not made.
#[derive(Debug, Error)]
pub enum CreateKeyError {
    /// There is no such tenant.
    #[error("unknown tenant")]
    UnknownTenant,
    /// The tenant has no such site.
    #[error("unknown site")]
    UnknownSite,
    /// The tenant has no such device, or it is decommissioned.
    #[error("unknown device")]
    UnknownDevice,
    /// The tenant is another's.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// No key could be made.
    #[error("cannot make a key")]
    Secret(#[from] KeyError),
    /// The store failed.
    #[error("cannot keep the enrolment key")]
    Store(#[from] StoreError),
}

/// An enrolment key was not revoked; nothing changed.
#[derive(Debug, Error)]
pub enum RevokeKeyError {
    /// There is no such key.
    #[error("unknown enrolment key")]
    Unknown,
    /// It belongs to another tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// It is revoked already.
    #[error("already revoked")]
    AlreadyRevoked,
    /// The store failed.
    #[error("cannot revoke the enrolment key")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes an enrolment key.
    ///
    /// # Errors
    /// See [`CreateKeyError`].
    pub async fn create_enrollment_key(
        &self,
        by: &Authorized<Operate>,
        wanted: WantedKey,
    ) -> Result<CreatedKey, CreateKeyError> {
        let now = self.now();
        let tenant = self.tenant_of_key(by, &wanted).await?;
        let secret = FreshSecret::new(KEY_PREFIX)?;
        let (tenant_id, device) = (tenant.id, wanted.device);
        let site_slug = wanted.site.unwrap_or_else(|| DEFAULT_TENANT.to_owned());
        let (site, device_row) = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let device_row = match device {
                        Some(device) => r.device(device).await?,
                        None => None,
                    };
                    Ok::<_, StoreError>((r.site_by_slug(tenant_id, &site_slug).await?, device_row))
                })
            })
            .await?;
        let is_known = device.is_none()
            || device_row.is_some_and(|device| {
                device.tenant == tenant.id && device.status != DeviceStatus::Decommissioned
            });
        if !is_known {
            return Err(CreateKeyError::UnknownDevice);
        }
        let row = EnrollmentKeyRow {
            id: EnrollmentKeyId::random(),
            key: secret.hash,
            tenant: tenant.id,
            site: site.ok_or(CreateKeyError::UnknownSite)?.id,
            max_uses: wanted.max_uses,
            uses: 0,
            expires_at: now + wanted.life,
            approval: wanted.approval,
            name_pattern: wanted.name_pattern,
            device: wanted.device,
            spki: wanted.spki,
            networks: wanted.networks.iter().map(ToString::to_string).collect(),
            created_at: now,
            created_by: Some(by.user()),
            revoked_at: None,
        };
        let entry = AuditEntry::new(Some(tenant.slug), now, AuditEvent::EnrollmentKeyCreated, by.actor())
            .detail("id", row.id)
            .detail("maxUses", row.max_uses)
            .detail("expiresAt", row.expires_at);
        let stored = row.clone();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.insert_enrollment_key(&stored).await?;
                    w.append_audit(&entry).await
                })
            })
            .await?;
        Ok(CreatedKey { row, key: Zeroizing::new(secret.text) })
    }

    /// The tenant that a key is wanted for.
    async fn tenant_of_key(
        &self,
        by: &Authorized<Operate>,
        wanted: &WantedKey,
    ) -> Result<TenantRow, CreateKeyError> {
        if let Some(tenant) = &wanted.tenant {
            return Ok(self.find_tenant(by, tenant).await?);
        }
        let device = match wanted.device {
            Some(id) => self.store.read(move |r| Box::pin(async move { r.device(id).await })).await?,
            None => None,
        };
        let own = device.map(|device| device.tenant).or(by.scope());
        let tenant = own.map_or_else(|| DEFAULT_TENANT.to_owned(), |own| own.to_string());
        Ok(self.find_tenant(by, &tenant).await?)
    }

    /// Revokes an enrolment key: no device enrols with it any more. Devices that did are not touched.
    ///
    /// # Errors
    /// See [`RevokeKeyError`]; of two calls at once one wins.
    pub async fn revoke_enrollment_key(
        &self,
        by: &Authorized<Operate>,
        id: EnrollmentKeyId,
    ) -> Result<EnrollmentKeyRow, RevokeKeyError> {
        let (now, by) = (self.now(), *by);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let mut row = w.enrollment_key(id).await?.ok_or(RevokeKeyError::Unknown)?;
                    by.covers(row.tenant)?;
                    if !w.revoke_enrollment_key(id, now).await? {
                        return Err(RevokeKeyError::AlreadyRevoked);
                    }
                    let tenant = w.tenant_by_id(row.tenant).await?.map(|tenant| tenant.slug);
                    let entry = AuditEntry::new(tenant, now, AuditEvent::EnrollmentKeyRevoked, by.actor());
                    w.append_audit(&entry.detail("id", id)).await?;
                    row.revoked_at = Some(now);
                    Ok(row)
                })
            })
            .await
    }

    /// The enrolment keys of a tenant, newest first.
    ///
    /// # Errors
    /// See [`TenantError`].
    pub async fn list_enrollment_keys(
        &self,
        by: &Authorized<View>,
        tenant: Option<&str>,
    ) -> Result<Vec<EnrollmentKeyRow>, TenantError> {
        let id = match (tenant, by.scope()) {
            (None, Some(own)) => own,
            (tenant, _) => self.find_tenant(by, tenant.unwrap_or(DEFAULT_TENANT)).await?.id,
        };
        Ok(self.store.read(move |r| Box::pin(async move { r.enrollment_keys(id).await })).await?)
    }
}
