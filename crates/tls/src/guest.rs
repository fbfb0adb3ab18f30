//! How the chain a peer showed makes it a guest: by a full path to a service CA of ours, or to a CA
//! that somebody else runs and that doors were told to trust.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use countersign_core::TrustDomain;
use countersign_core::guest::{ForeignTrust, GuestClaim, GuestOf};
use countersign_core::ids::{CertificateRef, SpkiSha256};
use countersign_core::snapshot::{TrustSnapshot, TrustedIssuer};
use countersign_core::time::Timestamp;
use imbl::Vector;
use rustls::pki_types::CertificateDer;

use crate::cache::{Cache, Key};
use crate::certificate::{Parsed, spki};
use crate::fitness::{Side, check_leaf};
use crate::path::{Path, PathError, Question, Roots};
use crate::untrusted::UntrustedReason;
use crate::verdict::is_too_large;

/// As what a chain may come in besides as a device's, and if as nothing, why.
#[derive(Debug)]
pub struct Guests {
    found: Vec<Arc<GuestClaim>>,
    untrusted: UntrustedReason,
}

impl Guests {
    /// The claim as a guest of these, if their CAs vouch for it.
    #[must_use]
    pub fn of(&self, whose: &GuestOf) -> Option<&Arc<GuestClaim>> {
        self.found.iter().find(|claim| claim.of == *whose)
    }

    /// Every claim.
    pub fn all(&self) -> impl Iterator<Item = &Arc<GuestClaim>> {
        self.found.iter()
    }

    /// Why nobody vouches for it; `None` if somebody does.
    #[must_use]
    pub fn untrusted(&self) -> Option<UntrustedReason> {
        self.found.is_empty().then_some(self.untrusted)
    }
}

/// The CAs of one kind of guest.
#[derive(Debug)]
struct Trusted {
    of: GuestOf,
    roots: Roots,
}

/// Every CA of a snapshot that makes guests, and a number that stands for exactly this set.
#[derive(Debug)]
pub(crate) struct GuestBundle {
    services: Vector<TrustedIssuer>,
    foreign: Vector<ForeignTrust>,
    trust_domain: TrustDomain,
    version: Key,
    trusted: Vec<Trusted>,
}

impl GuestBundle {
    fn open(snapshot: &TrustSnapshot) -> Self {
        let (services, foreign) = (&snapshot.service_issuers, &snapshot.foreign_trusts);
        let own = services.iter().map(|issuer| Arc::clone(&issuer.certificate)).collect::<Vec<_>>();
        let others = foreign
            .iter()
            .map(|trust| (GuestOf::Trust(trust.name.clone()), trust.anchors.iter().cloned().collect()));
        let all: Vec<(GuestOf, Vec<Arc<[u8]>>)> =
            std::iter::once((GuestOf::Services, own)).chain(others).collect();
        let mut version = digest::Context::new(&digest::SHA256);
        version.update(snapshot.trust_domain.as_str().as_bytes());
        let mut trusted = Vec::with_capacity(all.len());
        for (of, certificates) in all {
            version.update(of.to_string().as_bytes());
            for certificate in &certificates {
                version.update(&certificate.len().to_be_bytes());
                version.update(certificate);
            }
            let usable: Vec<_> = certificates.into_iter().filter(|one| is_usable(one, &of)).collect();
            match Roots::new(&usable) {
                Ok(roots) => trusted.push(Trusted { of, roots }),
                Err(error) => tracing::error!(guests = %of, %error, "cas of guests unusable"),
            }
        }
        Self {
            services: services.clone(),
            foreign: foreign.clone(),
            trust_domain: snapshot.trust_domain.clone(),
            version: key_from(version),
            trusted,
        }
    }

    fn is_of(&self, snapshot: &TrustSnapshot) -> bool {
        fn same<T: Clone + PartialEq>(one: &Vector<T>, other: &Vector<T>) -> bool {
            one.ptr_eq(other) || one == other
        }
        same(&self.services, &snapshot.service_issuers)
            && same(&self.foreign, &snapshot.foreign_trusts)
            && self.trust_domain == snapshot.trust_domain
    }
}

