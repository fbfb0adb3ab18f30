//! Distinguished names as people write them (RFC 4514), and as certificates hold them.

use std::fmt;
use std::str::FromStr;

use const_oid::ObjectIdentifier;
use thiserror::Error;

/// An attribute that a name may have (RFC 5280 section 4.1.2.4 and appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameAttribute {
    /// `C`: two capital letters (ISO 3166).
    Country,
    /// `ST`: state or province.
    State,
    /// `L`: town.
    Locality,
    /// `O`.
    Organization,
    /// `OU`.
    OrganizationalUnit,
    /// `CN`.
    CommonName,
    /// `emailAddress`: deprecated by RFC 5280 and still written by many.
    EmailAddress,
}

impl NameAttribute {
    const ALL: [Self; 7] = [
        Self::Country,
        Self::State,
        Self::Locality,
        Self::Organization,
        Self::OrganizationalUnit,
        Self::CommonName,
        Self::EmailAddress,
    ];

    /// Its short name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Country => "C",
            Self::State => "ST",
            Self::Locality => "L",
            Self::Organization => "O",
            Self::OrganizationalUnit => "OU",
            Self::CommonName => "CN",
            Self::EmailAddress => "emailAddress",
        }
    }

    pub(crate) const fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Country => "2.5.4.6",
            Self::State => "2.5.4.8",
            Self::Locality => "2.5.4.7",
            Self::Organization => "2.5.4.10",
            Self::OrganizationalUnit => "2.5.4.11",
            Self::CommonName => "2.5.4.3",
            Self::EmailAddress => "1.2.840.113549.1.9.1",
        })
    }

    pub(crate) fn of(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|attribute| attribute.oid() == oid)
    }

    /// How many characters a value may have (RFC 5280 appendix A, upper bounds).
    const fn limit(self) -> usize {
        match self {
            Self::Country => 2,
            Self::State | Self::Locality => 128,
            Self::Organization | Self::OrganizationalUnit | Self::CommonName => 64,
            Self::EmailAddress => 255,
        }
    }

    /// Whether a value may stand in a certificate.
    pub(crate) fn accepts(self, text: &str) -> bool {
        let fits = (1..=self.limit()).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits && match self {
            Self::Country => text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()),
            Self::EmailAddress => {
                text.bytes().all(|byte| byte.is_ascii_graphic())
                    && text.split_once('@').is_some_and(|(who, at)| !who.is_empty() && !at.is_empty())
            }
            Self::State
            | Self::Locality
            | Self::Organization
            | Self::OrganizationalUnit
            | Self::CommonName => true,
        }
    }
}

impl fmt::Display for NameAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NameAttribute {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.eq_ignore_ascii_case("email") || text.eq_ignore_ascii_case("e") {
            return Ok(Self::EmailAddress);
        }
        let known = Self::ALL.into_iter().find(|attribute| attribute.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| NameError::Attribute(text.to_owned()))
    }
}

/// A text that is no name for a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing in it.
    #[error("an empty name")]
    Empty,
    /// Not `attribute=value`.
    #[error("{0:?} is not ATTRIBUTE=value, as in \"CN=Example Root,O=Example,C=US\"")]
    Part(String),
    /// An attribute that we do not write.
    #[error("unknown attribute {0:?}: known are C, ST, L, O, OU, CN and emailAddress")]
    Attribute(String),
    /// A value that does not fit its attribute.
    #[error("{value:?} cannot be {attribute}: it takes {}", rule(*.attribute))]
    Value {
        /// Of which attribute.
        attribute: NameAttribute,
        /// The value.
        value: String,
    },
    /// Two attributes in one part.
    #[error("{0:?} joins attributes with '+', which is not supported")]
    Joined(String),
}

const fn rule(attribute: NameAttribute) -> &'static str {
    match attribute {
        NameAttribute::Country => "two capital letters",
        NameAttribute::State | NameAttribute::Locality => "1 to 128 characters",
        NameAttribute::Organization | NameAttribute::OrganizationalUnit | NameAttribute::CommonName => {
            "1 to 64 characters"
        }
        NameAttribute::EmailAddress => "an address of at most 255 ASCII characters",
    }
}

/// A name of a CA or a service, attribute by attribute, the most general one first. Every value fits its
/// attribute.
///
/// Read and printed as RFC 4514 has it, the most special one first: `CN=Example Root,O=Example,C=US`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DistinguishedName(Vec<(NameAttribute, String)>);

impl DistinguishedName {
    /// A name of just a common name.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn of_common_name(text: &str) -> Result<Self, NameError> {
        Self::new(vec![(NameAttribute::CommonName, text.to_owned())])
    }

    /// A name of these attributes, the most general one first.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn new(attributes: Vec<(NameAttribute, String)>) -> Result<Self, NameError> {
        if attributes.is_empty() {
            return Err(NameError::Empty);
        }
        match attributes.iter().find(|(attribute, value)| !attribute.accepts(value)) {
            Some((attribute, value)) => {
                Err(NameError::Value { attribute: *attribute, value: value.chars().take(160).collect() })
            }
            None => Ok(Self(attributes)),
        }
    }

    /// A name of nothing that we write: of somebody else's certificate, where nobody looks at it.
    pub(crate) const fn without_attributes() -> Self {
        Self(Vec::new())
    }

    /// Its attributes, the most general one first.
    #[must_use]
    pub fn attributes(&self) -> &[(NameAttribute, String)] {
        &self.0
    }
}

