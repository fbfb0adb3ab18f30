//! Whoever knows where everything is counted.

use std::sync::Arc;

use countersign_authority::Authority;
use countersign_core::snapshot::TrustSnapshot;
use countersign_core::time::{Clock as _, SystemClock};
use countersign_server::Measured;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::numbers;
use super::page::Page;
use crate::doors::Meters;

/// The numbers of this process.
#[derive(Debug)]
pub(crate) struct Measure {
    doors: Meters,
    snapshots: watch::Receiver<Arc<TrustSnapshot>>,
    authority: Option<Arc<Authority>>,
}

impl Measure {
    /// Of doors, and of the authority if it is in this process.
    pub(crate) const fn new(
        doors: Meters,
        snapshots: watch::Receiver<Arc<TrustSnapshot>>,
        authority: Option<Arc<Authority>>,
    ) -> Self {
        Self { doors, snapshots, authority }
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