fn is_usable(certificate: &[u8], of: &GuestOf) -> bool {
    let is_usable = Roots::new(&[certificate]).is_ok();
    if !is_usable {
        tracing::error!(guests = %of, "ca of guests unusable");
    }
    is_usable
}

/// Judges chains; remembers only that a chain was right, never that one was wrong.
#[derive(Debug)]
pub(crate) struct GuestJudge {
    bundle: ArcSwap<GuestBundle>,
    right: Cache<GuestClaim>,
}

impl GuestJudge {
    pub(crate) fn new() -> Self {
        let nothing = TrustSnapshot::empty(TrustDomain::default(), Timestamp::from_secs(0));
        Self { bundle: ArcSwap::from_pointee(GuestBundle::open(&nothing)), right: Cache::new() }
    }

    /// The CAs of `snapshot`, opened anew when it brings others than the last.
    pub(crate) fn bundle(&self, snapshot: &TrustSnapshot) -> Arc<GuestBundle> {
        let held = self.bundle.load_full();
        if held.is_of(snapshot) {
            return held;
        }
        let fresh = Arc::new(GuestBundle::open(snapshot));
        self.bundle.store(Arc::clone(&fresh));
        fresh
    }

    /// As what `chain`, leaf first, may come in. Whether it is a device's is not asked here.
    ///
    /// What was found right stays so while chain and CAs are the same; its dates are in the claim, and
    /// judged with its status by [`TrustSnapshot::guest_standing`] each time.
    pub(crate) fn judge<C: AsRef<[u8]>>(&self, chain: &[C], bundle: &GuestBundle, now: Timestamp) -> Guests {
        let hash = hash_of(chain, bundle);
        let mut guests = Guests { found: Vec::new(), untrusted: UntrustedReason::UnknownIssuer };
        for trusted in &bundle.trusted {
            let key = key_of(&hash, &trusted.of);
            let known = match self.right.find(&key) {
                Some(known) => Ok(known),
                None => vouch(chain, trusted, &bundle.trust_domain, now).map(|claim| {
                    let claim = Arc::new(claim);
                    self.right.insert(key, Arc::clone(&claim));
                    claim
                }),
            };
            match known {
                Ok(claim) => guests.found.push(claim),
                Err(reason) if nearness(reason) > nearness(guests.untrusted) => guests.untrusted = reason,
                Err(_further) => {}
            }
        }
        guests
    }
}

/// How near a chain came to being trusted: what is told is how it failed where it came nearest.
const fn nearness(reason: UntrustedReason) -> u8 {
    match reason {
        UntrustedReason::UnknownIssuer => 0,
        UntrustedReason::BadSignature => 1,
        UntrustedReason::ChainTooLarge
        | UntrustedReason::Malformed
        | UntrustedReason::UnsupportedKey
        | UntrustedReason::UnknownCriticalExtension
        | UntrustedReason::WrongKeyUsage
        | UntrustedReason::WrongExtendedKeyUsage
        | UntrustedReason::NoIdentity
        | UntrustedReason::SeveralIdentities
        | UntrustedReason::IssuerUnfit
        | UntrustedReason::PathInvalid
        | UntrustedReason::BorrowedName => 2,
    }
}

fn hash_of<C: AsRef<[u8]>>(chain: &[C], bundle: &GuestBundle) -> Key {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&bundle.version);
    for certificate in chain {
        hash.update(&certificate.as_ref().len().to_be_bytes());
        hash.update(certificate.as_ref());
    }
    key_from(hash)
}

fn key_of(chain: &Key, of: &GuestOf) -> Key {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(chain);
    hash.update(of.to_string().as_bytes());
    key_from(hash)
}

fn key_from(hash: digest::Context) -> Key {
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    key
}

