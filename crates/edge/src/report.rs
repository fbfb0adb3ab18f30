//! What a door tells the control plane.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use countersign_core::identity::Identity;
use countersign_core::ids::{CertificateRef, RequestId, SpkiSha256};
use countersign_core::snapshot::{CertificateClaim, Standing};
use countersign_core::time::Timestamp;
use tokio::sync::mpsc;
use tracing::warn;

use crate::counts::{DoorCounts, Outcome};

/// Something the control plane is to hear. Sent over a bounded channel: when it is full, refusals
/// are dropped and first uses wait.
#[derive(Clone, Debug)]
pub enum EdgeReport {
    /// A request was refused; or a handshake, and then its method, host and path are empty.
    Refused(Box<RefusedRequest>),
    /// A request was let in and found no answer but the door's own.
    Failed(Box<RefusedRequest>),
    /// A request went through that `enforce` would have refused.
    WouldRefuse(Box<RefusedRequest>),
    /// A certificate that waits for its first use was used.
    FirstUse(CertificateRef),
    /// So many refusals found no room in the channel.
    Missed(u64),
}

/// The facts of a refusal: what `countersign explain` prints.
#[derive(Clone, Debug)]
pub struct RefusedRequest {
    /// The request's id, also in its answer.
    pub request_id: RequestId,
    /// When.
    pub at: Timestamp,
    /// The stable code.
    pub code: String,
    /// Where the request came from.
    pub address: SocketAddr,
    /// The certificate, if one was shown that a device CA of ours vouches for.
    pub certificate: Option<CertificateFacts>,
    /// Why the certificate that was shown proves nothing.
    pub untrusted: Option<&'static str>,
    /// The verdict on the certificate.
    pub standing: Option<Standing>,
    /// The route's path prefix, once it was known.
    pub route: Option<String>,
    /// The method, its first [`Self::TEXT_LIMIT`] characters.
    pub method: String,
    /// The host that was asked for, its first [`Self::TEXT_LIMIT`] characters.
    pub host: String,
    /// The path, normalised where it could be, its first [`Self::TEXT_LIMIT`] characters.
    pub path: String,
    /// The rule that blocked, or would have.
    pub rule: Option<String>,
}

impl RefusedRequest {
    /// How many characters of a text that the client chose are kept: thousands of reports may wait,
    /// and each may come from a head of 64 KiB.
    pub const TEXT_LIMIT: usize = 200;

    /// What is known before anything was asked for.
    pub(crate) fn bare(at: Timestamp, address: SocketAddr, code: &str) -> Self {
        Self {
            request_id: RequestId::random(),
            at,
            code: code.to_owned(),
            address,
            certificate: None,
            untrusted: None,
            standing: None,
            route: None,
            method: String::new(),
            host: String::new(),
            path: String::new(),
            rule: None,
        }
    }
}

/// What a certificate says, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Under what it is on record.
    pub reference: CertificateRef,
    /// Whom it names.
    pub identity: Identity,
    /// Its public key.
    pub spki: SpkiSha256,
    /// Last valid moment.
    pub not_after: Timestamp,
}

impl From<&CertificateClaim> for CertificateFacts {
    fn from(claim: &CertificateClaim) -> Self {
        Self {
            reference: claim.reference.clone(),
            identity: claim.identity.clone(),
            spki: claim.spki,
            not_after: claim.not_after,
        }
    }
}

/// Where reports go.
#[derive(Clone, Debug)]
pub(crate) struct Reports {
    sender: mpsc::Sender<EdgeReport>,
    is_dropping: Arc<AtomicBool>,
    missed: Arc<AtomicU64>,
    counts: Arc<DoorCounts>,
}

impl Reports {
    pub(crate) fn new(sender: mpsc::Sender<EdgeReport>, counts: Arc<DoorCounts>) -> Self {
        Self { sender, is_dropping: Arc::default(), missed: Arc::default(), counts }
    }

    /// The numbers of the door.
    pub(crate) const fn counts(&self) -> &Arc<DoorCounts> {
        &self.counts
    }

    /// Tells of a refusal, unless the control plane is behind: a flood of refusals must not slow
    /// down what is admitted. How many were not told of is told with the next.
    pub(crate) fn tell(&self, report: EdgeReport) {
        match &report {
            EdgeReport::Refused(request) => self.counts.code(Outcome::Refused, &request.code),
            EdgeReport::WouldRefuse(request) => self.counts.code(Outcome::WouldRefuse, &request.code),
            EdgeReport::Failed(request) => self.counts.code(Outcome::Failed, &request.code),
            EdgeReport::FirstUse(_) | EdgeReport::Missed(_) => {}
        }
        let is_dropped = self.sender.try_send(report).is_err();
        if is_dropped {
            self.missed.fetch_add(1, Ordering::Relaxed);
        } else {
            self.tell_of_missed();
        }
        if is_dropped != self.is_dropping.swap(is_dropped, Ordering::Relaxed) && is_dropped {
            warn!("reports of refusals dropped");
        }
    }

    fn tell_of_missed(&self) {
        if self.missed.load(Ordering::Relaxed) == 0 {
            return;
        }
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 && self.sender.try_send(EdgeReport::Missed(missed)).is_err() {
            self.missed.fetch_add(missed, Ordering::Relaxed);
        }
    }

    /// Tells of a first use, waiting for room.
    pub(crate) async fn tell_first_use(&self, certificate: CertificateRef) {
        if self.sender.send(EdgeReport::FirstUse(certificate)).await.is_err() {
            warn!("first use not reported");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> EdgeReport {
        EdgeReport::Refused(Box::new(RefusedRequest {
            request_id: RequestId::random(),
            at: Timestamp::from_secs(1),
            code: "MTLS_REQUIRED".to_owned(),
            address: ([192, 0, 2, 1], 1).into(),
            certificate: None,
            untrusted: None,
            standing: None,
            route: None,
            method: "GET".to_owned(),
            host: "door.test".to_owned(),
            path: "/x".to_owned(),
            rule: None,
        }))
    }

    #[test]
    fn what_found_no_room_is_counted_with_the_next_that_does() {
        let (sender, mut receiver) = mpsc::channel(2);
        let reports = Reports::new(sender, Arc::default());
        (0..5).for_each(|_| reports.tell(refused()));
        while receiver.try_recv().is_ok() {}
        reports.tell(refused());
        assert!(matches!(receiver.try_recv(), Ok(EdgeReport::Refused(_))));
        assert!(matches!(receiver.try_recv(), Ok(EdgeReport::Missed(3))));
        reports.tell(refused());
        assert!(matches!(receiver.try_recv(), Ok(EdgeReport::Refused(_))));
        assert!(receiver.try_recv().is_err(), "nothing is counted twice");
    }
}
