//! Distinguished names and general names as Countersign writes them.

use const_oid::ObjectIdentifier;
use der::asn1::{Any, Ia5String, Ia5StringRef, OctetString, PrintableStringRef, SetOfVec, Utf8StringRef};
use der::{Decode as _, Encode as _, Tag, Tagged as _};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use crate::distinguished_name::NameAttribute;

/// A distinguished name of single-valued attributes, in the order given: countries are
/// PrintableStrings and mail addresses IA5Strings (RFC 5280 appendix A), all others UTF8Strings.
pub(crate) fn distinguished_name(attributes: &[(NameAttribute, String)]) -> der::Result<Any> {
    let rdns = attributes
        .iter()
        .map(|(attribute, text)| {
            let value = match attribute {
                NameAttribute::Country => Any::from(PrintableStringRef::new(text)?),
                NameAttribute::EmailAddress => Any::from(Ia5StringRef::new(text)?),
                NameAttribute::State
                | NameAttribute::Locality
                | NameAttribute::Organization
                | NameAttribute::OrganizationalUnit
                | NameAttribute::CommonName => Any::from(Utf8StringRef::new(text)?),
            };
            SetOfVec::try_from([AttributeTypeAndValue { oid: attribute.oid(), value }])
        })
        .collect::<der::Result<Vec<_>>>()?;
    Any::from_der(&rdns.to_der()?)
}

/// The attributes of a distinguished name, read back.
pub(crate) fn attributes_of(name: &Any) -> der::Result<Vec<(ObjectIdentifier, String)>> {
    let rdns: Vec<SetOfVec<AttributeTypeAndValue>> = name.decode_as()?;
    rdns.iter()
        .flat_map(SetOfVec::iter)
        .map(|attribute| Ok((attribute.oid, text_of(&attribute.value)?)))
        .collect()
}

fn text_of(value: &Any) -> der::Result<String> {
    let tag = value.tag();
    Ok(if tag == Tag::PrintableString {
        value.decode_as::<PrintableStringRef<'_>>()?.as_str().to_owned()
    } else if tag == Tag::Ia5String {
        value.decode_as::<Ia5StringRef<'_>>()?.as_str().to_owned()
    } else {
        value.decode_as::<Utf8StringRef<'_>>()?.as_str().to_owned()
    })
}

pub(crate) fn uri(text: &str) -> der::Result<GeneralName> {
    Ia5String::new(text).map(GeneralName::UniformResourceIdentifier)
}

pub(crate) fn dns(text: &str) -> der::Result<GeneralName> {
    Ia5String::new(text).map(GeneralName::DnsName)
}

pub(crate) fn ip(address: &std::net::IpAddr) -> der::Result<GeneralName> {
    let octets = match address {
        std::net::IpAddr::V4(address) => OctetString::new(address.octets()),
        std::net::IpAddr::V6(address) => OctetString::new(address.octets()),
    };
    octets.map(GeneralName::IpAddress)
}

/// The one way a CRL's place is written, in certificates (CDP) and in the CRL itself (IDP): RFC 5280
/// section 5.2.5 wants the same name in both.
pub(crate) fn distribution_point(url: &str) -> der::Result<DistributionPointName> {
    Ok(DistributionPointName::FullName(vec![uri(url)?]))
}
