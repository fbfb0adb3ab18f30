//! How the chain a peer showed becomes a claim, or a reason why it proves nothing.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use countersign_core::Identity;
use countersign_core::ids::{CertificateRef, IssuerKeyId, SpkiSha256};
use countersign_core::snapshot::{CertificateClaim, TrustSnapshot};
use countersign_core::time::Timestamp;
use der::Encode as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::cache::Cache;
use crate::certificate::{Parsed, spki};
use crate::fitness::{Side, check_leaf};
use crate::guest::GuestJudge;
use crate::issuers::{Bundle, Bundles, Issuer};
use crate::provider::provider;
use crate::untrusted::UntrustedReason;

const MAX_CHAIN_BYTES: usize = 8 * 1024;
const MAX_CHAIN_CERTIFICATES: usize = 4;

/// A leaf that a device CA of ours vouches for, or the authority itself.
#[derive(Debug)]
pub(crate) struct Vouched {
    pub(crate) claim: CertificateClaim,
    /// `None` when a CA elsewhere signed it.
    pub(crate) issuer: Option<Arc<Issuer>>,
}

impl Vouched {
    fn is_valid_at(&self, now: Timestamp) -> bool {
        self.issuer.as_ref().is_none_or(|issuer| issuer.is_valid_at(now))
    }
}

/// What the peer's chain amounts to.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    NothingShown,
    Untrusted(UntrustedReason),
    Vouched(Arc<Vouched>),
}

impl Verdict {
    /// The device CA that vouches for the leaf, unless it is one elsewhere.
    pub(crate) fn issuer(&self) -> Option<&Issuer> {
        match self {
            Self::Vouched(vouched) => vouched.issuer.as_deref(),
            Self::Untrusted(_) | Self::NothingShown => None,
        }
    }
}

/// Judges chains; remembers only that a chain was right, never that one was wrong.
#[derive(Debug)]
pub(crate) struct Judge {
    bundles: Bundles,
    right: Cache<Vouched>,
    /// Judges what is no device's.
    pub(crate) guests: GuestJudge,
}

impl Judge {
    pub(crate) fn new() -> Self {
        Self { bundles: Bundles::new(), right: Cache::new(), guests: GuestJudge::new() }
    }

    /// What `chain`, leaf first, amounts to under `snapshot` at `now`.
    ///
    /// What can change without the chain or the device CAs changing is judged each time: the validity
    /// of the issuer here, dates and status of the leaf by [`TrustSnapshot::standing`].
    pub(crate) fn verdict<C: AsRef<[u8]>>(
        &self,
        chain: &[C],
        snapshot: &TrustSnapshot,
        now: Timestamp,
    ) -> Verdict {
        let Some(leaf) = chain.first() else { return Verdict::NothingShown };
        if is_too_large(chain) {
            return Verdict::Untrusted(UntrustedReason::ChainTooLarge);
        }
        let bundle = self.bundles.of(snapshot);
        let key = key_of(chain, &bundle);
        // What is bound is not remembered: it hangs on the snapshot, and there is no signature to verify.
        let known = self.right.find(&key).or_else(|| bound(leaf.as_ref(), snapshot).map(Arc::new));
        let vouched = match known {
            Some(known) => Ok(known),
            None => vouch(leaf.as_ref(), &bundle).map(|vouched| {
                let vouched = Arc::new(vouched);
                self.right.insert(key, Arc::clone(&vouched));
                vouched
            }),
        };
        match vouched {
            Ok(vouched) if vouched.is_valid_at(now) => Verdict::Vouched(vouched),
            Ok(_) => Verdict::Untrusted(UntrustedReason::IssuerUnfit),
            Err(reason) => Verdict::Untrusted(reason),
        }
    }
}

/// Whether a chain is larger than any device's: such a one is not parsed.
pub(crate) fn is_too_large<C: AsRef<[u8]>>(chain: &[C]) -> bool {
    let bytes: usize = chain.iter().map(|certificate| certificate.as_ref().len()).sum();
    bytes > MAX_CHAIN_BYTES || chain.len() > MAX_CHAIN_CERTIFICATES
}

