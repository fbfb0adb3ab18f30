//! The way from a leaf to a root that is trusted, found by webpki and judged by us.

use std::cell::RefCell;
use std::time::Duration;

use countersign_core::time::Timestamp;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use thiserror::Error;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth, RevocationOptions,
    RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};

use crate::certificate::Parsed;
use crate::distinguished_name::rfc2253;
use crate::fitness::{Side, check_ca, check_leaf, check_root, is_valid_at};
use crate::provider::provider;
use crate::untrusted::UntrustedReason;

/// Why a chain leads to no root that is trusted.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PathError {
    /// A certificate of it may not be where it stands.
    #[error("{subject}: {reason}")]
    Unfit {
        /// The certificate's subject.
        subject: String,
        /// What is wrong with it.
        reason: UntrustedReason,
    },
    /// A certificate of it is over.
    #[error("{subject}: the certificate expired at {at}")]
    Expired {
        /// The certificate's subject.
        subject: String,
        /// Its last moment.
        at: Timestamp,
    },
    /// A certificate of it has not begun.
    #[error("{subject}: the certificate is not valid before {from}")]
    NotYetValid {
        /// The certificate's subject.
        subject: String,
        /// Its first moment.
        from: Timestamp,
    },
    /// A revocation list names a certificate of it.
    #[error("a certificate of the chain is revoked")]
    Revoked,
    /// No revocation list is about the leaf.
    #[error("no revocation list that was given is about the leaf")]
    RevocationUnknown,
    /// A revocation list that decides is over, forged, or from somebody who may not make any.
    #[error("the revocation list proves nothing: {0}")]
    RevocationList(&'static str),
    /// Path validation refuses it for a reason of its own.
    #[error("the chain is not valid: {0}")]
    Invalid(webpki::Error),
    /// The leaf is somebody else's.
    #[error("the certificate is not for {0}")]
    OtherHost(String),
}

impl PathError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unfit { reason, .. } => reason.code(),
            Self::Expired { .. } => "CERTIFICATE_EXPIRED",
            Self::NotYetValid { .. } => "CERTIFICATE_NOT_YET_VALID",
            Self::Revoked => "CERTIFICATE_REVOKED",
            Self::RevocationUnknown => "REVOCATION_UNKNOWN",
            Self::RevocationList(_) => "REVOCATION_LIST_UNFIT",
            Self::Invalid(_) => "CHAIN_INVALID",
            Self::OtherHost(_) => "HOST_OTHER",
        }
    }
}

/// The roots that somebody trusts. One that is unfit is kept, and refused by whoever comes to it.
#[derive(Debug)]
pub(crate) struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    certificates: Vec<Vec<u8>>,
}

impl Roots {
    /// # Errors
    /// Refuses what is no certificate.
    pub(crate) fn new<C: AsRef<[u8]>>(certificates: &[C]) -> Result<Self, webpki::Error> {
        let anchor = |certificate: &C| {
            let der = CertificateDer::from(certificate.as_ref());
            Ok(webpki::anchor_from_trusted_cert(&der)?.to_owned())
        };
        Ok(Self {
            anchors: certificates.iter().map(anchor).collect::<Result<_, _>>()?,
            certificates: certificates.iter().map(|certificate| certificate.as_ref().to_vec()).collect(),
        })
    }

    fn certificate_of(&self, anchor: &TrustAnchor<'_>) -> Option<&[u8]> {
        let at = self.anchors.iter().position(|own| own == anchor)?;
        self.certificates.get(at).map(Vec::as_slice)
    }
}

/// What is asked about a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) leaf: &'a CertificateDer<'a>,
    pub(crate) others: &'a [CertificateDer<'a>],
    pub(crate) roots: &'a Roots,
    pub(crate) side: Side,
    pub(crate) now: Timestamp,
    /// With none, nothing is asked about revocation; with any, the leaf must be covered.
    pub(crate) revocation_lists: &'a [&'a CertRevocationList<'a>],
}

/// The CAs above the leaf, nearest first, root last, DER.
pub(crate) type Path = Vec<Vec<u8>>;

