//! Edges: those elsewhere, and what this authority knows of those that are attached to it, and says to the others on the same
//! database, so that each can measure them all.

pub mod add;
pub mod attach;
pub mod enrol;
mod remote;
pub mod senders;
mod signing;

use std::collections::HashSet;
use std::time::Duration;

use countersign_core::ids::{AuthorityId, EdgeId, IssuerKeyId};
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;
use countersign_store::{EdgeReportRow, EdgeRow, StoreError};
use parking_lot::Mutex;
use tokio::sync::watch;

pub(crate) use self::remote::RemoteEdges;
pub use self::signing::SignedMessage;
pub(crate) use self::signing::SnapshotSigner;

use crate::authority::Authority;
use crate::publish::Applied;

/// How long what an authority said counts after it has fallen silent. One that ends takes it back.
const COUNTS: Duration = Duration::from_secs(900);

/// How often it is said again.
const AGAIN: Duration = Duration::from_secs(60);

/// What this authority has said.
#[derive(Debug)]
pub(crate) struct EdgeReports {
    pub(crate) id: AuthorityId,
    /// Set once this authority ends.
    pub(crate) closing: watch::Sender<bool>,
    said: Mutex<Option<EdgeReportRow>>,
    door_issuer: Mutex<Option<IssuerKeyId>>,
}

impl Default for EdgeReports {
    fn default() -> Self {
        Self {
            id: AuthorityId::random(),
            closing: watch::Sender::new(false),
            said: Mutex::default(),
            door_issuer: Mutex::default(),
        }
    }
}

impl Authority {
    /// The doors show a certificate of this CA from now on.
    pub fn doors_show(&self, issuer: IssuerKeyId) {
        *self.edges.door_issuer.lock() = Some(issuer);
    }

    /// Whether a CA is the one that signs the doors' certificates now.
    #[must_use]
    pub fn signs_doors(&self, issuer: IssuerKeyId) -> bool {
        self.issuers().active_service().is_ok_and(|ca| ca.key_id() == issuer)
    }

    /// Says what is known of the edges, if that is something else than before or was said a while ago.
    pub(crate) async fn report_edges(&self, now: Timestamp) -> Result<(), StoreError> {
        let row = self.edge_report(now);
        let is_news = self.edges.said.lock().as_ref().is_none_or(|said| {
            let known = (said.edges, said.applied_epoch, said.door_issuer, said.presence);
            known != (row.edges, row.applied_epoch, row.door_issuer, row.presence)
                || now.since(said.at) >= AGAIN
        });
        if !is_news {
            return Ok(());
        }
        let said = row.clone();
        self.store
            .write(move |w| Box::pin(async move { w.put_edge_report(&row, now - COUNTS).await }))
            .await?;
        *self.edges.said.lock() = Some(said);
        Ok(())
    }

    fn edge_report(&self, now: Timestamp) -> EdgeReportRow {
        let (edges, lowest) = self.publisher.lowest();
        EdgeReportRow {
            authority: self.edges.id,
            edges,
            applied_epoch: lowest.unwrap_or_else(|| self.snapshot().version).epoch,
            door_issuer: self.edges.door_issuer.lock().filter(|_issuer| edges > 0),
            presence: self.store.presence(),
            at: now,
        }
    }

    /// Takes back what was said: this authority ends.
    pub(crate) async fn forget_edges(&self) -> Result<(), StoreError> {
        if self.edges.said.lock().take().is_none() {
            return Ok(());
        }
        let id = self.edges.id;
        self.store.write(move |w| Box::pin(async move { w.forget_edge_report(id).await })).await
    }

    /// How many edges of all authorities there are, and how many of them enforce an epoch. Fails closed:
    /// those of an authority that fell silent count as they were, for a quarter of an hour.
    pub(crate) async fn edges_at(&self, epoch: u64) -> Result<Applied, StoreError> {
        let generation = self.snapshot().version.generation;
        let mut sum = self.publisher.applied(SnapshotVersion { generation, epoch }).await;
        for other in self.other_reports().await? {
            sum.total += other.edges;
            if other.applied_epoch >= epoch {
                sum.applied += other.edges;
            }
        }
        Ok(sum)
    }

    /// How many edges show a certificate of a CA.
    pub(crate) async fn doors_that_show(&self, issuer: IssuerKeyId) -> Result<u32, StoreError> {
        let own = self.edge_report(self.now());
        let all = self.other_reports().await?.into_iter().chain(std::iter::once(own));
        Ok(all.filter(|report| report.door_issuer == Some(issuer)).map(|report| report.edges).sum())
    }

    /// Looks which edges are attached and cannot be reached: whoever was connected to one that has fallen
    /// silent, or ended without a word, leaves it to all.
    pub(crate) async fn look_for_silent_edges(&self) -> Result<(), StoreError> {
        let edges = self.store.read(|r| Box::pin(async move { r.edges().await })).await?;
        let attached: Vec<_> = edges.iter().filter(|edge| edge.attachment.since.is_some()).collect();
        let others = if attached.is_empty() { Vec::new() } else { self.other_reports().await? };
        let is_reached = |by| others.iter().any(|other| other.authority == by);
        let is_silent = |edge: &&&EdgeRow| !edge.attachment.authority.is_some_and(is_reached);
        let silent: HashSet<EdgeId> = attached.iter().filter(is_silent).map(|edge| edge.id).collect();
        for edge in attached.iter().filter(|edge| silent.contains(&edge.id)) {
            self.publisher.remote.silent(edge.id, edge.attachment.applied);
        }
        self.publisher.remote.keep_silent(|id| silent.contains(id));
        Ok(())
    }

    async fn other_reports(&self) -> Result<Vec<EdgeReportRow>, StoreError> {
        let since = self.now() - COUNTS;
        let mut reports =
            self.store.read(move |r| Box::pin(async move { r.edge_reports(since).await })).await?;
        reports.retain(|report| report.authority != self.edges.id);
        Ok(reports)
    }
}
