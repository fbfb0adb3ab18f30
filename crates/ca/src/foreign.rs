//! A service's certificate that came from elsewhere together with its key: read, held against the key and
//! against the CAs that came with it.
//!
//! Whom it names and what it is for its own CA has decided; here it is only read. What openssl makes
//! without further options (version 1, no extensions) is as good as any other.

use const_oid::AssociatedOid;
use const_oid::db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::ids::{IssuerKeyId, SerialNumber, SpkiSha256};
use countersign_core::time::Timestamp;
use der::{Decode, Encode as _};
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};

use crate::certificate::{certificate_pem, certificates_from_pem};
use crate::distinguished_name::{DistinguishedName, NameAttribute};
use crate::key::{KeyError, SigningKey};
use crate::name;
use crate::profile::Purpose;
use crate::public_key::PublicKey;
use crate::signed::{SignatureAlgorithm, Signed};
use crate::tbs::timestamp;

/// A leaf and more than this many CAs above it are refused.
const CHAIN_LIMIT: usize = 8;

/// Why a certificate from elsewhere is refused.
#[derive(Debug, Error)]
pub enum ForeignCertificateError {
    /// No certificate in PEM.
    #[error("this is no certificate in PEM")]
    Pem(#[source] der::Error),
    /// None at all, or too many.
    #[error("there are {0} certificates; one is needed, and at most {CHAIN_LIMIT} CAs above it")]
    Count(usize),
    /// The certificate cannot be used.
    #[error("the certificate cannot be read")]
    Malformed(#[source] der::Error),
    /// The certificate's own key is of a kind that is not accepted.
    #[error("the certificate's key is not accepted")]
    Key(#[source] KeyError),
    /// It is a CA.
    #[error("the first certificate is that of a CA; the service's own comes first")]
    Ca,
    /// Certificate and key do not belong together.
    #[error("the key is not that of the first certificate")]
    OtherKey,
    /// The CAs are not in order.
    #[error("certificate {0} did not sign the one before it; each is followed by the CA that signed it")]
    Chain(usize),
}

/// A service's certificate from elsewhere, with its key.
#[derive(Debug)]
pub struct ForeignCertificate {
    der: Vec<u8>,
    chain: Vec<Vec<u8>>,
    key: SigningKey,
    serial: SerialNumber,
    issuer: IssuerKeyId,
    subject: String,
    names: AlternativeNames,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl ForeignCertificate {
    /// Reads a certificate, the CAs above it if they follow, and takes the key that belongs to it.
    ///
    /// # Errors
    /// Fails closed: refuses a certificate of another key, a CA, and further certificates that did not
    /// each sign the one before.
    pub fn read(certificates_pem: &str, key: SigningKey) -> Result<Self, ForeignCertificateError> {
        let mut all = certificates_from_pem(certificates_pem).map_err(ForeignCertificateError::Pem)?;
        let count = all.len();
        if !(1..=CHAIN_LIMIT + 1).contains(&count) {
            return Err(ForeignCertificateError::Count(count));
        }
        let chain = all.split_off(1);
        let der = all.pop().ok_or(ForeignCertificateError::Count(count))?;
        let certificate = Certificate::from_der(&der).map_err(ForeignCertificateError::Malformed)?;
        let public = PublicKey::from_certificate_der(&der).map_err(ForeignCertificateError::Key)?;
        if public != *key.public_key() {
            return Err(ForeignCertificateError::OtherKey);
        }
        let constraints: Option<BasicConstraints> = extension(&certificate)?;
        if constraints.is_some_and(|constraints| constraints.ca) {
            return Err(ForeignCertificateError::Ca);
        }
        let mut below = &der;
        for (place, above) in chain.iter().enumerate() {
            if !signed_by(below, above) {
                return Err(ForeignCertificateError::Chain(place.saturating_add(2)));
            }
            below = above;
        }
        let issuer = issuer_of(&der, chain.first(), &public)?;
        let tbs = certificate.tbs_certificate();
        let malformed = |_invalid| ForeignCertificateError::Malformed(der::Tag::Integer.value_error().into());
        Ok(Self {
            serial: SerialNumber::from_be_bytes(tbs.serial_number().as_bytes()).map_err(malformed)?,
            issuer,
            subject: subject_of(&certificate),
            names: names_of(&certificate)?,
            not_before: timestamp(&tbs.validity().not_before),
            not_after: timestamp(&tbs.validity().not_after),
            der,
            chain,
            key,
        })
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The CAs that came with it in PEM, its issuer first.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|above| certificate_pem(above)).collect()
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Its serial number.
    #[must_use]
    pub const fn serial(&self) -> &SerialNumber {
        &self.serial
    }

    /// Who signed it: the key of the CA that came with it. Without one the hash of its name stands for
    /// it, which no key has.
    #[must_use]
    pub const fn issuer(&self) -> IssuerKeyId {
        self.issuer
    }

    /// Its subject, as RFC 4514 writes it; empty when it has none of the attributes that we know.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Its alternative names, of the kinds that we know.
    #[must_use]
    pub const fn names(&self) -> &AlternativeNames {
        &self.names
    }

    /// From when until when it is valid.
    #[must_use]
    pub const fn validity(&self) -> (Timestamp, Timestamp) {
        (self.not_before, self.not_after)
    }

    /// Whether a CA signed it: by name, and by its signature.
    #[must_use]
    pub fn is_signed_by(&self, ca_der: &[u8]) -> bool {
        signed_by(&self.der, ca_der)
    }

    /// Whether it says that it is for servers.
    #[must_use]
    pub fn is_for_servers(&self) -> bool {
        purposes_of(&self.der).contains(&Purpose::ServerAuth)
    }
}

/// What a certificate on record says that it is for, of the purposes that we know; none when it does not
/// say, or cannot be read.
#[must_use]
pub fn purposes_of(certificate_der: &[u8]) -> Vec<Purpose> {
    let usage = Certificate::from_der(certificate_der)
        .ok()
        .and_then(|certificate| extension::<ExtendedKeyUsage>(&certificate).ok().flatten());
    let purposes = usage.map(|ExtendedKeyUsage(purposes)| purposes).unwrap_or_default();
    let known = [(Purpose::ServerAuth, ID_KP_SERVER_AUTH), (Purpose::ClientAuth, ID_KP_CLIENT_AUTH)];
    known.into_iter().filter(|(_, oid)| purposes.contains(oid)).map(|(purpose, _)| purpose).collect()
}

fn extension<T>(certificate: &Certificate) -> Result<Option<T>, ForeignCertificateError>
where
    T: AssociatedOid + for<'a> Decode<'a, Error = der::Error>,
{
    let extensions = certificate.tbs_certificate().extensions().map_or(&[][..], |all| all.as_slice());
    let found = extensions.iter().find(|extension| extension.extn_id == T::OID);
    let read = found.map(|extension| T::from_der(extension.extn_value.as_bytes()));
    read.transpose().map_err(ForeignCertificateError::Malformed)
}

/// Fails closed: what cannot be read, or is signed with an algorithm that is not accepted, was not signed.
fn signed_by(below: &[u8], above: &[u8]) -> bool {
    let (Ok(lower), Ok(upper)) = (Certificate::from_der(below), Certificate::from_der(above)) else {
        return false;
    };
    let (Ok(key), Ok(signed)) = (PublicKey::from_certificate_der(above), Signed::from_der(below)) else {
        return false;
    };
    let Some(algorithm) = SignatureAlgorithm::of(&signed.algorithm) else { return false };
    lower.tbs_certificate().issuer() == upper.tbs_certificate().subject()
        && key.verify_with(algorithm, signed.body, signed.signature).is_ok()
}

fn issuer_of(
    der: &[u8],
    above: Option<&Vec<u8>>,
    own: &PublicKey,
) -> Result<IssuerKeyId, ForeignCertificateError> {
    if let Some(above) = above {
        let key = PublicKey::from_certificate_der(above).map_err(ForeignCertificateError::Key)?;
        return Ok(key.sha256().into());
    }
    if signed_by(der, der) {
        return Ok(own.sha256().into());
    }
    let certificate = Certificate::from_der(der).map_err(ForeignCertificateError::Malformed)?;
    let issuer = certificate.tbs_certificate().issuer().to_der();
    Ok(SpkiSha256::of(&issuer.map_err(ForeignCertificateError::Malformed)?).into())
}

fn subject_of(certificate: &Certificate) -> String {
    let subject = certificate.tbs_certificate().subject().to_der().and_then(|der| der::Any::from_der(&der));
    let attributes = subject.and_then(|subject| name::attributes_of(&subject)).unwrap_or_default();
    let known = attributes.into_iter().filter_map(|(oid, text)| Some((NameAttribute::of(oid)?, text)));
    DistinguishedName::new(known.collect()).map(|name| name.to_string()).unwrap_or_default()
}

fn names_of(certificate: &Certificate) -> Result<AlternativeNames, ForeignCertificateError> {
    let mut names = AlternativeNames::default();
    let written: Option<SubjectAltName> = extension(certificate)?;
    for name in written.map(|SubjectAltName(names)| names).unwrap_or_default() {
        match name {
            GeneralName::DnsName(text) => names.dns.push(text.as_str().to_owned()),
            GeneralName::UniformResourceIdentifier(text) => names.uris.push(text.as_str().to_owned()),
            GeneralName::IpAddress(octets) => names.ips.extend(address_of(octets.as_bytes())),
            GeneralName::OtherName(_)
            | GeneralName::Rfc822Name(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EdiPartyName(_)
            | GeneralName::RegisteredId(_) => {}
        }
    }
    Ok(names)
}

fn address_of(octets: &[u8]) -> Option<std::net::IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(std::net::IpAddr::from);
    v4.or_else(|_other| <[u8; 16]>::try_from(octets).map(std::net::IpAddr::from)).ok()
}
