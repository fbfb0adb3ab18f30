//! What a door asks of a client's certificate inside the handshake.

use std::cell::Cell;
use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_core::access::{Refusal, refusal_of};
use countersign_core::guest::GuestOf;
use countersign_core::snapshot::{Standing, TrustSnapshot};
use countersign_core::time::{Clock, Timestamp};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme,
};
use tokio::sync::watch;
use webpki::RawPublicKeyEntity;

use crate::certificate::spki;
use crate::provider::provider;
use crate::untrusted::UntrustedReason;
use crate::verdict::{Judge, Verdict, is_too_large};

/// The longest SubjectPublicKeyInfo that is looked into: RSA with 4096 bits has 550 bytes.
const MAX_KEY_BYTES: usize = 576;

tokio::task_local! {
    /// Why the handshake of this task was refused: an alert has fewer words than we have reasons.
    pub(crate) static REFUSED: Cell<Option<Refusal>>;
}

/// What judging needs; shared by the handshake and by what comes after it.
#[derive(Clone, Debug)]
pub(crate) struct Court {
    pub(crate) judge: Arc<Judge>,
    pub(crate) snapshots: watch::Receiver<Arc<TrustSnapshot>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The guests that a listener which requires a certificate lets through.
    pub(crate) guests: Arc<ArcSwap<Vec<GuestOf>>>,
}

impl Court {
    /// The verdict on `chain`, and when and under what it was given.
    pub(crate) fn verdict<C: AsRef<[u8]>>(&self, chain: &[C]) -> (Verdict, Arc<TrustSnapshot>, Timestamp) {
        let snapshot = Arc::clone(&self.snapshots.borrow());
        let now = self.clock.now();
        (self.judge.verdict(chain, &snapshot, now), snapshot, now)
    }

    /// Why a listener that requires a certificate in good standing refuses this one; `None` if it does
    /// not.
    pub(crate) fn refusal<C: AsRef<[u8]>>(
        &self,
        chain: &[C],
        verdict: &Verdict,
        snapshot: &TrustSnapshot,
        now: Timestamp,
    ) -> Option<Refusal> {
        match verdict {
            Verdict::NothingShown => Some(Refusal::MtlsRequired),
            Verdict::Untrusted(_) => self.guest_refusal(chain, snapshot, now),
            Verdict::Vouched(vouched) => refusal_in(snapshot.standing(&vouched.claim, now)),
        }
    }

    /// The same of a chain that is no device's: it is enough to be a guest of any that are let through.
    fn guest_refusal<C: AsRef<[u8]>>(
        &self,
        chain: &[C],
        snapshot: &TrustSnapshot,
        now: Timestamp,
    ) -> Option<Refusal> {
        let admitted = self.guests.load();
        if admitted.is_empty() {
            return Some(Refusal::Untrusted);
        }
        let guests = self.judge.guests.judge(chain, &self.judge.guests.bundle(snapshot), now);
        let mut refusal = Some(Refusal::Untrusted);
        for claim in admitted.iter().filter_map(|of| guests.of(of)) {
            refusal = refusal_in(snapshot.guest_standing(claim, now));
            if refusal.is_none() {
                break;
            }
        }
        refusal
    }
}

/// Why a listener that requires a certificate in good standing refuses one in this; `None` if it does not.
const fn refusal_in(standing: Standing) -> Option<Refusal> {
    match standing {
        Standing::Valid | Standing::Pending => None,
        fallen @ (Standing::Superseded
        | Standing::Expired
        | Standing::NotYetValid
        | Standing::Revoked
        | Standing::Quarantined
        | Standing::Decommissioned
        | Standing::TenantSuspended
        | Standing::Unproved
        | Standing::Foreign) => Some(refusal_of(fallen)),
    }
}

/// When a verdict is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// After the handshake: any chain of decent size is accepted in it.
    After,
    /// In the handshake, and after it too, since a resumed one does not come by here.
    Inside,
}

