//! How a change of trust reaches the edges: a new snapshot per epoch, and word of who has it.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::snapshot::changes::Touched;
use countersign_core::snapshot::{SnapshotVersion, TrustSnapshot};
use countersign_core::time::Timestamp;
use futures_util::future::join_all;
use tokio::sync::{Mutex, watch};

use crate::edges::RemoteEdges;
use crate::trust_log::{Step, TrustLog};

/// How far a change of trust has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Edges that have applied it.
    pub applied: u32,
    /// Edges attached.
    pub total: u32,
}

/// How long a call waits for the edges before it answers.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far patching has come.
pub(crate) struct Patching {
    /// Revoked certificates that ended before this are not in the snapshot any more.
    pub(crate) forgotten_until: Timestamp,
}

pub(crate) struct Publisher {
    snapshots: watch::Sender<Arc<TrustSnapshot>>,
    edges: parking_lot::Mutex<Vec<watch::Receiver<SnapshotVersion>>>,
    /// Held while the store is read and the snapshot patched, so that patches cannot cross.
    pub(crate) patching: Mutex<Patching>,
    /// The edges elsewhere.
    pub(crate) remote: RemoteEdges,
    /// What they are told of.
    pub(crate) log: TrustLog,
}

impl Publisher {
    pub(crate) fn new(first: TrustSnapshot) -> Self {
        let patching = Mutex::new(Patching { forgotten_until: first.made_at });
        let first = Arc::new(first);
        let log = TrustLog::new(Arc::clone(&first));
        let (snapshots, _receiver) = watch::channel(first);
        Self {
            snapshots,
            edges: parking_lot::Mutex::default(),
            patching,
            remote: RemoteEdges::default(),
            log,
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<TrustSnapshot>> {
        self.snapshots.subscribe()
    }

    pub(crate) fn current(&self) -> Arc<TrustSnapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Publishes a snapshot in which anything may be different.
    pub(crate) fn replace(&self, snapshot: TrustSnapshot) {
        self.publish(snapshot, Step::Anew);
    }

    /// Publishes a snapshot in which this may be different, and no other tenant, device, certificate or key.
    pub(crate) fn patch(&self, snapshot: TrustSnapshot, touched: Touched) {
        self.publish(snapshot, Step::Touched(touched));
    }

    fn publish(&self, snapshot: TrustSnapshot, step: Step) {
        let snapshot = Arc::new(snapshot);
        self.snapshots.send_replace(Arc::clone(&snapshot));
        self.log.step(&snapshot, step);
    }

    /// Adds an edge; it says on `applied` which snapshot it enforces.
    pub(crate) fn attach(&self, applied: watch::Receiver<SnapshotVersion>) {
        self.edges.lock().push(applied);
    }

    /// How many edges this authority answers for, and the lowest version that one of them enforces.
    pub(crate) fn lowest(&self) -> (u32, Option<SnapshotVersion>) {
        let mut versions = self.remote.answered_for();
        let mut edges = self.edges.lock();
        edges.retain(|edge| edge.has_changed().is_ok());
        versions.extend(edges.iter().map(|edge| *edge.borrow()));
        (u32::try_from(versions.len()).unwrap_or(u32::MAX), versions.into_iter().min())
    }

    /// Waits until every attached edge enforces `version`, or patience ends. One that cannot be reached is
    /// not waited for, and counts all the same.
    pub(crate) async fn applied(&self, version: SnapshotVersion) -> Applied {
        let (connected, silent) = self.remote.everyone();
        let mut edges: Vec<_> = {
            let mut edges = self.edges.lock();
            edges.retain(|edge| edge.has_changed().is_ok());
            edges.clone()
        };
        edges.extend(connected);
        let total = u32::try_from(edges.len() + silent.len()).unwrap_or(u32::MAX);
        let known = silent.iter().filter(|at| **at >= version).count();
        let waits = edges.into_iter().map(|mut edge| async move {
            let reached = tokio::time::timeout(PATIENCE, edge.wait_for(|at| *at >= version)).await;
            u32::from(matches!(reached, Ok(Ok(_))))
        });
        let reached: u32 = join_all(waits).await.into_iter().sum();
        Applied { applied: reached + u32::try_from(known).unwrap_or(0), total }
    }
}
