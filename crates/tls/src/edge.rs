//! What an edge's certificate says.

use std::sync::Arc;

use aws_lc_rs::digest;
use countersign_core::edge::EdgeIdentity;
use countersign_core::ids::{CertificateRef, SpkiSha256};
use countersign_core::snapshot::TrustedIssuer;
use countersign_core::time::Timestamp;

use crate::cache::Cache;
use crate::certificate::{Parsed, spki};
use crate::fitness::{Side, check_leaf};
use crate::issuers::Issuer;
use crate::peer::{Peer, Witness};
use crate::verdict::is_signed_by;

/// What a verified certificate of an edge says. Whether it is on record, and not revoked, is for the
/// authority to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeClaim {
    /// Under what it is on record.
    pub reference: CertificateRef,
    /// Which edge it names.
    pub identity: EdgeIdentity,
    /// Its public key.
    pub spki: SpkiSha256,
    /// First valid moment.
    pub not_before: Timestamp,
    /// Last valid moment.
    pub not_after: Timestamp,
}

/// Judges certificates of edges; remembers only that one was right.
#[derive(Debug)]
pub struct EdgeJudge(Cache<EdgeClaim>);

impl Default for EdgeJudge {
    fn default() -> Self {
        Self(Cache::new())
    }
}

impl EdgeJudge {
    /// The edge whose certificate a peer showed, if it is one's and one of these CAs signed it.
    ///
    /// Fails closed: `None` for whatever is not an edge's alone, or not valid now, or was not seen by a door
    /// of this process.
    pub fn claim(
        &self,
        peer: &Peer,
        issuers: impl FnOnce() -> Vec<TrustedIssuer>,
        now: Timestamp,
    ) -> Option<Arc<EdgeClaim>> {
        let leaf = peer.chain_der().first()?;
        if peer.witness() != Witness::Door || peer.claim().is_some() {
            return None;
        }
        let parsed = Parsed::from_der(leaf).ok()?;
        let identity = identity(&parsed)?;
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, leaf).as_ref());
        let claim = match self.0.find(&key) {
            Some(known) => known,
            None => {
                let claim = Arc::new(verified(leaf, &parsed, identity, &issuers(), now)?);
                self.0.insert(key, Arc::clone(&claim));
                claim
            }
        };
        (claim.not_before <= now && now <= claim.not_after).then_some(claim)
    }
}

fn identity(leaf: &Parsed) -> Option<EdgeIdentity> {
    let mut uris = leaf.uris();
    let (Some(uri), None) = (uris.next(), uris.next()) else { return None };
    let identity = EdgeIdentity::from_uri(uri).ok()?;
    (leaf.extensions.names.len() == 1 && check_leaf(leaf, Side::Client).is_ok()).then_some(identity)
}

fn verified(
    der: &[u8],
    leaf: &Parsed,
    identity: EdgeIdentity,
    issuers: &[TrustedIssuer],
    now: Timestamp,
) -> Option<EdgeClaim> {
    let issuers = issuers.iter().filter_map(Issuer::open);
    let issuer = issuers
        .filter(|issuer| issuer.is_named_by(leaf) && issuer.is_valid_at(now))
        .find(|issuer| is_signed_by(der, leaf.not_before(), issuer))?;
    Some(EdgeClaim {
        reference: CertificateRef { issuer: issuer.key_id, serial: leaf.serial.clone() },
        identity,
        spki: SpkiSha256::of(spki(der).ok()?),
        not_before: leaf.not_before(),
        not_after: leaf.not_after().min(issuer.parsed.not_after()),
    })
}
