//! Rollout: how far each tenant is from `enforce`, who would be refused by it, and the way back.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::settings::Enforcement;
use countersign_core::time::Timestamp;
use countersign_store::StoreError;
pub use countersign_store::{
    BlockedDevice, BlockedFilter, BlockedPage, ObservedRule, TenantRollout, WouldRefuse,
};

use crate::authority::Authority;
use crate::authorized::{Authorized, Forbidden, Own, View};
use crate::counts::Numbers;
use crate::devices::LookError;
use crate::publish::Applied;

/// A certificate that ends sooner counts as expiring.
const SOON: Duration = Duration::from_secs(7 * 86_400);

/// What a day is.
pub const DAY: Duration = Duration::from_secs(86_400);

/// How far the tenants are.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// When it was looked at.
    pub at: Timestamp,
    /// Each tenant that the caller may see, by slug.
    pub tenants: Vec<TenantRollout>,
    /// Who would have been refused in the last seven days, and of these in the last day.
    pub would_refuse: Vec<WouldRefuse>,
}

impl Numbers for Rollout {
    fn devices(&self) -> u64 {
        self.tenants.iter().map(|tenant| tenant.devices).sum()
    }
}

/// The tenants are as they were.
#[derive(Debug, thiserror::Error)]
pub enum RollBackError {
    /// The caller is bound to one tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error("cannot take the tenants back")]
    Store(#[from] StoreError),
}

impl Authority {
    /// How far the tenants are; a caller bound to a tenant sees that tenant alone. A large fleet's numbers may be
    /// a little older, and say so.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rollout(&self, by: &Authorized<View>) -> Result<Arc<Rollout>, StoreError> {
        self.flush_usage().await?;
        let (scope, now, store) = (by.scope(), self.now(), self.store.clone());
        let counted = async move {
            let read = store.read(move |r| {
                Box::pin(async move {
                    let tenants = r.rollout(scope, now, now + SOON).await?;
                    let would_refuse = r.would_refuse(scope, now - DAY * 7, now - DAY).await?;
                    Ok::<_, StoreError>(Rollout { at: now, tenants, would_refuse })
                })
            });
            read.await
        };
        let store = self.store.clone();
        self.rollouts.look(scope, counted, move || store.tell_of_presence()).await
    }

    /// One page of the devices that `enforce` would have refused; a caller bound to a tenant sees that
    /// tenant's alone.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn blocked_devices(
        &self,
        by: &Authorized<View>,
        mut filter: BlockedFilter,
    ) -> Result<BlockedPage, LookError> {
        self.flush_usage().await?;
        if let Some(own) = by.scope() {
            filter.tenant.get_or_insert(own);
        }
        if let Some(tenant) = filter.tenant {
            by.covers(tenant)?;
        }
        Ok(self.store.read(move |r| Box::pin(async move { r.blocked_devices(&filter).await })).await?)
    }

    /// How many devices each observed rule would have blocked in the last seven days, and since when that is; a
    /// caller bound to a tenant hears of that tenant's alone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn observed_rules(
        &self,
        by: &Authorized<View>,
    ) -> Result<(Timestamp, Vec<ObservedRule>), StoreError> {
        self.flush_usage().await?;
        let (scope, since) = (by.scope(), self.now() - DAY * 7);
        let rules = self.store.read(move |r| Box::pin(async move { r.observed_rules(scope, since).await }));
        Ok((since, rules.await?))
    }

    /// Takes every tenant back to `off`, in one transaction, and says how many there were that were
    /// not.
    ///
    /// # Errors
    /// See [`RollBackError`].
    pub async fn roll_back(&self, by: &Authorized<Own>) -> Result<(u64, Applied), RollBackError> {
        by.covers_all()?;
        let (now, actor) = (self.now(), by.actor());
        let changed = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let mut changed = 0;
                    for tenant in w.tenants().await? {
                        let before = tenant.settings.enforcement;
                        if before == Enforcement::Off {
                            continue;
                        }
                        let mut settings = tenant.settings;
                        settings.enforcement = Enforcement::Off;
                        if !w.update_settings(tenant.id, &settings).await? {
                            return Err(StoreError::raced("tenant", tenant.id));
                        }
                        w.tenant_trust_changed(tenant.id).await?;
                        let slug = Some(tenant.slug);
                        let entry = AuditEntry::new(slug, now, AuditEvent::SettingsChanged, actor.clone())
                            .detail("enforcement", format!("{before} -> off"))
                            .detail("by", "rollout back");
                        w.append_audit(&entry).await?;
                        changed += 1;
                    }
                    Ok::<u64, StoreError>(changed)
                })
            })
            .await?;
        Ok((changed, self.publish_changes().await?))
    }
}