impl FromStr for DistinguishedName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.trim().is_empty() {
            return Err(NameError::Empty);
        }
        let mut attributes = parts(text)?.iter().map(|part| parsed(part)).collect::<Result<Vec<_>, _>>()?;
        attributes.reverse();
        Self::new(attributes)
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (attribute, value)) in self.0.iter().rev().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            write!(f, "{attribute}={}", Escaped(value))?;
        }
        Ok(())
    }
}

/// A value with what RFC 4514 section 2.4 wants escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.chars().count().saturating_sub(1);
        for (place, character) in self.0.chars().enumerate() {
            let is_end_space = character == ' ' && (place == 0 || place == last);
            let is_special = matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=');
            if is_special || is_end_space || (character == '#' && place == 0) {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        Ok(())
    }
}

/// A part of a name, with which of its characters were escaped.
type Part = Vec<(char, Escape)>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    Plain,
    Escaped,
}

/// The parts between commas that are not escaped.
fn parts(text: &str) -> Result<Vec<Part>, NameError> {
    let mut parts = vec![Part::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let part = match character {
            ',' => {
                parts.push(Part::new());
                continue;
            }
            '\\' => match characters.next() {
                Some(escaped) => (escaped, Escape::Escaped),
                None => return Err(NameError::Part(text.to_owned())),
            },
            plain => (plain, Escape::Plain),
        };
        if let Some(last) = parts.last_mut() {
            last.push(part);
        }
    }
    Ok(parts)
}

fn parsed(part: &[(char, Escape)]) -> Result<(NameAttribute, String), NameError> {
    let whole: String = part.iter().map(|(character, _)| character).collect();
    let mut halves = part.splitn(2, |one| *one == ('=', Escape::Plain));
    let (Some(attribute), Some(value)) = (halves.next(), halves.next()) else {
        return Err(NameError::Part(whole.trim().to_owned()));
    };
    if value.contains(&('+', Escape::Plain)) {
        return Err(NameError::Joined(whole.trim().to_owned()));
    }
    let attribute: String = attribute.iter().map(|(character, _)| character).collect();
    let attribute = attribute.trim().parse()?;
    Ok((attribute, trimmed(value).iter().map(|(character, _)| character).collect()))
}

/// Without the spaces at both ends that are not escaped.
fn trimmed(value: &[(char, Escape)]) -> &[(char, Escape)] {
    let is_kept = |one: &(char, Escape)| *one != (' ', Escape::Plain);
    let from = value.iter().position(is_kept).unwrap_or(value.len());
    let to = value.iter().rposition(is_kept).map_or(from, |last| last + 1);
    value.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attributes(text: &str) -> Vec<(&'static str, String)> {
        let name: DistinguishedName = text.parse().unwrap();
        name.0.iter().map(|(attribute, value)| (attribute.as_str(), value.clone())).collect()
    }

    #[test]
    fn a_name_reads_from_the_special_to_the_general() {
        let expected = [("C", "US"), ("O", "Enterprise"), ("CN", "Ceneca Enterprise Root CA")];
        let read = attributes("CN=Ceneca Enterprise Root CA,O=Enterprise,C=US");
        assert_eq!(read, expected.map(|(attribute, value)| (attribute, value.to_owned())));
        let spaced = attributes(" cn = Ceneca Enterprise Root CA , o=Enterprise , c=US ");
        assert_eq!(spaced, read);
    }

    #[test]
    fn what_is_escaped_belongs_to_the_value() {
        let read = attributes(r"CN=a\,CN\=b\+c,O=Example\ ");
        let expected = [("O", "Example "), ("CN", "a,CN=b+c")];
        assert_eq!(read, expected.map(|(attribute, value)| (attribute, value.to_owned())));
        assert_eq!(attributes("CN=a=b"), [("CN", "a=b".to_owned())]);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let error = |text: &str| text.parse::<DistinguishedName>().unwrap_err();
        assert_eq!(error(" "), NameError::Empty);
        assert_eq!(error("example"), NameError::Part("example".to_owned()));
        assert_eq!(error("CN=a,"), NameError::Part(String::new()));
        assert_eq!(error("CN=a\\"), NameError::Part("CN=a\\".to_owned()));
        assert_eq!(error("DC=example"), NameError::Attribute("DC".to_owned()));
        assert_eq!(error("CN=a+O=b"), NameError::Joined("CN=a+O=b".to_owned()));
        for (attribute, value) in [
            (NameAttribute::CommonName, ""),
            (NameAttribute::CommonName, "a\u{0}b"),
            (NameAttribute::Organization, &"x".repeat(65)),
            (NameAttribute::Country, "us"),
            (NameAttribute::Country, "USA"),
            (NameAttribute::EmailAddress, "nobody"),
            (NameAttribute::EmailAddress, "ü@example.com"),
        ] {
            let value = value.to_owned();
            let refused = NameError::Value { attribute, value: value.clone() };
            assert_eq!(DistinguishedName::new(vec![(attribute, value)]), Err(refused));
        }
    }

    proptest! {
        #[test]
        fn a_name_reads_back_as_it_was_printed(values in prop::collection::vec("\\PC{1,60}", 1..5)) {
            let attributes = values.into_iter().map(|value| (NameAttribute::CommonName, value)).collect();
            let name = DistinguishedName::new(attributes).unwrap();
            prop_assert_eq!(name.to_string().parse::<DistinguishedName>().unwrap(), name);
        }
    }
}