/// Finds a path, and says when it is valid.
fn vouch<C: AsRef<[u8]>>(
    chain: &[C],
    trusted: &Trusted,
    trust_domain: &TrustDomain,
    now: Timestamp,
) -> Result<GuestClaim, UntrustedReason> {
    if is_too_large(chain) {
        return Err(UntrustedReason::ChainTooLarge);
    }
    let (leaf_der, others) = chain.split_first().ok_or(UntrustedReason::Malformed)?;
    let leaf_der = leaf_der.as_ref();
    let leaf = Parsed::from_der(leaf_der)?;
    check_leaf(&leaf, Side::Client)?;
    let path = find_path(&leaf, (leaf_der, others), &trusted.roots, now)?;
    let (Some(issuer), Some(anchor)) = (path.first(), path.last()) else {
        return Err(UntrustedReason::UnknownIssuer);
    };
    // What our service CAs sign is on record under their keys, and they sign no CAs.
    if trusted.of == GuestOf::Services && path.len() != 1 {
        return Err(UntrustedReason::UnknownIssuer);
    }
    if borrows_a_name(&leaf, &trusted.of, trust_domain) {
        return Err(UntrustedReason::BorrowedName);
    }
    let key = |der: &[u8]| spki(der).map(SpkiSha256::of).map_err(|_der| UntrustedReason::Malformed);
    let (mut not_before, mut not_after) = (leaf.not_before(), leaf.not_after());
    for ca in &path {
        let ca = Parsed::from_der(ca)?;
        not_before = not_before.max(ca.not_before());
        not_after = not_after.min(ca.not_after());
    }
    Ok(GuestClaim {
        of: trusted.of.clone(),
        reference: CertificateRef { issuer: key(issuer)?.into(), serial: leaf.serial.clone() },
        anchor: anchor.as_slice().into(),
        issuer: issuer.as_slice().into(),
        spki: key(leaf_der)?,
        not_before,
        not_after,
    })
}

/// Full path validation, as strict as `cert verify`, at the moment of the leaf's validity that is
/// nearest to now: the leaf's own dates are judged elsewhere, each time.
fn find_path<C: AsRef<[u8]>>(
    leaf: &Parsed,
    (leaf_der, others): (&[u8], &[C]),
    roots: &Roots,
    now: Timestamp,
) -> Result<Path, UntrustedReason> {
    let others: Vec<_> = others.iter().map(|other| CertificateDer::from(other.as_ref())).collect();
    let question = Question {
        leaf: &CertificateDer::from(leaf_der),
        others: &others,
        roots,
        side: Side::Client,
        now: now.max(leaf.not_before()).min(leaf.not_after()),
        revocation_lists: &[],
    };
    question.answer().map_err(|error| match error {
        PathError::Unfit { reason, .. } => reason,
        PathError::Expired { .. } | PathError::NotYetValid { .. } => UntrustedReason::IssuerUnfit,
        PathError::Invalid(_)
        | PathError::Revoked
        | PathError::RevocationUnknown
        | PathError::RevocationList(_)
        | PathError::OtherHost(_) => UntrustedReason::PathInvalid,
    })
}

/// Whether a leaf names what its CA may not name: somebody of this installation, if the CA is somebody
/// else's; a device or an edge, if it is one of our services'. Whoever reads its names behind a door must
/// not be led astray.
fn borrows_a_name(leaf: &Parsed, of: &GuestOf, trust_domain: &TrustDomain) -> bool {
    let own = format!("spiffe://{trust_domain}");
    leaf.uris().map(str::to_ascii_lowercase).any(|uri| {
        let Some(rest) = uri.strip_prefix(&own) else { return false };
        match of {
            GuestOf::Trust(_) => rest.is_empty() || rest.starts_with(['/', ':', '?', '#', '@']),
            GuestOf::Services => rest.contains("/tenant/") || rest.starts_with("/edge/"),
        }
    })
}
