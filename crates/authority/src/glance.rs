//! The fleet at a glance: how many devices there are of each status, and when their certificates end.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::device::DeviceStatus;
use countersign_core::ids::{Tenant, TenantId};
use countersign_core::time::Timestamp;
use countersign_store::{Store, StoreError};

use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::counts::Numbers;
use crate::tenants::TenantError;

/// How many spans of time the ends of certificates are counted in.
pub const SPANS: u32 = 13;

/// How long each is: a week.
pub const SPAN: Duration = Duration::from_secs(7 * 86_400);

/// Numbers of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// When it was looked at.
    pub at: Timestamp,
    /// How many devices there are of each status.
    pub devices: Vec<(DeviceStatus, u64)>,
    /// How many certificates end in each span from then on, the first one first.
    pub ending: Vec<u64>,
}

impl Glance {
    /// How many devices have this status.
    #[must_use]
    pub fn of(&self, status: DeviceStatus) -> u64 {
        self.devices.iter().find(|(one, _)| *one == status).map_or(0, |(_, devices)| *devices)
    }

    /// How many devices there are that are not decommissioned.
    #[must_use]
    pub fn in_service(&self) -> u64 {
        let counts = self.devices.iter().filter(|(status, _)| *status != DeviceStatus::Decommissioned);
        counts.map(|(_, devices)| devices).sum()
    }
}

impl Numbers for Glance {
    fn devices(&self) -> u64 {
        self.devices.iter().map(|(_, devices)| devices).sum()
    }
}

/// Whose devices are counted.
#[derive(Clone, Debug)]
struct Counted {
    store: Store,
    tenant: Option<(TenantId, Tenant)>,
    now: Timestamp,
}

impl Counted {
    async fn look(self) -> Result<Glance, StoreError> {
        let Self { store, tenant, now } = self;
        store
            .read(move |r| {
                Box::pin(async move {
                    let counts = r.device_statuses(tenant.as_ref().map(|(id, _)| *id)).await?;
                    let count = |status| counts.iter().find(|one| one.status == status);
                    let devices = DeviceStatus::ALL
                        .map(|status| (status, count(status).map_or(0, |one| one.devices)))
                        .to_vec();
                    let mut ending = Vec::with_capacity(SPANS as usize);
                    for number in 0..SPANS {
                        let after = now + SPAN * number;
                        let slug = tenant.as_ref().map(|(_, slug)| slug);
                        ending.push(r.certificates_ending(slug, (after, after + SPAN)).await?);
                    }
                    Ok(Glance { at: now, devices, ending })
                })
            })
            .await
    }
}

impl Authority {
    /// The fleet in numbers, of one tenant or of all that the caller may see.
    ///
    /// # Errors
    /// See [`TenantError`].
    pub async fn glance(
        &self,
        by: &Authorized<View>,
        tenant: Option<TenantId>,
    ) -> Result<Arc<Glance>, TenantError> {
        let id = tenant.or(by.scope());
        if let Some(tenant) = id {
            by.covers(tenant)?;
        }
        let tenant = match id {
            Some(id) => Some((id, self.tenant(id).await?.slug)),
            None => None,
        };
        let counted = Counted { store: self.store.clone(), tenant, now: self.now() };
        let store = self.store.clone();
        Ok(self.glances.look(id, counted.look(), move || store.tell_of_presence()).await?)
    }
}
