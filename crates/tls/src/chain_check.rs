//! The doors' and clients' verdict on a chain, for people who ask without a handshake.

use countersign_core::Identity;
use countersign_core::ids::{IssuerKeyId, SpkiSha256};
use countersign_core::snapshot::{TrustSnapshot, TrustedIssuer};
use countersign_core::time::Timestamp;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use thiserror::Error;
use webpki::{BorrowedCertRevocationList, CertRevocationList};

use crate::certificate::{Parsed, spki};
use crate::fitness::Side;
use crate::path::{Path, PathError, Question, Roots, subject_of};
use crate::untrusted::UntrustedReason;
use crate::verdict::{Judge, Verdict, is_too_large};

/// What a chain is to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainPurpose {
    /// A device, at a door.
    Device,
    /// Any client; one that names a device is judged as a device.
    Client,
    /// A server, as our clients judge it.
    Server,
}

/// Whom to trust, for what, and when.
#[derive(Debug)]
pub struct ChainCheck {
    roots: Roots,
    revocation_lists: Vec<Vec<u8>>,
    purpose: ChainPurpose,
    at: Timestamp,
    host: Option<ServerName<'static>>,
}

/// Why a chain cannot be checked.
#[derive(Debug, Error)]
pub enum ChainCheckError {
    /// One of the trusted certificates is none.
    #[error("a certificate to be trusted cannot be read")]
    Trust(#[source] webpki::Error),
    /// Neither a DNS name nor an address.
    #[error("{0:?} is no host name and no address")]
    Host(String),
}

/// A chain that is good for what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedChain {
    /// The device that the leaf names, if it names one.
    pub identity: Option<Identity>,
    /// The subjects from the leaf to the root.
    pub path: Vec<String>,
}

impl ChainCheck {
    /// Trusts these certificates (DER), whatever else is in the chain: roots, or CAs below them.
    ///
    /// # Errors
    /// Refuses what is no certificate.
    pub fn new<C: AsRef<[u8]>>(
        trust: &[C],
        purpose: ChainPurpose,
        at: Timestamp,
    ) -> Result<Self, ChainCheckError> {
        let roots = Roots::new(trust).map_err(ChainCheckError::Trust)?;
        Ok(Self { roots, revocation_lists: Vec::new(), purpose, at, host: None })
    }

    /// The same, and one of these revocation lists (DER) must be about the leaf; those about CAs of the
    /// chain count as well.
    #[must_use]
    pub fn with_revocation_lists(mut self, lists: Vec<Vec<u8>>) -> Self {
        self.revocation_lists = lists;
        self
    }

    /// The same, and the leaf must be for this DNS name or address.
    ///
    /// # Errors
    /// Refuses what is neither.
    pub fn with_host(mut self, host: &str) -> Result<Self, ChainCheckError> {
        let name = ServerName::try_from(host.to_owned());
        self.host = Some(name.map_err(|_invalid| ChainCheckError::Host(host.to_owned()))?);
        Ok(self)
    }

    /// Judges a chain (DER), leaf first.
    ///
    /// # Errors
    /// Fails closed: a chain that no door or client of ours would accept is refused, and why is said.
    pub fn judge<C: AsRef<[u8]>>(&self, chain: &[C]) -> Result<AcceptedChain, PathError> {
        let Some((leaf, others)) = chain.split_first() else {
            return Err(unfit("the chain", UntrustedReason::Malformed));
        };
        let leaf = CertificateDer::from(leaf.as_ref());
        if self.purpose != ChainPurpose::Server && is_too_large(chain) {
            return Err(unfit("the chain", UntrustedReason::ChainTooLarge));
        }
        let others: Vec<_> = others.iter().map(|other| CertificateDer::from(other.as_ref())).collect();
        let lists = self.lists()?;
        let lists: Vec<&CertRevocationList<'_>> = lists.iter().collect();
        let side = match self.purpose {
            ChainPurpose::Device | ChainPurpose::Client => Side::Client,
            ChainPurpose::Server => Side::Server,
        };
        let (roots, now) = (&self.roots, self.at);
        let question = Question { leaf: &leaf, others: &others, roots, side, now, revocation_lists: &lists };
        let path = question.answer()?;
        self.check_host(&leaf)?;
        let identity = if self.is_about_a_device(&leaf) { Some(self.device(&leaf, &path)?) } else { None };
        let subjects = std::iter::once(leaf.as_ref()).chain(path.iter().map(Vec::as_slice));
        Ok(AcceptedChain { identity, path: subjects.map(subject_of).collect() })
    }

    fn lists(&self) -> Result<Vec<CertRevocationList<'_>>, PathError> {
        let unreadable =
            |_error| PathError::RevocationList("it cannot be read, or is of a kind not accepted");
        let lists = self.revocation_lists.iter();
        lists.map(|der| Ok(BorrowedCertRevocationList::from_der(der).map_err(unreadable)?.into())).collect()
    }

    fn check_host(&self, leaf: &CertificateDer<'_>) -> Result<(), PathError> {
        let Some(host) = &self.host else { return Ok(()) };
        let other = |_error| PathError::OtherHost(host.to_str().into_owned());
        let leaf = ParsedCertificate::try_from(leaf).map_err(other)?;
        verify_server_name(&leaf, host).map_err(other)
    }

    /// What looks like a device to anybody is judged as one.
    fn is_about_a_device(&self, leaf: &[u8]) -> bool {
        let names_one = || {
            Parsed::from_der(leaf).is_ok_and(|leaf| {
                leaf.uris().map(str::to_ascii_lowercase).any(|uri| {
                    uri.starts_with("spiffe:") && uri.contains("/tenant/") && uri.contains("/device/")
                })
            })
        };
        match self.purpose {
            ChainPurpose::Device => true,
            ChainPurpose::Client => names_one(),
            ChainPurpose::Server => false,
        }
    }

    /// The verdict of a door whose only device CA is the one that signed the leaf.
    fn device(&self, leaf: &CertificateDer<'_>, path: &Path) -> Result<Identity, PathError> {
        let refused = |reason| unfit(&subject_of(leaf), reason);
        let issuer = path.first().ok_or_else(|| refused(UntrustedReason::UnknownIssuer))?;
        let key = spki(issuer).map_err(|_der| refused(UntrustedReason::Malformed))?;
        let trusted = TrustedIssuer {
            key_id: IssuerKeyId::from(SpkiSha256::of(key)),
            certificate: issuer.as_slice().into(),
            tenants: None,
        };
        let mut snapshot = TrustSnapshot::empty(countersign_core::TrustDomain::default(), self.at);
        snapshot.device_issuers.push_back(trusted);
        match Judge::new().verdict(&[leaf], &snapshot, self.at) {
            Verdict::Vouched(vouched) => Ok(vouched.claim.identity.clone()),
            Verdict::Untrusted(reason) => Err(refused(reason)),
            Verdict::NothingShown => Err(refused(UntrustedReason::Malformed)),
        }
    }
}

fn unfit(subject: &str, reason: UntrustedReason) -> PathError {
    PathError::Unfit { subject: subject.to_owned(), reason }
}
