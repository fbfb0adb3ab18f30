//! Where in a token a key lies: a PKCS #11 URI (RFC 7512), without anything secret.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

const SCHEME: &str = "pkcs11:";

/// Longer than any that names a key.
const LIMIT: usize = 1024;

/// Names one private key in one token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct KeyUri {
    /// The token's label (`token`).
    pub token: Option<String>,
    /// The token's serial number (`serial`).
    pub serial: Option<String>,
    /// The key's label (`object`, CKA_LABEL).
    pub object: Option<String>,
    /// The key's identifier (`id`, CKA_ID).
    pub id: Option<Vec<u8>>,
}

/// A text that names no key in a token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyUriError {
    /// Not a URI of this kind.
    #[error("not a PKCS #11 URI such as pkcs11:token=NAME;object=NAME;id=%01%02")]
    Malformed,
    /// A part that cannot be honoured; a PIN above all has no place there.
    #[error(
        "the PKCS #11 URI has the attribute {0:?}; known are token, serial, object, id and type=private, \
             and the PIN belongs in a file of its own"
    )]
    Attribute(String),
    /// Any key of any token.
    #[error("the PKCS #11 URI names no token (token or serial) or no key in it (object or id)")]
    Unnamed,
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            |value: &Option<String>| value.as_ref().map(|value| encoded(value.as_bytes(), Octets::Text));
        let parts = [
            ("token", text(&self.token)),
            ("serial", text(&self.serial)),
            ("object", text(&self.object)),
            ("id", self.id.as_ref().map(|id| encoded(id, Octets::Binary))),
            ("type", Some("private".to_owned())),
        ];
        f.write_str(SCHEME)?;
        let given = parts.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        for (at, (name, value)) in given.enumerate() {
            let before = if at == 0 { "" } else { ";" };
            write!(f, "{before}{name}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for KeyUri {
    type Err = KeyUriError;

    fn from_str(text: &str) -> Result<Self, KeyUriError> {
        let path = text.strip_prefix(SCHEME).filter(|_path| text.len() <= LIMIT);
        let path = path.ok_or(KeyUriError::Malformed)?;
        if let Some((_path, query)) = path.split_once('?') {
            let name = query.split('=').next().unwrap_or_default();
            return Err(KeyUriError::Attribute(name.to_owned()));
        }
        let mut uri = Self::default();
        for part in path.split(';') {
            let (name, value) = part.split_once('=').ok_or(KeyUriError::Malformed)?;
            let octets = decoded(value)?;
            let text = || String::from_utf8(octets.clone()).map_err(|_invalid| KeyUriError::Malformed);
            let is_new = match name {
                "token" => uri.token.replace(text()?).is_none(),
                "serial" => uri.serial.replace(text()?).is_none(),
                "object" => uri.object.replace(text()?).is_none(),
                "id" => uri.id.replace(octets).is_none(),
                "type" if value == "private" => true,
                _ => return Err(KeyUriError::Attribute(name.to_owned())),
            };
            if !is_new {
                return Err(KeyUriError::Malformed);
            }
        }
        let names_token = uri.token.is_some() || uri.serial.is_some();
        let names_key = uri.object.is_some() || uri.id.is_some();
        if names_token && names_key { Ok(uri) } else { Err(KeyUriError::Unnamed) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Octets {
    Text,
    Binary,
}

/// Unreserved characters (RFC 3986 section 2.3) stand for themselves in a text, nothing else does.
fn encoded(octets: &[u8], kind: Octets) -> String {
    let mut text = String::with_capacity(octets.len() * 3);
    for octet in octets {
        let plain = octet.is_ascii_alphanumeric() || b"-._~".contains(octet);
        if plain && kind == Octets::Text {
            text.push(char::from(*octet));
        } else {
            // Writing to a String cannot fail.
            let _written = write!(text, "%{octet:02X}");
        }
    }
    text
}

fn decoded(text: &str) -> Result<Vec<u8>, KeyUriError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>().ok_or(KeyUriError::Malformed)?;
            let mut octet = [0];
            hex::decode_to_slice(digits, &mut octet).map_err(|_invalid| KeyUriError::Malformed)?;
            octets.extend(octet);
            rest = after;
        } else if first.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,=&".contains(first) {
            octets.push(*first);
        } else {
            return Err(KeyUriError::Malformed);
        }
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_named_as_other_programs_name_it() {
        let uri = KeyUri {
            token: Some("acme hsm".to_owned()),
            serial: None,
            object: Some("device".to_owned()),
            id: Some(vec![1, 0xab]),
        };
        let text = "pkcs11:token=acme%20hsm;object=device;id=%01%AB;type=private";
        assert_eq!(uri.to_string(), text);
        assert_eq!(text.parse(), Ok(uri.clone()));
        assert_eq!("pkcs11:id=%01%ab;object=device;token=acme%20hsm".parse(), Ok(uri));
    }

    #[test]
    fn a_pin_and_whatever_else_cannot_be_honoured_is_refused() {
        for text in [
            "pkcs11:token=a;object=b?pin-value=1234",
            "pkcs11:token=a;object=b?pin-source=file:/pin",
            "pkcs11:token=a;object=b;slot-id=1",
            "pkcs11:token=a;object=b;type=public",
        ] {
            let refused = text.parse::<KeyUri>().unwrap_err();
            assert!(matches!(refused, KeyUriError::Attribute(_)), "{text}");
            assert!(!refused.to_string().contains("1234"), "{refused}");
        }
    }

    #[test]
    fn what_names_no_key_is_refused() {
        for text in ["pkcs11:token=a", "pkcs11:object=b", "pkcs11:type=private"] {
            assert_eq!(text.parse::<KeyUri>(), Err(KeyUriError::Unnamed), "{text}");
        }
        for text in [
            "",
            "pkcs11:",
            "token=a;object=b",
            "pkcs11:token=a;token=b;object=c",
            "pkcs11:token=%4;id=%",
            "pkcs11:token=a b",
        ] {
            assert_eq!(text.parse::<KeyUri>(), Err(KeyUriError::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_it_names_it_reads_back(
            token in ".{0,32}", serial in proptest::option::of("[0-9a-f]{1,16}"),
            object in proptest::option::of(".{0,32}"), id in any::<Vec<u8>>().prop_map(|mut id| { id.truncate(64); id }),
        ) {
            let uri = KeyUri { token: Some(token), serial, object, id: Some(id) };
            prop_assert_eq!(uri.to_string().parse(), Ok(uri));
        }
    }
}
