//! Whoever knows where everything is counted.

use std::sync::Arc;

use countersign_authority::Authority;
use countersign_core::door_work::DoorWork;
use countersign_core::snapshot::TrustSnapshot;
use countersign_core::time::{Clock as _, SystemClock};
use countersign_server::Measured;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::numbers;
use super::page::Page;
use super::traffic::{Sums, Traffic};
use crate::doors::Meters;

/// The numbers of this process.
#[derive(Debug)]
pub(crate) struct Measure {
    doors: Meters,
    snapshots: watch::Receiver<Arc<TrustSnapshot>>,
    authority: Option<Arc<Authority>>,
    traffic: Mutex<Traffic>,
}

impl Measure {
    /// Of doors, and of the authority if it is in this process.
    pub(crate) fn new(
        doors: Meters,
        snapshots: watch::Receiver<Arc<TrustSnapshot>>,
        authority: Option<Arc<Authority>>,
    ) -> Self {
        Self { doors, snapshots, authority, traffic: Mutex::new(Traffic::new(SystemClock.now())) }
    }

    /// What the doors of this process do now, and did over the last day.
    pub(crate) fn work(&self) -> DoorWork {
        let (mut sums, mut open) = (Sums::default(), 0);
        for door in self.doors.read().values() {
            sums.handshakes += door.handshakes;
            sums.requests += door.requests.values().sum::<u64>();
            open += door.open;
        }
        self.traffic.lock().note(sums, open, SystemClock.now())
    }

    /// Whether this process does its work: an authority's database answers, and an edge elsewhere has not shut its
    /// doors because what it knows is too old.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub(super) async fn check_ready(&self) -> Result<(), String> {
        if let Some(authority) = &self.authority {
            return authority.check_ready().await.map_err(|error| {
                tracing::warn!(%error, "not ready");
                "The store does not answer; retry later".to_owned()
            });
        }
        let snapshot = self.snapshots.borrow();
        if snapshot.trusts_nobody() {
            return Err(format!("The trust of {} is stale, and no identity is admitted", snapshot.made_at));
        }
        Ok(())
    }

    async fn page(&self) -> Page {
        let now = SystemClock.now();
        let mut page = Page::default();
        numbers::build(&mut page);
        let snapshot = Arc::clone(&self.snapshots.borrow());
        numbers::snapshot(&mut page, &snapshot, now);
        numbers::doors(&mut page, &self.doors.read());
        numbers::acquiring(&mut page, self.doors.acquiring(), now);
        let Some(authority) = &self.authority else { return page };
        numbers::store(&mut page, &authority.store_numbers());
        match authority.census().await {
            Ok(census) => numbers::installation(&mut page, &census, now),
            // The rest is worth the more when the database is away.
            Err(error) => tracing::warn!(%error, "installation not counted"),
        }
        page
    }
}

impl Measured for Measure {
    fn text(&self) -> BoxFuture<'_, String> {
        Box::pin(async move { self.page().await.text() })
    }
}