/// Asks for a certificate. Possession of the leaf's key is proved in every full handshake, whatever
/// else is wrong with the chain.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) court: Court,
    pub(crate) strictness: Strictness,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.strictness == Strictness::Inside
    }

    /// No hints: the device CAs change while the listener runs, and a client that needs a hint to
    /// choose among certificates is not one of our agents.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain: Vec<&[u8]> = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|certificate| certificate.as_ref())
            .collect();
        if let Some(reason) = unaffordable(&chain) {
            return Err(refuse(Refusal::Untrusted, &Verdict::Untrusted(reason)));
        }
        if self.strictness == Strictness::After {
            return Ok(ClientCertVerified::assertion());
        }
        let (verdict, snapshot, now) = self.court.verdict(&chain);
        match self.court.refusal(&chain, &verdict, &snapshot, now) {
            None => Ok(ClientCertVerified::assertion()),
            Some(refusal) => Err(refuse(refusal, &verdict)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = leaf_key(certificate)?;
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_der| CertificateError::BadEncoding)?;
        let candidates = algorithms()
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .map(|(_, candidates)| *candidates)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        // In TLS 1.2 a scheme names no curve: the first algorithm that fits the key decides.
        let verified = candidates
            .iter()
            .any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok());
        if verified {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &leaf_key(certificate)?, signed, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// Why the chain is refused before any of it is verified, be the listener strict or not: whoever comes
/// by chooses it, and the work to verify a signature grows with the key.
fn unaffordable(chain: &[&[u8]]) -> Option<UntrustedReason> {
    if is_too_large(chain) {
        return Some(UntrustedReason::ChainTooLarge);
    }
    let key = chain.first().and_then(|leaf| spki(leaf).ok())?;
    (key.len() > MAX_KEY_BYTES).then_some(UntrustedReason::UnsupportedKey)
}

fn refuse(refusal: Refusal, verdict: &Verdict) -> Error {
    // Outside of an accept there is nobody to tell, and the alert says enough.
    REFUSED.try_with(|told| told.set(Some(refusal))).unwrap_or_default();
    alert(refusal, verdict).into()
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

fn leaf_key<'a>(certificate: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    let key = spki(certificate).map_err(|_der| CertificateError::BadEncoding)?;
    Ok(SubjectPublicKeyInfoDer::from(key))
}

/// The alert that RFC 8446 section 6.2 has for a refusal.
fn alert(refusal: Refusal, verdict: &Verdict) -> CertificateError {
    match refusal {
        Refusal::Expired => CertificateError::Expired,
        Refusal::NotYetValid => CertificateError::NotValidYet,
        Refusal::Revoked => CertificateError::Revoked,
        Refusal::MtlsRequired | Refusal::Untrusted => match verdict {
            Verdict::Untrusted(reason) => alert_untrusted(*reason),
            Verdict::NothingShown | Verdict::Vouched(_) => CertificateError::UnknownIssuer,
        },
        Refusal::Superseded
        | Refusal::Quarantined
        | Refusal::Decommissioned
        | Refusal::TenantSuspended
        | Refusal::Unproved
        | Refusal::WrongDevice
        | Refusal::NotAdmittedHere => CertificateError::ApplicationVerificationFailure,
    }
}

fn alert_untrusted(reason: UntrustedReason) -> CertificateError {
    match reason {
        UntrustedReason::ChainTooLarge
        | UntrustedReason::Malformed
        | UntrustedReason::NoIdentity
        | UntrustedReason::SeveralIdentities => CertificateError::BadEncoding,
        UntrustedReason::UnknownCriticalExtension => CertificateError::UnhandledCriticalExtension,
        UntrustedReason::UnsupportedKey
        | UntrustedReason::WrongKeyUsage
        | UntrustedReason::WrongExtendedKeyUsage => CertificateError::InvalidPurpose,
        UntrustedReason::UnknownIssuer | UntrustedReason::IssuerUnfit => CertificateError::UnknownIssuer,
        UntrustedReason::BadSignature => CertificateError::BadSignature,
        UntrustedReason::PathInvalid | UntrustedReason::BorrowedName => {
            CertificateError::ApplicationVerificationFailure
        }
    }
}
