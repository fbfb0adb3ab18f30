//! Certificates of CAs that somebody else runs, whom doors are to trust on some routes: read, and held
//! against what a door asks of a CA at which a path ends.

use const_oid::{AssociatedOid as _, ObjectIdentifier};
use countersign_core::ids::{IssuerKeyId, SpkiSha256};
use countersign_core::time::Timestamp;
use thiserror::Error;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName,
    SubjectKeyIdentifier,
};

use crate::certificate::{certificate_pem, certificates_from_pem};
use crate::facts::CertificateFacts;
use crate::key::KeyError;
use crate::profile::Purpose;
use crate::signed::Signed;
use crate::tbs::Tbs;

/// So many CAs nobody runs for one purpose.
const MOST: usize = 16;

/// anyExtendedKeyUsage.
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// The extensions that doors know.
const KNOWN: [ObjectIdentifier; 7] = [
    BasicConstraints::OID,
    KeyUsage::OID,
    ExtendedKeyUsage::OID,
    SubjectAltName::OID,
    SubjectKeyIdentifier::OID,
    AuthorityKeyIdentifier::OID,
    NameConstraints::OID,
];

/// Why CAs of somebody else's are not taken in. Certificates are counted from 1.
#[derive(Debug, Error)]
pub enum ForeignCaError {
    /// No certificates in PEM.
    #[error("these are no certificates in PEM")]
    Pem(#[source] der::Error),
    /// None at all, or too many.
    #[error("there are {0} certificates; one is needed, and at most {MOST} are taken")]
    Count(usize),
    /// One cannot be read, or its key is of a kind that is not accepted.
    #[error("certificate {0} is refused")]
    Unreadable(usize, #[source] KeyError),
    /// One is no CA's, or of a CA that doors would refuse.
    #[error("certificate {at} ({subject}) {why}")]
    Unfit {
        /// Which.
        at: usize,
        /// Whom it names.
        subject: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// One is over.
    #[error("certificate {at} ({subject}) expired at {not_after}")]
    Expired {
        /// Which.
        at: usize,
        /// Whom it names.
        subject: String,
        /// Its last moment.
        not_after: Timestamp,
    },
}

/// The certificate of a CA that somebody else runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignCa {
    der: Vec<u8>,
    facts: CertificateFacts,
}

impl ForeignCa {
    /// Reads every certificate of a text; one that stands there twice counts once.
    ///
    /// # Errors
    /// Fails closed: each must be that of a CA that may sign certificates and vouch for clients, without
    /// critical extensions that doors do not know, and not over. What else the text holds is refused.
    pub fn read_all(pem: &str, now: Timestamp) -> Result<Vec<Self>, ForeignCaError> {
        let ders = certificates_from_pem(pem).map_err(ForeignCaError::Pem)?;
        if !(1..=MOST).contains(&ders.len()) {
            return Err(ForeignCaError::Count(ders.len()));
        }
        let mut all: Vec<Self> = Vec::with_capacity(ders.len());
        for (at, der) in (1..).zip(ders) {
            let ca = Self::read(at, der, now)?;
            if !all.contains(&ca) {
                all.push(ca);
            }
        }
        Ok(all)
    }

    fn read(at: usize, der: Vec<u8>, now: Timestamp) -> Result<Self, ForeignCaError> {
        let facts = CertificateFacts::of(&der).map_err(|error| ForeignCaError::Unreadable(at, error))?;
        let unreadable = |error| ForeignCaError::Unreadable(at, KeyError::Malformed(error));
        let signed = Signed::from_der(&der).map_err(unreadable)?;
        let tbs = Tbs::from_der_strictly(signed.body).map_err(unreadable)?;
        let subject = facts.subject.clone();
        if let Some(why) = unfit(&tbs).map_err(unreadable)? {
            return Err(ForeignCaError::Unfit { at, subject, why });
        }
        if facts.not_after < now {
            return Err(ForeignCaError::Expired { at, subject, not_after: facts.not_after });
        }
        Ok(Self { der, facts })
    }

    /// It, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// It, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        certificate_pem(&self.der)
    }

    /// Its key, by name.
    #[must_use]
    pub fn key_id(&self) -> IssuerKeyId {
        self.spki().into()
    }

    /// Its key, hashed.
    #[must_use]
    pub fn spki(&self) -> SpkiSha256 {
        self.facts.key.sha256()
    }

    /// Whom it names and how long it lives.
    #[must_use]
    pub const fn facts(&self) -> &CertificateFacts {
        &self.facts
    }
}

/// What a door would hold against it.
fn unfit(tbs: &Tbs) -> der::Result<Option<&'static str>> {
    let is_ca = tbs.extension::<BasicConstraints>()?.is_some_and(|(_critical, basic)| basic.ca);
    let may_sign = tbs.extension::<KeyUsage>()?.is_some_and(|(_critical, usage)| usage.key_cert_sign());
    let purposes = tbs.extension::<ExtendedKeyUsage>()?.map(|(_critical, purposes)| purposes.0);
    let is_for_others = purposes
        .is_some_and(|list| !list.contains(&Purpose::ClientAuth.oid()) && !list.contains(&ANY_PURPOSE));
    let is_unknown = tbs.extensions.iter().any(|one| one.critical && !KNOWN.contains(&one.extn_id));
    Ok(if !is_ca {
        Some("is not that of a CA")
    } else if !may_sign {
        Some("may not sign certificates: its key usage lacks keyCertSign")
    } else if is_for_others {
        Some("is for other purposes than clientAuth")
    } else if is_unknown {
        Some("has a critical extension that doors do not know")
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_testkit::{LeafSpec, NOT_AFTER, NOT_BEFORE, TestCa};
    use std::time::Duration;

    #[test]
    fn a_ca_is_taken_once_and_a_leaf_never() {
        let ca = TestCa::new("partner.example");
        let root = ca.root_pem();
        let read = ForeignCa::read_all(&format!("{root}{root}"), NOT_BEFORE).unwrap();
        assert_eq!((read.len(), read[0].der()), (1, ca.root_der()));
        let leaf = ca.mint(&LeafSpec::service("billing")).chain_pem();
        let refused = ForeignCa::read_all(&leaf, NOT_BEFORE).unwrap_err().to_string();
        assert!(refused.contains("certificate 1 (") && refused.contains("not that of a CA"), "{refused}");
        let marked = ca.mint(&LeafSpec { is_ca: true, ..LeafSpec::service("x") });
        let refused = ForeignCa::read_all(&marked.chain_pem(), NOT_BEFORE).unwrap_err().to_string();
        assert!(refused.contains("keyCertSign"), "{refused}");
    }

    #[test]
    fn fails_closed_on_what_is_over_unreadable_or_too_much() {
        let root = TestCa::new("partner.example").root_pem();
        let late = NOT_AFTER + Duration::from_secs(1);
        assert!(matches!(ForeignCa::read_all(&root, late), Err(ForeignCaError::Expired { at: 1, .. })));
        assert!(ForeignCa::read_all("", NOT_BEFORE).is_err());
        assert!(ForeignCa::read_all("-----BEGIN CERTIFICATE-----\n?", NOT_BEFORE).is_err());
        let many = root.repeat(MOST + 1);
        assert!(matches!(ForeignCa::read_all(&many, NOT_BEFORE), Err(ForeignCaError::Count(17))));
    }
}
