//! Follows the trust snapshot: applies each new one, ends what fell with it, and says so.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::snapshot::{SnapshotVersion, TrustSnapshot};
use countersign_core::time::Clock;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::door::Phase;
use crate::named_trusts::NamedTrusts;
use crate::registry::{Fallen, Registry};
use crate::trust::Current;

/// How often connections are looked at that time alone may have ended.
const SWEEP: Duration = Duration::from_millis(500);
/// How long the answer that brings the fall of its own connection may take to get out.
const LAST_ANSWER: Duration = Duration::from_millis(500);
/// How long is waited for cut connections to be gone before the snapshot counts as applied; they
/// were told, and no request of theirs is admitted any more.
const PATIENCE: Duration = Duration::from_secs(1);

/// What follows the snapshot.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) current: Arc<Current>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) snapshots: watch::Receiver<Arc<TrustSnapshot>>,
    pub(crate) applied: watch::Sender<SnapshotVersion>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) phases: watch::Receiver<Phase>,
    pub(crate) trusts: Arc<NamedTrusts>,
}

impl Watcher {
    /// Runs until the door is closed.
    pub(crate) async fn run(self) {
        let mut phases = self.phases.clone();
        tokio::select! {
            () = self.follow() => {}
            // An error means that the door's handle is gone: closed as well.
            _closed = phases.wait_for(|phase| *phase == Phase::Closed) => {}
        }
    }

    async fn follow(mut self) {
        let mut ticks = interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.apply().await;
        let mut is_fed = true;
        loop {
            tokio::select! {
                changed = self.snapshots.changed(), if is_fed => match changed {
                    Ok(()) => self.apply().await,
                    // The authority is gone: the door goes on by the last snapshot.
                    Err(_gone) => is_fed = false,
                },
                _tick = ticks.tick() => self.sweep(),
            }
        }
    }

    async fn apply(&mut self) {
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        let version = snapshot.version;
        let is_older = version < self.current.load().snapshot.version;
        if is_older {
            warn!(epoch = version.epoch, "older snapshot refused");
            return;
        }
        self.current.replace(Arc::clone(&snapshot));
        let fallen = self.registry.walk(&snapshot, self.clock.now());
        let cut = self.end(fallen);
        let closed = self.registry.wait_until_closed(&cut);
        if timeout(PATIENCE, closed).await.is_err() {
            warn!(connections = cut.len(), "cut connections slow to close");
        }
        self.applied.send_if_modified(|applied| {
            let is_newer = version > *applied;
            if is_newer {
                *applied = version;
            }
            is_newer
        });
    }

    fn sweep(&self) {
        let snapshot = Arc::clone(&self.current.load().snapshot);
        self.trusts.look(&snapshot);
        let fallen = self.registry.sweep(&snapshot, self.clock.now());
        self.end(fallen);
    }

    fn end(&self, fallen: Fallen) -> Vec<Arc<crate::registry::Live>> {
        if !fallen.cut.is_empty() || !fallen.answering.is_empty() {
            info!(cut = fallen.cut.len(), answering = fallen.answering.len(), "connections ended");
        }
        if !fallen.answering.is_empty() {
            let registry = Arc::clone(&self.registry);
            tokio::spawn(async move {
                if timeout(LAST_ANSWER, registry.wait_until_closed(&fallen.answering)).await.is_err() {
                    fallen.answering.iter().for_each(|live| live.kill());
                }
            });
        }
        fallen.cut
    }
}