fn key_of<C: AsRef<[u8]>>(chain: &[C], bundle: &Bundle) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&bundle.version);
    for certificate in chain {
        hash.update(&certificate.as_ref().len().to_be_bytes());
        hash.update(certificate.as_ref());
    }
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    key
}

/// Parses the leaf, checks its profile and then, last because dearest, its issuer's signature.
///
/// Device CAs sign leaves and nothing else, so the rest of the chain cannot matter.
fn vouch(leaf_der: &[u8], bundle: &Bundle) -> Result<Vouched, UntrustedReason> {
    let leaf = Parsed::from_der(leaf_der)?;
    let identity = identity(&leaf)?;
    let named = || bundle.issuers.iter().filter(|issuer| issuer.is_named_by(&leaf));
    if named().next().is_none() {
        return Err(UntrustedReason::UnknownIssuer);
    }
    let issuer = named()
        .find(|issuer| is_signed_by(leaf_der, leaf.not_before(), issuer))
        .ok_or(UntrustedReason::BadSignature)?;
    let key = spki(leaf_der).map_err(|_der| UntrustedReason::Malformed)?;
    let claim = CertificateClaim {
        reference: CertificateRef { issuer: issuer.key_id, serial: leaf.serial.clone() },
        identity,
        spki: SpkiSha256::of(key),
        not_before: leaf.not_before(),
        not_after: leaf.not_after().min(issuer.parsed.not_after()),
    };
    Ok(Vouched { claim, issuer: Some(Arc::clone(issuer)) })
}

/// What the authority says about a leaf that a CA elsewhere signed for a device of ours.
///
/// Fails closed: it must be, byte for byte, the certificate that the authority recorded under this issuer
/// and serial number, having found its profile right. Every other certificate of that CA goes the usual
/// way, on which nobody vouches for it. Possession of its key is proved in the handshake, as ever; the
/// CA's signature adds nothing to that, and its certificate need not be known.
fn bound(leaf_der: &[u8], snapshot: &TrustSnapshot) -> Option<Vouched> {
    if snapshot.bindings.is_empty() {
        return None;
    }
    let leaf = Parsed::from_der(leaf_der).ok()?;
    let authority = leaf.extensions.authority_key_id.as_deref().unwrap_or_default();
    let issuer = IssuerKeyId::named(&leaf.issuer().to_der().ok()?, authority);
    let reference = CertificateRef { issuer, serial: leaf.serial.clone() };
    let binding = snapshot.bindings.get(&reference)?;
    let is_recorded = digest::digest(&digest::SHA256, leaf_der).as_ref() == binding.certificate;
    if !is_recorded || SpkiSha256::of(spki(leaf_der).ok()?) != binding.spki {
        return None;
    }
    let identity =
        Identity::new(snapshot.trust_domain.clone(), binding.tenant.clone(), binding.device.clone());
    let claim = CertificateClaim {
        reference,
        identity,
        spki: binding.spki,
        not_before: leaf.not_before(),
        not_after: leaf.not_after().min(binding.not_after),
    };
    Some(Vouched { claim, issuer: None })
}

/// The device that the leaf `certificate` (DER) names, before anyone has looked at its signature: for
/// telling people what a file says. It proves nothing and grants nothing; what does is a
/// [`Peer`](crate::Peer).
///
/// # Errors
/// As strict as a door: refuses whatever is not a device's certificate, and says why.
pub fn unverified_identity(certificate: &[u8]) -> Result<Identity, UntrustedReason> {
    identity(&Parsed::from_der(certificate)?)
}

/// The device a leaf names, if the leaf has a device's profile.
///
/// Fails closed: a leaf that could serve as anything but a device's is refused.
fn identity(leaf: &Parsed) -> Result<Identity, UntrustedReason> {
    check_leaf(leaf, Side::Client)?;
    let mut uris = leaf.uris();
    match (uris.next(), uris.next()) {
        (None, _) => Err(UntrustedReason::NoIdentity),
        (Some(_), Some(_)) => Err(UntrustedReason::SeveralIdentities),
        (Some(uri), None) => Identity::from_uri(uri).map_err(|_uri| UntrustedReason::NoIdentity),
    }
}

