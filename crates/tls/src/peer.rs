//! The other side of a finished handshake.

use std::fmt;
use std::sync::{Arc, OnceLock};

use countersign_core::access::{Holder, Shown};
use countersign_core::snapshot::{CertificateClaim, TrustSnapshot};
use countersign_core::time::Timestamp;
use parking_lot::Mutex;
use rustls::sign::CertifiedKey;

use crate::certificate::Parsed;
use crate::details::LeafDetails;
use crate::guest::{GuestBundle, Guests};
use crate::policy::ClientAuth;
use crate::untrusted::UntrustedReason;
use crate::verdict::{Judge, Verdict};

/// The version of TLS that was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsProtocol {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl TlsProtocol {
    /// `TLSv1.2` or `TLSv1.3`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

impl fmt::Display for TlsProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was agreed in the handshake, certificates aside.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) is_resumed: bool,
    pub(crate) protocol: TlsProtocol,
    pub(crate) cipher: &'static str,
    pub(crate) key_exchange: Option<&'static str>,
    pub(crate) server_name: Option<Box<str>>,
    /// What the other side was shown; `None` where another process did the handshake.
    pub(crate) shown: Option<Arc<CertifiedKey>>,
    pub(crate) alpn: Option<Box<[u8]>>,
    pub(crate) client_auth: ClientAuth,
}

/// Who saw the handshake in which possession of the leaf's key was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// A door of this process.
    Door,
    /// An edge elsewhere, which says so: the certificate was judged here, but that its key was there is that
    /// edge's word.
    Edge,
}

#[derive(Debug)]
struct Facts {
    chain: Vec<Arc<[u8]>>,
    verdict: Verdict,
    session: Session,
    leaf: OnceLock<Option<Box<LeafDetails>>>,
    judge: Arc<Judge>,
    /// As what the chain may come in besides, and under which CAs that was asked.
    guests: Mutex<Option<(Arc<GuestBundle>, Arc<Guests>)>>,
    witness: Witness,
}

/// The other side of a finished handshake: what it showed and what that amounts to.
///
/// Only [`DoorTls::accept`](crate::DoorTls::accept) makes one, so holding a `Peer` is evidence of a
/// handshake in which possession of the leaf's key was proved, or of the resumption of one; and
/// [`Hearsay`](crate::Hearsay), which says so: see [`Self::witness`].
#[derive(Clone, Debug)]
pub struct Peer(Arc<Facts>);

impl Peer {
    pub(crate) fn new(chain: Vec<Arc<[u8]>>, judged: (Verdict, Arc<Judge>), session: Session) -> Self {
        Self::seen_by(Witness::Door, chain, judged, session)
    }

    pub(crate) fn seen_by(
        witness: Witness,
        mut chain: Vec<Arc<[u8]>>,
        (verdict, judge): (Verdict, Arc<Judge>),
        session: Session,
    ) -> Self {
        // Most clients send it, and all of them the same: they hold the snapshot's.
        if let Some(issuer) = verdict.issuer() {
            let shown = chain.iter_mut().filter(|shown| **shown == issuer.certificate);
            shown.for_each(|shown| *shown = Arc::clone(&issuer.certificate));
        }
        let (leaf, guests) = (OnceLock::new(), Mutex::new(None));
        Self(Arc::new(Facts { chain, verdict, session, leaf, judge, guests, witness }))
    }

    /// Who saw the handshake.
    #[must_use]
    pub fn witness(&self) -> Witness {
        self.0.witness
    }

    /// What the certificate says, if a device CA of ours vouches for it. Signatures, key usages and
    /// profile are right; dates and status are still to be judged, see [`Self::shown`].
    #[must_use]
    pub fn claim(&self) -> Option<&CertificateClaim> {
        match &self.0.verdict {
            Verdict::Vouched(vouched) => Some(&vouched.claim),
            Verdict::Untrusted(_) | Verdict::NothingShown => None,
        }
    }

    /// Why the certificate that was shown proves nothing; `None` if it does, or none was shown.
    #[must_use]
    pub fn untrusted(&self) -> Option<UntrustedReason> {
        match &self.0.verdict {
            Verdict::Untrusted(reason) => Some(*reason),
            Verdict::Vouched(_) | Verdict::NothingShown => None,
        }
    }

