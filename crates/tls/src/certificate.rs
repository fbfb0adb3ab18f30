//! One certificate, parsed strictly, once.
//!
//! Stricter than path validation needs: DER only, X.509 version 3 only, no extension twice, both
//! signature algorithms alike, so that no two readers can see two things in one certificate.

use const_oid::{AssociatedOid as _, ObjectIdentifier};
use countersign_core::ids::SerialNumber;
use countersign_core::time::Timestamp;
use der::asn1::{AnyRef, UintRef};
use der::{Decode as _, Reader as _, SliceReader, Tag};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::time::Time;

use crate::untrusted::UntrustedReason;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A public key by type and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyType {
    P256,
    P384,
    Ed25519,
    Rsa(usize),
    Other,
}

impl KeyType {
    /// Whether a device or an issuer may have such a key.
    pub(crate) const fn is_accepted(self) -> bool {
        match self {
            Self::P256 | Self::P384 | Self::Ed25519 => true,
            Self::Rsa(bits) => bits >= 2048 && bits <= 4096,
            Self::Other => false,
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::P256 => "P-256".to_owned(),
            Self::P384 => "P-384".to_owned(),
            Self::Ed25519 => "Ed25519".to_owned(),
            Self::Rsa(bits) => format!("RSA-{bits}"),
            Self::Other => "other".to_owned(),
        }
    }
}

/// The extensions we understand, each decoded whole.
#[derive(Debug, Default)]
pub(crate) struct Extensions {
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) extended_key_usage: Option<ExtendedKeyUsage>,
    pub(crate) names: Vec<GeneralName>,
    pub(crate) subject_key_id: Option<Box<[u8]>>,
    pub(crate) authority_key_id: Option<Box<[u8]>>,
    pub(crate) has_critical_name_constraints: bool,
    pub(crate) has_unknown_critical: bool,
}

/// A certificate that could be parsed; nothing is said about its signature.
#[derive(Debug)]
pub(crate) struct Parsed {
    certificate: Certificate,
    pub(crate) serial: SerialNumber,
    pub(crate) extensions: Extensions,
}

impl Parsed {
    /// # Errors
    /// Fails closed: [`UntrustedReason::Malformed`] for anything that is not one certificate in DER.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, UntrustedReason> {
        const MALFORMED: UntrustedReason = UntrustedReason::Malformed;
        let certificate = Certificate::from_der(der).map_err(|_der| MALFORMED)?;
        let tbs = certificate.tbs_certificate();
        if tbs.version() != Version::V3 || tbs.signature() != certificate.signature_algorithm() {
            return Err(MALFORMED);
        }
        let serial = match tbs.serial_number().as_bytes() {
            [first, ..] if first & 0x80 != 0 => return Err(MALFORMED),
            bytes => SerialNumber::from_be_bytes(bytes).map_err(|_range| MALFORMED)?,
        };
        let list = tbs.extensions().map(Vec::as_slice).unwrap_or_default();
        let extensions = Extensions::decode(list).map_err(|_der| MALFORMED)?;
        Ok(Self { certificate, serial, extensions })
    }

    pub(crate) fn subject(&self) -> &x509_cert::name::Name {
        self.certificate.tbs_certificate().subject()
    }

    pub(crate) fn issuer(&self) -> &x509_cert::name::Name {
        self.certificate.tbs_certificate().issuer()
    }

    pub(crate) fn not_before(&self) -> Timestamp {
        timestamp(&self.certificate.tbs_certificate().validity().not_before)
    }

    pub(crate) fn not_after(&self) -> Timestamp {
        timestamp(&self.certificate.tbs_certificate().validity().not_after)
    }

    /// The SAN URIs.
    pub(crate) fn uris(&self) -> impl Iterator<Item = &str> {
        self.extensions.names.iter().filter_map(|name| {
            if let GeneralName::UniformResourceIdentifier(uri) = name { Some(uri.as_str()) } else { None }
        })
    }

    /// The SAN DNS names.
    pub(crate) fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.extensions
            .names
            .iter()
            .filter_map(|name| if let GeneralName::DnsName(name) = name { Some(name.as_str()) } else { None })
    }

    pub(crate) fn key_type(&self) -> KeyType {
        let spki = self.certificate.tbs_certificate().subject_public_key_info();
        let key = &spki.algorithm;
        match key.oid {
            ED25519 => KeyType::Ed25519,
            RSA => spki.subject_public_key.as_bytes().and_then(rsa_bits).map_or(KeyType::Other, KeyType::Rsa),
            EC => {
                match key.parameters.as_ref().and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok()) {
                    Some(P256) => KeyType::P256,
                    Some(P384) => KeyType::P384,
                    _ => KeyType::Other,
                }
            }
            _ => KeyType::Other,
        }
    }
}

