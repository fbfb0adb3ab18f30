//! What denied devices left behind: looking at it, and taking it back.

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::ids::SpkiSha256;
pub use countersign_store::{DeniedKeyFilter, DeniedKeyPage, DeniedTraitRow, ListedDeniedKey, TraitKind};
use countersign_store::{StoreError, TenantRow};
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden, View};
use crate::devices::LookError;
use crate::publish::Applied;

/// What was lifted.
#[derive(Clone, Copy, Debug)]
pub struct Lifted {
    /// Whether the key is refused nevertheless: it belonged to a revoked certificate.
    pub is_revoked: bool,
    /// How far it has come.
    pub applied: Applied,
}

/// A denial stays.
#[derive(Debug, Error)]
pub enum LiftError {
    /// It is not denied.
    #[error("not denied")]
    Unknown,
    /// It belongs to another tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error("cannot lift the denial")]
    Store(#[from] StoreError),
}

impl Authority {
    /// One page of the denied keys; a caller bound to a tenant sees those of that tenant's devices.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn denied_keys(
        &self,
        by: &Authorized<View>,
        mut filter: DeniedKeyFilter,
    ) -> Result<DeniedKeyPage, LookError> {
        if let Some(own) = by.scope() {
            filter.tenant.get_or_insert(own);
        }
        if let Some(tenant) = filter.tenant {
            by.covers(tenant)?;
        }
        Ok(self.store.read(move |r| Box::pin(async move { r.list_denied_keys(&filter).await })).await?)
    }

    /// The host names and hardware serials by which a denied device would be known again.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn denied_traits(
        &self,
        by: &Authorized<View>,
        tenant: Option<countersign_core::ids::TenantId>,
    ) -> Result<Vec<DeniedTraitRow>, LookError> {
        let tenant = tenant.or(by.scope());
        if let Some(tenant) = tenant {
            by.covers(tenant)?;
        }
        Ok(self.store.read(move |r| Box::pin(async move { r.list_denied_traits(tenant).await })).await?)
    }

    /// Denies a key no more. The device that was denied stays decommissioned, and a key that belonged to
    /// a revoked certificate proves nothing nevertheless.
    ///
    /// # Errors
    /// See [`LiftError`].
    pub async fn lift_denied_key(
        &self,
        by: &Authorized<Administer>,
        key: SpkiSha256,
    ) -> Result<Lifted, LiftError> {
        let (now, by) = (self.now(), *by);
        let is_revoked = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let denied = w.denied_key(key).await?.ok_or(LiftError::Unknown)?;
                    by.covers(denied.tenant)?;
                    let tenant = w.tenant_by_id(denied.tenant).await?.map(|tenant| tenant.slug);
                    if !w.lift_denied_key(key, now).await? {
                        return Err(LiftError::Unknown);
                    }
                    w.device_trust_changed(denied.device).await?;
                    let is_revoked = w.spki_was_revoked(key).await?;
                    let entry = AuditEntry::new(tenant, now, AuditEvent::DeniedKeyLifted, by.actor())
                        .device(denied.device)
                        .detail("spkiSha256", key)
                        .detail("revoked", is_revoked);
                    w.append_audit(&entry).await?;
                    Ok(is_revoked)
                })
            })
            .await?;
        Ok(Lifted { is_revoked, applied: self.publish_changes().await? })
    }

    /// Holds a host name or hardware serial against new devices of the tenant no more.
    ///
    /// # Errors
    /// See [`LiftError`].
    pub async fn lift_denied_trait(
        &self,
        by: &Authorized<Administer>,
        tenant: TenantRow,
        kind: TraitKind,
        value: String,
    ) -> Result<(), LiftError> {
        by.covers(tenant.id)?;
        let (now, by) = (self.now(), *by);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if !w.remove_denied_trait(tenant.id, kind, &value).await? {
                        return Err(LiftError::Unknown);
                    }
                    let slug = Some(tenant.slug);
                    let entry = AuditEntry::new(slug, now, AuditEvent::DeniedTraitLifted, by.actor())
                        .detail("kind", kind)
                        .detail("value", &value);
                    Ok(w.append_audit(&entry).await?)
                })
            })
            .await
    }
}