    /// As what a chain that is no device's may come in under `snapshot`: as a guest of our services, or of
    /// a CA of somebody else's. Worked out for whoever asks first, and again when other CAs are trusted.
    /// `None` without a certificate, and for a device's, which makes nobody anything else.
    ///
    /// Signatures, key usages and constraints are right; dates and status are still to be judged, by
    /// [`TrustSnapshot::guest_standing`].
    #[must_use]
    pub fn guests(&self, snapshot: &TrustSnapshot, now: Timestamp) -> Option<Arc<Guests>> {
        match self.0.verdict {
            Verdict::Untrusted(_) => {}
            Verdict::Vouched(_) | Verdict::NothingShown => return None,
        }
        let judge = &self.0.judge.guests;
        let bundle = judge.bundle(snapshot);
        let mut known = self.0.guests.lock();
        if let Some((of, guests)) = &*known
            && Arc::ptr_eq(of, &bundle)
        {
            return Some(Arc::clone(guests));
        }
        let guests = Arc::new(judge.judge(&self.0.chain, &bundle, now));
        *known = Some((bundle, Arc::clone(&guests)));
        Some(guests)
    }

    /// Whether a certificate was shown at all, trusted or not.
    #[must_use]
    pub fn is_presented(&self) -> bool {
        !matches!(self.0.verdict, Verdict::NothingShown)
    }

    /// The chain as it was shown, leaf first, DER; empty when none was.
    #[must_use]
    pub fn chain_der(&self) -> &[Arc<[u8]>] {
        &self.0.chain
    }

    /// The certificate of the device CA that vouches for the leaf, DER, as the trust snapshot has it;
    /// `None` when none does, and when a CA elsewhere signed it. What else the peer sent after its leaf is nobody's word.
    #[must_use]
    pub fn issuer_der(&self) -> Option<&[u8]> {
        self.0.verdict.issuer().map(|issuer| &*issuer.certificate)
    }

    /// The leaf's texts for rules and headers, worked out on first use; `None` when no certificate
    /// was shown or it cannot be parsed.
    #[must_use]
    pub fn leaf(&self) -> Option<&LeafDetails> {
        let Facts { chain, verdict, leaf, .. } = &*self.0;
        leaf.get_or_init(|| LeafDetails::read(chain, verdict.issuer()).map(Box::new)).as_deref()
    }

    /// Whether the handshake resumed an earlier session.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.0.session.is_resumed
    }

    /// The version of TLS.
    #[must_use]
    pub fn protocol(&self) -> TlsProtocol {
        self.0.session.protocol
    }

    /// The cipher suite, by its IANA name without the `TLS13_` of some libraries:
    /// `TLS_AES_128_GCM_SHA256`.
    #[must_use]
    pub fn cipher(&self) -> &'static str {
        self.0.session.cipher
    }

    /// The key exchange group (`X25519MLKEM768`, `X25519`, `secp256r1`); `None` on a session that was
    /// resumed without one.
    #[must_use]
    pub fn key_exchange(&self) -> Option<&'static str> {
        self.0.session.key_exchange
    }

    /// The name the client asked for (SNI).
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.0.session.server_name.as_deref()
    }

    /// The SAN URIs of the certificate that this side shows under that name.
    #[must_use]
    pub fn door_uris(&self) -> Vec<String> {
        let leaf = self.0.session.shown.as_ref().and_then(|shown| shown.cert.first());
        let leaf = leaf.and_then(|der| Parsed::from_der(der).ok());
        leaf.map(|leaf| leaf.uris().map(str::to_owned).collect()).unwrap_or_default()
    }

    /// The protocol agreed by ALPN.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.session.alpn.as_deref()
    }

    /// What was asked of the peer in the handshake, full or resumed.
    #[must_use]
    pub fn client_auth(&self) -> ClientAuth {
        self.0.session.client_auth
    }

    /// What was shown, for the who-may-reach-what table: judged at `now` under `snapshot`.
    #[must_use]
    pub fn shown(&self, snapshot: &TrustSnapshot, holder: Holder, now: Timestamp) -> Shown {
        match &self.0.verdict {
            Verdict::NothingShown => Shown::Nothing,
            Verdict::Untrusted(_) => Shown::Untrusted,
            Verdict::Vouched(vouched) => Shown::Device(holder, snapshot.standing(&vouched.claim, now)),
        }
    }
}
