//! Whether what a CA elsewhere signed is what it was asked for.

use std::time::Duration;

use const_oid::AssociatedOid as _;
use const_oid::db::rfc5280::{ANY_EXTENDED_KEY_USAGE, ID_KP_CLIENT_AUTH};
use countersign_core::Identity;
use countersign_core::certificate::Lifetime;
use countersign_core::ids::{CertificateRef, IssuerKeyId, SerialNumber};
use countersign_core::time::Timestamp;
use der::Encode as _;
use thiserror::Error;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName,
    SubjectKeyIdentifier,
};

use crate::certificate::IssuedCertificate;
use crate::public_key::PublicKey;
use crate::signed::Signed;
use crate::tbs::{Tbs, timestamp};

/// A longer certificate is not read.
const LIMIT: usize = 16 * 1024;

/// How far the clock of another may be ahead.
const SKEW: Duration = Duration::from_secs(600);

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The device's key.
    pub key: &'a PublicKey,
    /// The device.
    pub identity: &'a Identity,
    /// The moment of issuance.
    pub now: Timestamp,
    /// How long it is to live; a certificate that lives longer counts no longer than this.
    pub lifetime: Duration,
}

/// A certificate that must not be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the certificate is not the one that was asked for: {0}")]
pub struct Misissued(&'static str);

/// The certificate in `pem`, if it is one for the key and the device that were asked for. Its signature is
/// not verified: the certificate of its CA is not at hand, and what counts is the answer of an
/// authenticated API. The key that issued it goes by its name and its key identifier.
///
/// # Errors
/// Fails closed: another key, a CA's certificate, another purpose than clientAuth, the name of another
/// device, an unknown critical extension, a life that is over or not begun.
pub fn certified(pem: &str, wanted: &Wanted<'_>) -> Result<IssuedCertificate, Misissued> {
    const MALFORMED: Misissued = Misissued("not one certificate in DER");
    if pem.len() > LIMIT {
        return Err(Misissued("too long"));
    }
    let (label, der) = der::pem::decode_vec(pem.trim().as_bytes()).map_err(|_pem| Misissued("not PEM"))?;
    if label != "CERTIFICATE" {
        return Err(Misissued("PEM of something else"));
    }
    let signed = Signed::from_der(&der).map_err(|_der| MALFORMED)?;
    let tbs = Tbs::from_der_strictly(signed.body).map_err(|_der| MALFORMED)?;
    let key = tbs.public_key.to_der().map_err(|_der| MALFORMED)?;
    if key != wanted.key.spki_der() {
        return Err(Misissued("it is for another key"));
    }
    check_profile(&tbs)?;
    check_names(&tbs, wanted.identity)?;
    let (not_before, not_after) = (timestamp(&tbs.validity.not_before), timestamp(&tbs.validity.not_after));
    if not_before > wanted.now + SKEW || not_after <= wanted.now {
        return Err(Misissued("it is not valid now"));
    }
    let serial = match tbs.serial.as_bytes() {
        [first, ..] if first & 0x80 != 0 => return Err(Misissued("its serial number is negative")),
        bytes => SerialNumber::from_be_bytes(bytes)
            .map_err(|_range| Misissued("its serial number is no serial number"))?,
    };
    let issuer = tbs.issuer.to_der().map_err(|_der| MALFORMED)?;
    let authority = tbs.extension::<AuthorityKeyIdentifier>().map_err(|_der| MALFORMED)?;
    let authority = authority.and_then(|(_critical, id)| id.key_identifier);
    let named = authority.as_ref().map(|id| id.as_bytes()).unwrap_or_default();
    let issued_at = wanted.now.floor_to_second();
    let expires_at = (issued_at + wanted.lifetime).floor_to_second().min(not_after);
    let reference = CertificateRef { issuer: IssuerKeyId::named(&issuer, named), serial };
    Ok(IssuedCertificate::elsewhere(der, reference, Lifetime { issued_at, expires_at }, wanted.key.sha256()))
}

/// The DER in a certificate's PEM; `None` when there is none.
#[must_use]
pub fn der_of(pem: &str) -> Option<Vec<u8>> {
    let (label, der) = der::pem::decode_vec(pem.trim().as_bytes()).ok()?;
    (label == "CERTIFICATE").then_some(der)
}

/// A leaf for clientAuth, and nothing in it that a reader must understand and we do not.
fn check_profile(tbs: &Tbs) -> Result<(), Misissued> {
    const MALFORMED: Misissued = Misissued("an extension is malformed");
    let known = [
        BasicConstraints::OID,
        KeyUsage::OID,
        ExtendedKeyUsage::OID,
        SubjectAltName::OID,
        SubjectKeyIdentifier::OID,
        AuthorityKeyIdentifier::OID,
    ];
    for (at, extension) in tbs.extensions.iter().enumerate() {
        if tbs.extensions.iter().take(at).any(|other| other.extn_id == extension.extn_id) {
            return Err(Misissued("an extension is there twice"));
        }
        if extension.critical && !known.contains(&extension.extn_id) {
            return Err(Misissued("it has an unknown critical extension"));
        }
    }
    let basic = tbs.extension::<BasicConstraints>().map_err(|_der| MALFORMED)?;
    if basic.is_some_and(|(_critical, basic)| basic.ca) {
        return Err(Misissued("it is a CA's"));
    }
    let usage = tbs.extension::<KeyUsage>().map_err(|_der| MALFORMED)?;
    if usage.is_some_and(|(_critical, usage)| {
        !usage.digital_signature() || usage.key_cert_sign() || usage.crl_sign()
    }) {
        return Err(Misissued("its key usage is not a device's"));
    }
    let purposes = tbs.extension::<ExtendedKeyUsage>().map_err(|_der| MALFORMED)?;
    let purposes = purposes.map(|(_critical, ExtendedKeyUsage(purposes))| purposes).unwrap_or_default();
    if !purposes.contains(&ID_KP_CLIENT_AUTH) || purposes.contains(&ANY_EXTENDED_KEY_USAGE) {
        return Err(Misissued("its purpose is not clientAuth"));
    }
    Ok(())
}

/// A CA that copies the request's names may say who the device is, and nothing else.
fn check_names(tbs: &Tbs, identity: &Identity) -> Result<(), Misissued> {
    let names = tbs.extension::<SubjectAltName>().map_err(|_der| Misissued("its names are malformed"))?;
    let names = names.map(|(_critical, SubjectAltName(names))| names).unwrap_or_default();
    let own = identity.uri();
    let is_other = |name: &GeneralName| matches!(name, GeneralName::UniformResourceIdentifier(uri) if uri.as_str() != own);
    let uris = names.iter().filter(|name| matches!(name, GeneralName::UniformResourceIdentifier(_))).count();
    if uris > 1 || names.iter().any(is_other) { Err(Misissued("it names another")) } else { Ok(()) }
}
