//! Says what the doors of this process do, again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_authority::Authority;
use countersign_core::door_work::{DoorWork, Slot};
use countersign_store::StoreError;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::measure::Measure;

/// How often.
const EVERY: Duration = Duration::from_secs(10);

/// Says it to the database.
#[derive(Debug)]
pub(crate) struct WorkRecorder {
    measure: Arc<Measure>,
    authority: Arc<Authority>,
    recorded: tokio::sync::Mutex<BTreeMap<Slot, u64>>,
}

impl WorkRecorder {
    /// Nothing is recorded yet.
    pub(crate) fn new(measure: Arc<Measure>, authority: Arc<Authority>) -> Self {
        Self { measure, authority, recorded: tokio::sync::Mutex::default() }
    }

    /// Records for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.record().await;
        }
    }

    /// Records what is new. What is not recorded is tried again with what comes next.
    pub(crate) async fn record(&self) {
        if let Err(error) = self.try_to_record().await {
            tracing::warn!(%error, "what the doors do is not recorded");
        }
    }

    async fn try_to_record(&self) -> Result<(), StoreError> {
        let mut recorded = self.recorded.lock().await;
        let work = self.measure.work();
        let all = work.handshakes.clone();
        self.authority.note_door_work(work.beyond(&recorded)).await?;
        *recorded = all;
        Ok(())
    }
}

/// Says it to whoever tells an authority elsewhere, for ever.
pub(crate) async fn tell_work(measure: Arc<Measure>, to: watch::Sender<Option<DoorWork>>) {
    let mut ticks = interval(EVERY);
    loop {
        ticks.tick().await;
        to.send_replace(Some(measure.work()));
    }
}
