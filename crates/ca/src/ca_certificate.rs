//! Certificates of CAs that somebody else signed: read, and judged before they are taken in.

use countersign_core::ids::IssuerKeyId;
use countersign_core::time::Timestamp;
use der::asn1::Any;
use thiserror::Error;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

use crate::facts::CertificateFacts;
use crate::issuer::{IssueError, IssuerFacts, IssuerKind, PrepareError};
use crate::key::KeyError;
use crate::lint;
use crate::name;
use crate::profile::Profile;
use crate::public_key::{PublicKey, SignatureError};
use crate::signed::{SignatureAlgorithm, Signed};
use crate::tbs::Tbs;

const UNKNOWN: &str = "it has a critical extension that doors do not know and therefore refuse";

/// Why a CA's certificate is not taken in.
#[derive(Debug, Error)]
pub enum CaCertificateError {
    /// Its key is not accepted.
    #[error("the certificate's key is refused")]
    Key(#[source] KeyError),
    /// It makes no CA of this kind.
    #[error("the certificate makes no such CA")]
    NotSuchACa(#[source] IssueError),
    /// It is over, or has not begun.
    #[error("the certificate is valid from {from} to {to}, and now it is {now}")]
    NotValidNow {
        /// Its first moment.
        from: Timestamp,
        /// Its last.
        to: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// It says that another signed it.
    #[error("the certificate names another issuer than the CA above it")]
    OtherIssuer,
    /// The one above did not sign it.
    #[error("the certificate is not signed by the CA above it")]
    Signature(#[source] SignatureError),
    /// The one above may not have so many CAs below it.
    #[error("the path length of the CA above does not allow this CA below it")]
    PathLength,
    /// It names another.
    #[error("the certificate names {found:?}, and {wanted:?} was asked for")]
    OtherSubject {
        /// Whom it is to name.
        wanted: String,
        /// Whom it names.
        found: String,
    },
    /// It is not what was asked for.
    #[error("the certificate is not what was asked for")]
    Lint(#[source] PrepareError),
}

/// The certificate of a CA, read and found to be one.
#[derive(Clone, Debug)]
pub struct CaCertificate {
    der: Vec<u8>,
    tbs: Tbs,
    facts: IssuerFacts,
    key: PublicKey,
}

impl CaCertificate {
    /// Reads a certificate that is to make a CA of this kind.
    ///
    /// # Errors
    /// Fails closed: refuses a key that is not accepted, what is no CA of this kind or may not sign
    /// certificates and revocation lists, and critical extensions that doors do not know.
    pub fn read(certificate_der: &[u8], kind: IssuerKind) -> Result<Self, CaCertificateError> {
        let malformed = |error| CaCertificateError::NotSuchACa(IssueError::Malformed(error));
        let signed = Signed::from_der(certificate_der).map_err(malformed)?;
        let tbs = Tbs::from_der_strictly(signed.body).map_err(malformed)?;
        let key = PublicKey::from_certificate_der(certificate_der).map_err(CaCertificateError::Key)?;
        let facts = IssuerFacts::read(&tbs, &key, kind).map_err(CaCertificateError::NotSuchACa)?;
        let mut extensions = tbs.extensions.iter();
        let unknown = extensions.find(|extension| extension.critical && !lint::is_known(&extension.extn_id));
        if unknown.is_some() {
            return Err(CaCertificateError::NotSuchACa(IssueError::NotAnIssuer(UNKNOWN)));
        }
        Ok(Self { der: certificate_der.to_vec(), tbs, facts, key })
    }

    /// Its key, by name.
    #[must_use]
    pub const fn key_id(&self) -> IssuerKeyId {
        self.facts.key_id
    }

    /// Its key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Its subject, as RFC 4514 writes it, of the attributes that we know.
    #[must_use]
    pub fn subject_text(&self) -> String {
        CertificateFacts::of(&self.der).map(|facts| facts.subject).unwrap_or_default()
    }

    /// It, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its last moment.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.facts.not_after
    }

    /// Whether it says that it signed itself.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.tbs.issuer == self.tbs.subject
    }

    /// Whether it says that another CA signed it: by name, and by key identifier if it gives one.
    #[must_use]
    pub fn names_as_issuer(&self, above: &Self) -> bool {
        let authority = self.tbs.extension::<AuthorityKeyIdentifier>().ok().flatten();
        let named = authority.and_then(|(_critical, authority)| authority.key_identifier);
        let key_fits = named.is_none_or(|id| id.as_bytes() == above.facts.subject_key_id);
        key_fits && *self.issuer_name() == above.facts.subject
    }

    fn issuer_name(&self) -> &Any {
        &self.tbs.issuer
    }

    /// Refuses it unless it is valid at a moment.
    ///
    /// # Errors
    /// [`CaCertificateError::NotValidNow`].
    pub fn check_valid(&self, now: Timestamp) -> Result<(), CaCertificateError> {
        let (from, to) = (self.facts.not_before, self.facts.not_after);
        if from <= now && now <= to { Ok(()) } else { Err(CaCertificateError::NotValidNow { from, to, now }) }
    }

    /// Refuses it unless another CA signed it, and may have it below itself.
    ///
    /// # Errors
    /// See [`CaCertificateError`].
    pub fn check_signed_by(&self, above: &Self) -> Result<(), CaCertificateError> {
        if !self.names_as_issuer(above) {
            return Err(CaCertificateError::OtherIssuer);
        }
        if above.facts.path_length == Some(0) && above.key_id() != self.key_id() {
            return Err(CaCertificateError::PathLength);
        }
        above.check_signature(&self.der).map_err(CaCertificateError::Signature)
    }

    /// Refuses it unless so many CAs may be between it and what it makes in the end, besides the one that
    /// does.
    ///
    /// # Errors
    /// [`CaCertificateError::PathLength`].
    pub fn check_depth(&self, between: usize) -> Result<(), CaCertificateError> {
        let allowed = self.facts.path_length.map_or(usize::MAX, usize::from);
        if between < allowed { Ok(()) } else { Err(CaCertificateError::PathLength) }
    }

    /// Whether this CA's key signed a document.
    pub(crate) fn check_signature(&self, signed_der: &[u8]) -> Result<(), SignatureError> {
        let signed = Signed::from_der(signed_der).map_err(|_malformed| SignatureError)?;
        let algorithm = SignatureAlgorithm::of(&signed.algorithm).ok_or(SignatureError)?;
        self.key.verify_with(algorithm, signed.body, signed.signature)
    }

    /// Refuses it unless it is what we would have signed ourselves: it names whom it is to name, and every
    /// lint of its profile holds.
    ///
    /// # Errors
    /// [`CaCertificateError::OtherSubject`], or [`CaCertificateError::Lint`] with the first that does not.
    pub fn check_profile(
        &self,
        profile: &Profile,
        above: &Self,
        now: Timestamp,
    ) -> Result<(), CaCertificateError> {
        let wanted = name::distinguished_name(&profile.subject());
        if wanted.as_ref() != Ok(&self.tbs.subject) {
            let (wanted, found) = (profile.subject_text(), self.subject_text());
            return Err(CaCertificateError::OtherSubject { wanted, found });
        }
        lint::check(&lint::Subject {
            tbs: &self.tbs,
            profile,
            issuer: &above.facts,
            public_key: &self.key,
            issued_at: now,
        })
        .map_err(CaCertificateError::Lint)
    }

    pub(crate) const fn facts(&self) -> &IssuerFacts {
        &self.facts
    }
}