impl Question<'_> {
    /// Finds a path, each certificate of which is fit and valid.
    ///
    /// # Errors
    /// Fails closed: says why the last path that was tried is none.
    pub(crate) fn answer(&self) -> Result<Path, PathError> {
        let leaf = parsed(self.leaf)?;
        check_leaf(&leaf, self.side).map_err(|reason| unfit(&leaf, reason))?;
        check_dates(&leaf, self.now)?;
        let path = self.find(self.revocation(RevocationCheckDepth::EndEntity, UnknownStatusPolicy::Deny))?;
        if !self.revocation_lists.is_empty() {
            self.find(self.revocation(RevocationCheckDepth::Chain, UnknownStatusPolicy::Allow))?;
        }
        Ok(path)
    }

    fn revocation(
        &self,
        depth: RevocationCheckDepth,
        status: UnknownStatusPolicy,
    ) -> Option<RevocationOptions<'_>> {
        let options = RevocationOptionsBuilder::new(self.revocation_lists).ok()?;
        let options = options.with_depth(depth).with_status_policy(status);
        Some(options.with_expiration_policy(ExpirationPolicy::Enforce).build())
    }

    fn find(&self, revocation: Option<RevocationOptions<'_>>) -> Result<Path, PathError> {
        let leaf = EndEntityCert::try_from(self.leaf).map_err(|error| self.refused(error))?;
        let usage = match self.side {
            Side::Client => KeyUsage::client_auth(),
            Side::Server => KeyUsage::server_auth(),
        };
        let seconds = u64::try_from(self.now.secs()).unwrap_or_default();
        let judged: RefCell<Option<Result<Path, PathError>>> = RefCell::new(None);
        let judge = |path: &VerifiedPath<'_>| {
            let verdict = self.judge(path);
            let outcome = if verdict.is_ok() { Ok(()) } else { Err(webpki::Error::UnknownIssuer) };
            judged.replace(Some(verdict));
            outcome
        };
        let found = leaf.verify_for_usage(
            provider().signature_verification_algorithms.all,
            &self.roots.anchors,
            self.others,
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            usage,
            revocation,
            Some(&judge),
        );
        let found = found.map(drop);
        match (judged.into_inner(), found) {
            (Some(Ok(path)), Ok(())) => Ok(path),
            (Some(Err(refused)), _) => Err(refused),
            (_, Err(error)) => Err(self.refused(error)),
            (None, Ok(())) => Err(self.refused(webpki::Error::UnknownIssuer)),
        }
    }

    /// What path validation does not ask of the CAs of a path: of the root above all, of which it knows
    /// no more than name and key.
    fn judge(&self, path: &VerifiedPath<'_>) -> Result<Path, PathError> {
        let root = self
            .roots
            .certificate_of(path.anchor())
            .ok_or_else(|| self.refused(webpki::Error::UnknownIssuer))?;
        let mut cas: Path = path.intermediate_certificates().map(|ca| ca.der().to_vec()).collect();
        cas.push(root.to_vec());
        for der in &cas {
            let ca = parsed(der)?;
            check_ca(&ca).map_err(|reason| unfit(&ca, reason))?;
            check_dates(&ca, self.now)?;
        }
        let root = parsed(root)?;
        check_root(&root, self.side, cas.len().saturating_sub(1)).map_err(|reason| unfit(&root, reason))?;
        let signs_lists = root.extensions.key_usage.as_ref().is_some_and(|usage| usage.crl_sign());
        let is_issuer = |list: &&CertRevocationList<'_>| list.issuer() == path.anchor().subject.as_ref();
        if self.revocation_lists.iter().any(is_issuer) && !signs_lists {
            return Err(PathError::RevocationList("its issuer may not sign revocation lists"));
        }
        Ok(cas)
    }

    fn refused(&self, error: webpki::Error) -> PathError {
        let unfit_leaf = |reason| match parsed(self.leaf) {
            Ok(leaf) => unfit(&leaf, reason),
            Err(error) => error,
        };
        explain(error).unwrap_or_else(unfit_leaf)
    }
}

/// What path validation says, in our words; a reason alone is one about the leaf.
fn explain(error: webpki::Error) -> Result<PathError, UntrustedReason> {
    use webpki::Error as E;
    let list = PathError::RevocationList;
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library may add errors: it says the rest itself")]
    Ok(match error {
        E::UnknownIssuer => return Err(UntrustedReason::UnknownIssuer),
        E::InvalidSignatureForPublicKey => return Err(UntrustedReason::BadSignature),
        E::CertRevoked => PathError::Revoked,
        E::UnknownRevocationStatus => PathError::RevocationUnknown,
        E::CrlExpired { .. } => list("it is past its nextUpdate"),
        E::IssuerNotCrlSigner => list("its issuer may not sign revocation lists"),
        E::InvalidCrlSignatureForPublicKey => list("its signature is not its issuer's"),
        E::UnsupportedCriticalExtension => PathError::Unfit {
            subject: "a CA of the chain".to_owned(),
            reason: UntrustedReason::UnknownCriticalExtension,
        },
        other => PathError::Invalid(other),
    })
}

fn parsed(der: &[u8]) -> Result<Parsed, PathError> {
    Parsed::from_der(der)
        .map_err(|reason| PathError::Unfit { subject: "a certificate of the chain".to_owned(), reason })
}

fn unfit(certificate: &Parsed, reason: UntrustedReason) -> PathError {
    PathError::Unfit { subject: rfc2253(certificate.subject()), reason }
}

fn check_dates(certificate: &Parsed, now: Timestamp) -> Result<(), PathError> {
    let subject = || rfc2253(certificate.subject());
    if is_valid_at(certificate, now) {
        Ok(())
    } else if now < certificate.not_before() {
        Err(PathError::NotYetValid { subject: subject(), from: certificate.not_before() })
    } else {
        Err(PathError::Expired { subject: subject(), at: certificate.not_after() })
    }
}

/// The subject of a certificate, for people.
pub(crate) fn subject_of(certificate: &[u8]) -> String {
    Parsed::from_der(certificate).map(|parsed| rfc2253(parsed.subject())).unwrap_or_default()
}
