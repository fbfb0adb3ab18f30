//! What a subject says, attribute by attribute: compared as the certificate has them, never as a text
//! that was put together from them.

use std::fmt;
use std::str::FromStr;

use const_oid::ObjectIdentifier;
use der::{Tag, Tagged as _};
use thiserror::Error;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::Name;

use crate::distinguished_name::{NAMES, short_name};

/// The type of an attribute of a subject: `CN`, `O`, `OU`, …, or any dotted object identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeType(ObjectIdentifier);

impl AttributeType {
    /// `CN`, the common name.
    pub const COMMON_NAME: Self = Self(ObjectIdentifier::new_unwrap("2.5.4.3"));
}

/// Not the type of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no type of a subject's attributes: write CN, O, OU, C, L, ST, street, SN, GN, serialNumber, UID, DC, \
     emailAddress, or an object identifier such as 2.5.4.97"
)]
pub struct AttributeTypeError(String);

impl FromStr for AttributeType {
    type Err = AttributeTypeError;
    fn from_str(text: &str) -> Result<Self, AttributeTypeError> {
        let known = NAMES.iter().find(|(_, name)| *name == text).map(|(dotted, _)| *dotted);
        let refuse = |_error| AttributeTypeError(text.chars().take(64).collect());
        known.unwrap_or(text).parse().map(Self).map_err(refuse)
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match short_name(&self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// One attribute of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectAttribute {
    /// Which.
    pub kind: AttributeType,
    /// Its text as it stands in the certificate, nothing escaped; `None` when it is none, or in an
    /// encoding that is not read.
    pub value: Option<String>,
}

impl SubjectAttribute {
    /// Every attribute of a name, in its order.
    pub(crate) fn all(name: &Name) -> Vec<Self> {
        name.iter().map(|part| Self { kind: AttributeType(part.oid), value: text(part) }).collect()
    }
}

/// Fails closed: TeletexString and BMPString are spelled differently by different people.
fn text(part: &AttributeTypeAndValue) -> Option<String> {
    let is_text = matches!(
        part.value.tag(),
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString
    );
    let bytes = is_text.then(|| part.value.value())?;
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_by_name_and_by_number() {
        for (text, printed) in [("CN", "CN"), ("2.5.4.10", "O"), ("2.5.4.97", "2.5.4.97"), ("DC", "DC")] {
            assert_eq!(text.parse::<AttributeType>().unwrap().to_string(), printed);
        }
        assert_eq!("CN".parse(), Ok(AttributeType::COMMON_NAME));
        for text in ["", "cn", "O=x", "organization", "2.5.", "9.9.9"] {
            assert!(text.parse::<AttributeType>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_comma_in_a_value_stays_in_it() {
        let name = Name::from_str(r"CN=d1,O=Evil\,CN=admin").unwrap();
        let read = SubjectAttribute::all(&name);
        let of = |kind: &str| -> Vec<_> {
            let kind = kind.parse().unwrap();
            read.iter().filter(|one| one.kind == kind).map(|one| one.value.as_deref().unwrap()).collect()
        };
        assert_eq!((of("CN"), of("O")), (vec!["d1"], vec!["Evil,CN=admin"]));
    }
}