impl Extensions {
    fn decode(list: &[Extension]) -> der::Result<Self> {
        let mut found = Self::default();
        for (at, extension) in list.iter().enumerate() {
            let earlier = list.iter().take(at);
            if earlier.clone().any(|other| other.extn_id == extension.extn_id) {
                return Err(Tag::Sequence.value_error().into());
            }
            found.add(extension)?;
        }
        Ok(found)
    }

    fn add(&mut self, extension: &Extension) -> der::Result<()> {
        let value = extension.extn_value.as_bytes();
        match extension.extn_id {
            BasicConstraints::OID => self.basic_constraints = Some(BasicConstraints::from_der(value)?),
            KeyUsage::OID => self.key_usage = Some(KeyUsage::from_der(value)?),
            ExtendedKeyUsage::OID => self.extended_key_usage = Some(ExtendedKeyUsage::from_der(value)?),
            SubjectAltName::OID => self.names = SubjectAltName::from_der(value)?.0,
            SubjectKeyIdentifier::OID => {
                self.subject_key_id = Some(SubjectKeyIdentifier::from_der(value)?.0.as_bytes().into());
            }
            AuthorityKeyIdentifier::OID => {
                let id = AuthorityKeyIdentifier::from_der(value)?.key_identifier;
                self.authority_key_id = id.map(|id| id.as_bytes().into());
            }
            NameConstraints::OID => self.has_critical_name_constraints = extension.critical,
            _ => self.has_unknown_critical |= extension.critical,
        }
        Ok(())
    }
}

fn timestamp(time: &Time) -> Timestamp {
    Timestamp::from_secs(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

fn rsa_bits(key: &[u8]) -> Option<usize> {
    let mut fields = SliceReader::new(AnyRef::from_der(key).ok()?.value()).ok()?;
    let modulus: UintRef<'_> = fields.decode().ok()?;
    let (first, rest) = modulus.as_bytes().split_first()?;
    let leading = usize::try_from(first.leading_zeros()).ok()?;
    Some(rest.len().saturating_mul(8).saturating_add(8).saturating_sub(leading))
}

/// The SubjectPublicKeyInfo inside a certificate, as it stands there. Needs no more of the
/// certificate than its outline, so that possession of a key can be checked whatever else is wrong.
pub(crate) fn spki(certificate: &[u8]) -> der::Result<&[u8]> {
    let mut outer = SliceReader::new(AnyRef::from_der(certificate)?.value())?;
    let tbs: AnyRef<'_> = outer.decode()?;
    let mut fields = SliceReader::new(tbs.value())?;
    if fields.peek_byte() == Some(0xa0) {
        fields.tlv_bytes()?;
    }
    for _serial_signature_issuer_validity_subject in 0..5 {
        fields.tlv_bytes()?;
    }
    fields.tlv_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsa_key(modulus_bytes: usize, first: u8) -> Vec<u8> {
        let mut modulus = vec![0_u8; modulus_bytes];
        modulus[0] = first;
        let modulus = UintRef::new(&modulus).unwrap();
        let mut content = der::Encode::to_der(&modulus).unwrap();
        content.extend([2, 3, 1, 0, 1]);
        let any = AnyRef::new(Tag::Sequence, &content).unwrap();
        der::Encode::to_der(&any).unwrap()
    }

    #[test]
    fn rsa_is_measured_in_bits_and_accepted_from_2048_to_4096() {
        for (bytes, first, bits, accepted) in [
            (64, 0x80, 512, false),
            (256, 0x7f, 2047, false),
            (256, 0x80, 2048, true),
            (512, 0xff, 4096, true),
            (513, 0x01, 4097, false),
            (1024, 0x80, 8192, false),
        ] {
            assert_eq!(rsa_bits(&rsa_key(bytes, first)), Some(bits));
            assert_eq!(KeyType::Rsa(bits).is_accepted(), accepted, "{bits}");
        }
        assert_eq!(rsa_bits(&[]), None);
    }
}