/// Full path validation by webpki for client authentication, with this one issuer as the only trust
/// anchor, at the leaf's first valid moment: its dates are judged elsewhere, each time.
pub(crate) fn is_signed_by(leaf_der: &[u8], not_before: Timestamp, issuer: &Issuer) -> bool {
    let certificate = CertificateDer::from(leaf_der);
    let Ok(leaf) = EndEntityCert::try_from(&certificate) else { return false };
    let Ok(seconds) = u64::try_from(not_before.secs()) else { return false };
    leaf.verify_for_usage(
        provider().signature_verification_algorithms.all,
        std::slice::from_ref(&issuer.anchor),
        &[],
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        KeyUsage::client_auth(),
        None,
        None,
    )
    .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::settings::Enforcement;
    use countersign_testkit::{NOT_BEFORE, TestCa};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static CA: LazyLock<TestCa> = LazyLock::new(|| TestCa::new("countersign.internal"));
    static DEVICE: LazyLock<Vec<u8>> = LazyLock::new(|| CA.device("acme", "d1").der().to_vec());

    fn verdict(leaf: &[u8]) -> Verdict {
        Judge::new().verdict(&[leaf], &CA.snapshot(&["acme"], Enforcement::Enforce), NOT_BEFORE)
    }

    #[test]
    fn a_known_chain_is_not_verified_again_and_a_wrong_one_is_not_remembered() {
        let (judge, snapshot) = (Judge::new(), CA.snapshot(&["acme"], Enforcement::Enforce));
        let first = judge.verdict(&[&*DEVICE], &snapshot, NOT_BEFORE);
        let second = judge.verdict(&[&*DEVICE], &snapshot, NOT_BEFORE);
        match (first, second) {
            (Verdict::Vouched(first), Verdict::Vouched(second)) => assert!(Arc::ptr_eq(&first, &second)),
            other => panic!("{other:?}"),
        }
        let forged = CA.evil_twin().device("acme", "d1");
        for _again in 0..2 {
            let verdict = judge.verdict(&[forged.der()], &snapshot, NOT_BEFORE);
            assert!(matches!(verdict, Verdict::Untrusted(UntrustedReason::BadSignature)), "{verdict:?}");
        }
        assert!(judge.right.find(&key_of(&[forged.der()], &judge.bundles.of(&snapshot))).is_none());
    }

    #[test]
    fn what_follows_the_leaf_cannot_help_it() {
        let forged = CA.evil_twin().device("acme", "d1");
        let snapshot = CA.snapshot(&["acme"], Enforcement::Enforce);
        let verdict = Judge::new().verdict(&[forged.der(), &DEVICE], &snapshot, NOT_BEFORE);
        assert!(matches!(verdict, Verdict::Untrusted(_)));
    }

    #[test]
    fn fails_closed_on_a_time_before_1970() {
        let spec = countersign_testkit::LeafSpec {
            not_before: Timestamp::from_secs(-1),
            ..CA.device_spec("acme", "d1")
        };
        assert!(matches!(verdict(CA.mint(&spec).der()), Verdict::Untrusted(_)));
    }

    proptest! {
        #[test]
        fn no_change_to_a_leaf_is_vouched_for(at in 0_usize..4096, change in 1_u8.., cut in any::<bool>()) {
            let mut leaf = DEVICE.clone();
            let at = at % leaf.len();
            if cut { leaf.truncate(at) } else { leaf[at] ^= change }
            prop_assert!(matches!(verdict(&leaf), Verdict::Untrusted(_)));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(unverified_identity(&bytes).is_err());
            prop_assert!(spki(&bytes).is_err() || !bytes.is_empty());
        }

        #[test]
        fn a_leaf_that_is_read_names_what_it_printed(at in 0_usize..4096, byte in any::<u8>()) {
            let mut leaf = DEVICE.clone();
            let at = at % leaf.len();
            leaf[at] = byte;
            if let Ok(identity) = unverified_identity(&leaf) {
                let uri = identity.uri();
                prop_assert!(leaf.windows(uri.len()).any(|window| window == uri.as_bytes()));
            }
        }
    }
}
