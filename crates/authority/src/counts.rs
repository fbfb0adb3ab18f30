//! Numbers that take a while to count where a fleet is large.
//!
//! A fleet of usual size is counted whenever somebody looks. What was counted of a large one is kept: for as short a
//! time that counting takes a twentieth of this process's time at most. Whoever looks later gets what was counted
//! before, unless counting anew is quick.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::ids::TenantId;
use countersign_store::StoreError;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// Up to so many devices are counted whenever somebody looks.
const USUAL: u64 = 20_000;

/// How many times as long as counting took what was counted is good.
const KEPT_FOR: u32 = 20;

/// Counting that takes longer than this is not waited for when there are numbers from before.
const QUICK: Duration = Duration::from_millis(300);

/// Numbers about devices.
pub(crate) trait Numbers: Send + Sync + 'static {
    /// How many devices they are about.
    fn devices(&self) -> u64;
}

/// What was counted, of one tenant or of all.
#[derive(Debug)]
pub(crate) struct Counts<T> {
    kept: Mutex<HashMap<Option<TenantId>, Kept<T>>>,
}

#[derive(Debug)]
struct Kept<T> {
    numbers: Arc<T>,
    until: Instant,
    /// Whether counting it is quick enough to be waited for.
    is_quick: bool,
    /// Whether it is being counted again.
    is_renewed: bool,
}

impl<T> Default for Counts<T> {
    fn default() -> Self {
        Self { kept: Mutex::default() }
    }
}

impl<T: Numbers> Counts<T> {
    /// What was counted of late, or what `count` counts. When that was not waited for, `tell` is called after it:
    /// whoever went on with the numbers from before looks again then.
    pub(crate) async fn look(
        self: &Arc<Self>,
        tenant: Option<TenantId>,
        count: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        tell: impl FnOnce() + Send + 'static,
    ) -> Result<Arc<T>, StoreError> {
        if let Some(fresh) = self.fresh(tenant) {
            return Ok(fresh);
        }
        match self.before(tenant) {
            Some((before, true)) => {
                let counts = Arc::clone(self);
                let counting = tokio::spawn(async move {
                    let counted = counts.keep(tenant, count).await;
                    tell();
                    counted
                });
                match timeout(QUICK, counting).await {
                    Ok(Ok(counted)) => counted,
                    Ok(Err(_)) | Err(_) => Ok(before),
                }
            }
            Some((before, false)) => Ok(before),
            None => self.keep(tenant, count).await,
        }
    }

    fn fresh(&self, tenant: Option<TenantId>) -> Option<Arc<T>> {
        let kept = self.kept.lock();
        kept.get(&tenant).filter(|kept| Instant::now() < kept.until).map(|kept| Arc::clone(&kept.numbers))
    }

    /// The numbers from before, where counting takes long; and whether somebody has to count.
    fn before(&self, tenant: Option<TenantId>) -> Option<(Arc<T>, bool)> {
        let mut kept = self.kept.lock();
        let kept = kept.get_mut(&tenant).filter(|kept| !kept.is_quick)?;
        let has_to = !std::mem::replace(&mut kept.is_renewed, true);
        Some((Arc::clone(&kept.numbers), has_to))
    }

    async fn keep(
        &self,
        tenant: Option<TenantId>,
        count: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<Arc<T>, StoreError> {
        let begun = Instant::now();
        let counted = count.await.map(Arc::new);
        let took = begun.elapsed();
        let mut kept = self.kept.lock();
        match counted {
            Ok(numbers) => {
                let is_usual = numbers.devices() <= USUAL;
                let until = Instant::now() + if is_usual { Duration::ZERO } else { took * KEPT_FOR };
                let (is_quick, is_renewed) = (is_usual || took <= QUICK, false);
                kept.insert(tenant, Kept { numbers: Arc::clone(&numbers), until, is_quick, is_renewed });
                Ok(numbers)
            }
            Err(error) => {
                kept.remove(&tenant);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use tokio::sync::oneshot;

    /// How many devices there are, and which count it was.
    type Counted = (u64, u8);

    impl Numbers for Counted {
        fn devices(&self) -> u64 {
            self.0
        }
    }

    async fn look(
        counts: &Arc<Counts<Counted>>,
        count: impl Future<Output = Result<Counted, StoreError>> + Send + 'static,
    ) -> u8 {
        counts.look(None, count, || ()).await.unwrap().1
    }

    /// As if counting had taken long, and a while ago.
    fn outlive(counts: &Counts<Counted>) {
        let mut kept = counts.kept.lock();
        let kept = kept.get_mut(&None).unwrap();
        (kept.until, kept.is_quick) = (Instant::now(), false);
    }

    #[tokio::test]
    async fn a_fleet_of_usual_size_is_counted_whenever_somebody_looks() {
        let counts = Arc::default();
        for time in 1..=3 {
            assert_eq!(look(&counts, ready(Ok((USUAL, time)))).await, time);
        }
    }

    #[tokio::test]
    async fn of_a_large_one_the_numbers_are_kept_and_nobody_waits_for_new_ones() {
        let (counts, (go, gone)) = (Arc::default(), oneshot::channel::<()>());
        assert_eq!(look(&counts, ready(Ok((USUAL + 1, 1)))).await, 1);
        outlive(&counts);
        let (tell, told) = oneshot::channel();
        let count = async move {
            gone.await.unwrap();
            Ok((USUAL + 1, 2))
        };
        let before = counts.look(None, count, move || tell.send(()).unwrap()).await.unwrap();
        assert_eq!(before.1, 1, "from before");
        assert_eq!(look(&counts, pending()).await, 1, "and counted once at a time");
        go.send(()).unwrap();
        told.await.unwrap();
        assert_eq!(look(&counts, pending()).await, 2, "kept");
    }
}
