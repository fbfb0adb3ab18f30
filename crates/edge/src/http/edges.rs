//! Edges elsewhere, where they come to the door of their authority.

use countersign_core::time::Timestamp;
use countersign_tls::{EdgeJudge, Peer};

use crate::trust::Current;

/// Knows edges by their certificates.
///
/// A door asks its rules about devices and counts addresses. An edge that hands on what devices ask has done both
/// at its own doors, by the same rules, and is one address for all of them. What it may, the control plane
/// judges with every request.
#[derive(Debug, Default)]
pub(crate) struct Edges(EdgeJudge);

impl Edges {
    /// Whether an edge is on the other side.
    ///
    /// Fails closed: not for one whose certificate is denied.
    pub(crate) fn have(&self, peer: &Peer, current: &Current, now: Timestamp) -> bool {
        if !peer.is_presented() || peer.claim().is_some() {
            return false;
        }
        let trust = current.load();
        let snapshot = &trust.snapshot;
        let issuers = || snapshot.service_issuers.iter().cloned().collect();
        let claim = self.0.claim(peer, issuers, now);
        claim.is_some_and(|claim| !snapshot.denied.contains(&claim.reference))
    }
}
