//! The edges elsewhere that this authority answers for: those connected to it, and those that are attached
//! and cannot be reached.

use std::collections::HashMap;
use std::sync::Arc;

use countersign_core::ids::{CertificateRef, EdgeId};
use countersign_core::snapshot::SnapshotVersion;
use countersign_store::EdgeRow;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The edges elsewhere.
#[derive(Debug, Default)]
pub(crate) struct RemoteEdges {
    edges: Mutex<HashMap<EdgeId, Remote>>,
    /// Whose certificates those are that were looked up: what this says of an edge never changes, and
    /// what is revoked is in the trust snapshot.
    known: Mutex<HashMap<CertificateRef, Arc<EdgeRow>>>,
}

#[derive(Debug)]
struct Remote {
    applied: watch::Sender<SnapshotVersion>,
    connection: Connection,
}

/// Whether an edge is connected.
#[derive(Debug)]
enum Connection {
    /// It is; whoever serves it hears on the other end when that is over.
    Open { _held: watch::Sender<()> },
    /// It was, to this authority, which answers for it until another one has it.
    Lost,
    /// It is connected to nobody, and whoever it was connected to is gone: every authority counts it.
    Silent,
}

/// A connected edge's place.
#[derive(Debug)]
pub(crate) struct Place {
    /// Ends when another connection has taken its place, or the edge is revoked.
    pub(crate) held: watch::Receiver<()>,
}

/// How many certificates are remembered.
const KNOWN: usize = 4096;

impl RemoteEdges {
    /// An edge is connected; an earlier connection of its loses its place.
    pub(crate) fn connected(&self, edge: EdgeId) -> Place {
        let (sender, held) = watch::channel(());
        let mut edges = self.edges.lock();
        let remote = edges.entry(edge).or_insert_with(|| Remote {
            applied: watch::Sender::new(SnapshotVersion::default()),
            connection: Connection::Silent,
        });
        remote.connection = Connection::Open { _held: sender };
        Place { held }
    }

    /// An edge's connection is over, and it did not take its leave: `true` unless it has another one, or is
    /// revoked.
    pub(crate) fn fell_silent(&self, edge: EdgeId, place: &Place) -> bool {
        let is_over = place.held.has_changed().is_err();
        let mut edges = self.edges.lock();
        match edges.get_mut(&edge) {
            Some(remote) if !is_over => {
                remote.connection = Connection::Lost;
                true
            }
            Some(_) | None => false,
        }
    }

    /// What an edge says that it enforces. Fails closed: a claim never counts for more than was published,
    /// which the caller checks.
    pub(crate) fn applied(&self, edge: EdgeId, version: SnapshotVersion) {
        if let Some(remote) = self.edges.lock().get(&edge) {
            remote.applied.send_if_modified(|known| {
                let is_news = version > *known;
                if is_news {
                    *known = version;
                }
                is_news
            });
        }
    }

    /// An edge that is attached and that nobody is connected to.
    pub(crate) fn silent(&self, edge: EdgeId, applied: SnapshotVersion) {
        let mut edges = self.edges.lock();
        edges.entry(edge).or_insert_with(|| Remote {
            applied: watch::Sender::new(applied),
            connection: Connection::Silent,
        });
    }

    /// An edge that is attached no more: it took its leave, or is revoked. Its connection ends.
    pub(crate) fn forget(&self, edge: EdgeId) {
        self.edges.lock().remove(&edge);
    }

    /// Forgets the edges that nobody here is connected to and that are not among these.
    pub(crate) fn keep_silent(&self, among: impl Fn(&EdgeId) -> bool) {
        self.edges.lock().retain(|id, remote| match remote.connection {
            Connection::Open { .. } => true,
            Connection::Lost | Connection::Silent => among(id),
        });
    }

    /// What a connected edge enforces.
    pub(crate) fn reached(&self, edge: EdgeId) -> Option<SnapshotVersion> {
        let edges = self.edges.lock();
        let remote = edges.get(&edge)?;
        match remote.connection {
            Connection::Open { .. } => Some(*remote.applied.borrow()),
            Connection::Lost | Connection::Silent => None,
        }
    }

    /// Those that can be waited for, and the versions of those that cannot.
    pub(crate) fn everyone(&self) -> (Vec<watch::Receiver<SnapshotVersion>>, Vec<SnapshotVersion>) {
        let (mut connected, mut silent) = (Vec::new(), Vec::new());
        for remote in self.edges.lock().values() {
            match remote.connection {
                Connection::Open { .. } => connected.push(remote.applied.subscribe()),
                Connection::Lost | Connection::Silent => silent.push(*remote.applied.borrow()),
            }
        }
        (connected, silent)
    }

    /// The versions of those that this authority answers for, to the other ones too.
    pub(crate) fn answered_for(&self) -> Vec<SnapshotVersion> {
        let edges = self.edges.lock();
        let ours = edges.values().filter(|remote| !matches!(remote.connection, Connection::Silent));
        ours.map(|remote| *remote.applied.borrow()).collect()
    }

    /// Whose certificate it is, if that was looked up before.
    pub(crate) fn known(&self, certificate: &CertificateRef) -> Option<Arc<EdgeRow>> {
        self.known.lock().get(certificate).cloned()
    }

    /// Remembers whose certificate it is.
    pub(crate) fn remember(&self, certificate: CertificateRef, edge: Arc<EdgeRow>) {
        let mut known = self.known.lock();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(certificate, edge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(epoch: u64) -> SnapshotVersion {
        SnapshotVersion { generation: 1, epoch }
    }

    #[test]
    fn a_silent_edge_counts_with_what_it_said_last() {
        let (edges, id) = (RemoteEdges::default(), EdgeId::random());
        let place = edges.connected(id);
        edges.applied(id, at(7));
        edges.applied(id, at(5));
        assert_eq!((edges.reached(id), edges.everyone().1), (Some(at(7)), vec![]));
        assert!(edges.fell_silent(id, &place));
        assert_eq!((edges.reached(id), edges.everyone().1), (None, vec![at(7)]));
        edges.forget(id);
        assert!(edges.everyone().1.is_empty());
    }

    #[test]
    fn whoever_has_lost_an_edge_answers_for_it_until_another_has_it() {
        let (edges, id) = (RemoteEdges::default(), EdgeId::random());
        let place = edges.connected(id);
        edges.applied(id, at(7));
        assert_eq!(edges.answered_for(), [at(7)]);
        assert!(edges.fell_silent(id, &place));
        edges.silent(id, at(7));
        assert_eq!(edges.answered_for(), [at(7)], "it is not left to all");
        edges.keep_silent(|_another_has_it| false);
        assert!(edges.answered_for().is_empty());

        edges.silent(id, at(7));
        assert!(edges.answered_for().is_empty(), "left to all by one that is gone");
        assert_eq!(edges.everyone().1, [at(7)]);
    }

    #[test]
    fn a_newer_connection_takes_the_place_of_the_older_one() {
        let (edges, id) = (RemoteEdges::default(), EdgeId::random());
        let old = edges.connected(id);
        let new = edges.connected(id);
        assert!(old.held.has_changed().is_err() && new.held.has_changed().is_ok());
        assert!(!edges.fell_silent(id, &old), "it has another connection");
        assert!(edges.reached(id).is_some());
        edges.forget(id);
        assert!(new.held.has_changed().is_err(), "revoked");
        assert!(!edges.fell_silent(id, &new));
    }
}
