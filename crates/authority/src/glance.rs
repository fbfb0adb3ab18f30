//! The fleet at a glance: how many devices there are of each status, and when their certificates end.
//!
//! A fleet of usual size is counted whenever somebody looks. Counting a large one takes a while, so what was
//! counted is kept: for as short a time that counting takes a twentieth of this process's time at most.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::device::DeviceStatus;
use countersign_core::ids::{Tenant, TenantId};
use countersign_core::time::Timestamp;
use countersign_store::{Store, StoreError};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::tenants::TenantError;

/// How many spans of time the ends of certificates are counted in.
pub const SPANS: u32 = 13;

/// How long each is: a week.
pub const SPAN: Duration = Duration::from_secs(7 * 86_400);

/// Up to so many devices are counted whenever somebody looks.
const USUAL: u64 = 20_000;

/// How many times as long as counting took what was counted is good.
const KEPT_FOR: u32 = 20;

/// Counting that takes longer than this is not waited for when there are numbers from before.
const QUICK: Duration = Duration::from_millis(300);

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

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Glances {
    kept: Mutex<HashMap<Option<TenantId>, Kept>>,
}

#[derive(Clone, Debug)]
struct Kept {
    glance: Arc<Glance>,
    until: Instant,
    /// Whether counting it is quick enough to be waited for.
    is_quick: bool,
    /// Whether it is being counted again.
    is_renewed: bool,
}

/// Whose devices are counted.
#[derive(Clone, Debug)]
struct Counted {
    store: Store,
    tenant: Option<(TenantId, Tenant)>,
    now: Timestamp,
}

impl Glances {
    fn fresh(&self, tenant: Option<TenantId>) -> Option<Arc<Glance>> {
        let kept = self.kept.lock();
        kept.get(&tenant).filter(|kept| Instant::now() < kept.until).map(|kept| Arc::clone(&kept.glance))
    }

    /// The numbers from before, where counting takes long; and whether somebody has to count.
    fn before(&self, tenant: Option<TenantId>) -> Option<(Arc<Glance>, bool)> {
        let mut kept = self.kept.lock();
        let kept = kept.get_mut(&tenant).filter(|kept| !kept.is_quick)?;
        let has_to = !std::mem::replace(&mut kept.is_renewed, true);
        Some((Arc::clone(&kept.glance), has_to))
    }

    async fn count(&self, counted: Counted) -> Result<Arc<Glance>, StoreError> {
        let (begun, tenant) = (Instant::now(), counted.tenant.as_ref().map(|(id, _)| *id));
        let looked = counted.look().await.map(Arc::new);
        let took = begun.elapsed();
        let mut kept = self.kept.lock();
        match looked {
            Ok(glance) => {
                let is_usual = glance.devices.iter().map(|(_, devices)| devices).sum::<u64>() <= USUAL;
                let until = Instant::now() + if is_usual { Duration::ZERO } else { took * KEPT_FOR };
                let (is_quick, is_renewed) = (is_usual || took <= QUICK, false);
                kept.insert(tenant, Kept { glance: Arc::clone(&glance), until, is_quick, is_renewed });
                Ok(glance)
            }
            Err(error) => {
                kept.remove(&tenant);
                Err(error)
            }
        }
    }
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
        if let Some(glance) = self.glances.fresh(id) {
            return Ok(glance);
        }
        let tenant = match id {
            Some(id) => Some((id, self.tenant(id).await?.slug)),
            None => None,
        };
        let counted = Counted { store: self.store.clone(), tenant, now: self.now() };
        match self.glances.before(id) {
            Some((before, true)) => {
                let (glances, store) = (Arc::clone(&self.glances), self.store.clone());
                let counting = tokio::spawn(async move {
                    let counted = glances.count(counted).await;
                    // Whoever went on with the numbers from before looks again.
                    store.tell_of_presence();
                    counted
                });
                match timeout(QUICK, counting).await {
                    Ok(Ok(counted)) => Ok(counted?),
                    Ok(Err(_)) | Err(_) => Ok(before),
                }
            }
            Some((before, false)) => Ok(before),
            None => Ok(self.glances.count(counted).await?),
        }
    }
}
