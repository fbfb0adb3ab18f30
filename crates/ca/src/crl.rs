//! Revocation lists (CRL version 2, RFC 5280 section 5).

use const_oid::AssociatedOid as _;
use const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
use countersign_core::certificate::RevocationReason;
use countersign_core::ids::SerialNumber;
use countersign_core::time::Timestamp;
use der::{Decode as _, Encode as _};
use thiserror::Error;
use x509_cert::certificate::Version;
use x509_cert::crl::{RevokedCert, TbsCertList};
use x509_cert::ext::pkix::AuthorityKeyIdentifier;
use x509_cert::ext::pkix::crl::{CrlNumber, CrlReason, IssuingDistributionPoint};
use x509_cert::name::Name;

use crate::crl_lint;
use crate::issuer::{Issuer, SignError};
use crate::name;
use crate::tbs::{extension, time};

/// What a revocation list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlContents {
    /// Its number: higher than that of any list this issuer has signed.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// By when the next one will be out.
    pub next_update: Timestamp,
    /// The revoked certificates, in any order.
    pub entries: Vec<CrlEntry>,
    /// Where it is published, when certificates name that place: the same URL as their
    /// `crl_url`.
    pub distribution_point: Option<String>,
}

/// One revoked certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlEntry {
    /// Its serial number.
    pub serial: SerialNumber,
    /// When it was revoked.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// Why a revocation list was not signed.
#[derive(Debug, Error)]
pub enum CrlError {
    /// It would be out of date when made.
    #[error("a revocation list made at {this_update} cannot be due at {next_update}")]
    Window {
        /// When it was made.
        this_update: Timestamp,
        /// When the next one is due.
        next_update: Timestamp,
    },
    /// One certificate twice.
    #[error("the serial number {0} is on the revocation list twice")]
    Duplicate(SerialNumber),
    /// Something in it has no place in a revocation list.
    #[error("cannot encode the revocation list")]
    Encode(#[source] der::Error),
    /// A lint refused it.
    #[error("the revocation list fails the lint {name}: {detail}")]
    Lint {
        /// The lint's name.
        name: &'static str,
        /// What it found.
        detail: String,
    },
    /// It could not be signed.
    #[error("cannot sign the revocation list")]
    Sign(#[source] SignError),
}

impl Issuer {
    /// Signs a revocation list: entries ordered by serial number, no empty list of entries, no
    /// reason where none is given, the issuer's key identifier copied, and the issuing
    /// distribution point when there is one.
    ///
    /// # Errors
    /// Refuses a list that is due before it is made, one that names a certificate twice, and whatever else
    /// fails a lint, naming it.
    pub fn sign_crl(&self, contents: &CrlContents) -> Result<Vec<u8>, CrlError> {
        let (this_update, next_update) = (contents.this_update, contents.next_update);
        if next_update.secs() <= this_update.secs() {
            return Err(CrlError::Window { this_update, next_update });
        }
        let entries = sorted(&contents.entries)?;
        let body =
            self.build_crl(contents, &entries).and_then(|list| list.to_der()).map_err(CrlError::Encode)?;
        // Linted is what was read back, not what was meant.
        let read = TbsCertList::from_der(&body).map_err(CrlError::Encode)?;
        crl_lint::check(&crl_lint::Subject { list: &read, contents, issuer: self.facts() })?;
        self.sign_body(&body).map_err(CrlError::Sign)
    }

    fn build_crl(&self, contents: &CrlContents, entries: &[&CrlEntry]) -> der::Result<TbsCertList> {
        let revoked = entries.iter().map(|entry| revoked(entry)).collect::<der::Result<Vec<_>>>()?;
        let mut extensions = vec![
            extension(AuthorityKeyIdentifier::OID, false, &self.authority_key_id()?)?,
            extension(CrlNumber::OID, false, &CrlNumber::try_from(contents.number)?)?,
        ];
        if let Some(url) = &contents.distribution_point {
            let point = IssuingDistributionPoint {
                distribution_point: Some(name::distribution_point(url)?),
                only_contains_user_certs: false,
                only_contains_ca_certs: false,
                only_some_reasons: None,
                indirect_crl: false,
                only_contains_attribute_certs: false,
            };
            // The library's own OID for this extension is that of another one.
            extensions.push(extension(ID_CE_ISSUING_DISTRIBUTION_POINT, true, &point)?);
        }
        Ok(TbsCertList {
            version: Version::V2,
            signature: self.signature_algorithm().identifier(),
            issuer: Name::from_der(&self.facts().subject.to_der()?)?,
            this_update: time(contents.this_update)?,
            next_update: Some(time(contents.next_update)?),
            revoked_certificates: (!revoked.is_empty()).then_some(revoked),
            crl_extensions: Some(extensions),
        })
    }
}

/// By number, which is by length first: serial numbers have no leading zeros.
fn sorted(entries: &[CrlEntry]) -> Result<Vec<&CrlEntry>, CrlError> {
    let mut entries: Vec<&CrlEntry> = entries.iter().collect();
    entries.sort_by_key(|entry| (entry.serial.as_bytes().len(), entry.serial.as_bytes()));
    let twice = entries.windows(2).find_map(|pair| match pair {
        [first, second] if first.serial == second.serial => Some(first.serial.clone()),
        _ => None,
    });
    twice.map_or(Ok(entries), |serial| Err(CrlError::Duplicate(serial)))
}

fn revoked(entry: &CrlEntry) -> der::Result<RevokedCert> {
    Ok(RevokedCert {
        serial_number: x509_cert::serial_number::SerialNumber::new(entry.serial.as_bytes())?,
        revocation_date: time(entry.revoked_at)?,
        crl_entry_extensions: reason_code(entry.reason)
            .map(|reason| Ok::<_, der::Error>(vec![extension(CrlReason::OID, false, &reason)?]))
            .transpose()?,
    })
}

/// A reason as lists and responders spell it: none given is absent, not zero (RFC 5280 section 5.3.1).
pub(crate) const fn reason_code(reason: RevocationReason) -> Option<CrlReason> {
    match reason {
        RevocationReason::Unspecified => None,
        RevocationReason::KeyCompromise => Some(CrlReason::KeyCompromise),
        RevocationReason::CaCompromise => Some(CrlReason::CaCompromise),
        RevocationReason::AffiliationChanged => Some(CrlReason::AffiliationChanged),
        RevocationReason::Superseded => Some(CrlReason::Superseded),
        RevocationReason::CessationOfOperation => Some(CrlReason::CessationOfOperation),
        RevocationReason::PrivilegeWithdrawn => Some(CrlReason::PrivilegeWithdrawn),
    }
}
