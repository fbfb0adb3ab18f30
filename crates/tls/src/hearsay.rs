//! Peers of whose handshakes an edge elsewhere tells.

use std::sync::Arc;

use countersign_core::snapshot::TrustSnapshot;
use countersign_core::time::Timestamp;

use crate::peer::{Peer, Session, TlsProtocol, Witness};
use crate::policy::ClientAuth;
use crate::verdict::Judge;

/// Judges what edges say they were shown, as a door judges what it was shown itself.
#[derive(Debug)]
pub struct Hearsay(Arc<Judge>);

impl Default for Hearsay {
    fn default() -> Self {
        Self(Arc::new(Judge::new()))
    }
}

impl Hearsay {
    /// The other side of a handshake that an edge has done. What the certificate amounts to is judged here;
    /// that its key was there is the edge's word.
    #[must_use]
    pub fn peer(&self, chain: Vec<Arc<[u8]>>, snapshot: &TrustSnapshot, now: Timestamp) -> Peer {
        let verdict = self.0.verdict(&chain, snapshot, now);
        let session = Session {
            is_resumed: false,
            protocol: TlsProtocol::Tls13,
            cipher: "unknown",
            key_exchange: None,
            server_name: None,
            shown: None,
            alpn: None,
            client_auth: ClientAuth::Optional,
        };
        Peer::seen_by(Witness::Edge, chain, (verdict, Arc::clone(&self.0)), session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::settings::Enforcement;
    use countersign_testkit::{NOT_BEFORE, TestCa};

    #[test]
    fn an_edge_cannot_talk_us_into_a_certificate() {
        let ca = TestCa::new("countersign.internal");
        let snapshot = ca.snapshot(&["acme"], Enforcement::Enforce);
        let told = |der: &[u8]| Hearsay::default().peer(vec![der.into()], &snapshot, NOT_BEFORE);
        let good = told(ca.device("acme", "d1").der());
        assert!(good.claim().is_some());
        assert_eq!(good.witness(), Witness::Edge);
        assert!(told(ca.evil_twin().device("acme", "d1").der()).claim().is_none());
        assert!(told(&[]).untrusted().is_some(), "something was shown");
        assert!(!Hearsay::default().peer(Vec::new(), &snapshot, NOT_BEFORE).is_presented());
    }
}
