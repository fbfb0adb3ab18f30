//! Distinguished names and general names as Countersign writes them.

use const_oid::ObjectIdentifier;
use der::asn1::{Any, Ia5String, OctetString, SetOfVec, Utf8StringRef};
use der::{Decode as _, Encode as _};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

/// A distinguished name of single-valued UTF8String attributes, in the order given.
pub(crate) fn distinguished_name(attributes: &[(ObjectIdentifier, String)]) -> der::Result<Any> {
    let rdns = attributes
        .iter()
        .map(|(oid, text)| {
            let value = Any::from(Utf8StringRef::new(text)?);
            SetOfVec::try_from([AttributeTypeAndValue { oid: *oid, value }])
        })
        .collect::<der::Result<Vec<_>>>()?;
    Any::from_der(&rdns.to_der()?)
}

/// The attributes of a distinguished name, read back.
pub(crate) fn attributes_of(name: &Any) -> der::Result<Vec<(ObjectIdentifier, String)>> {
    let rdns: Vec<SetOfVec<AttributeTypeAndValue>> = name.decode_as()?;
    rdns.iter()
        .flat_map(SetOfVec::iter)
        .map(|attribute| {
            let text: Utf8StringRef<'_> = attribute.value.decode_as()?;
            Ok((attribute.oid, text.as_str().to_owned()))
        })
        .collect()
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
