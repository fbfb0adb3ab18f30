//! Distinguished names as texts: for people, rules and headers, never to be read back.

use const_oid::ObjectIdentifier;
use der::{Encode as _, Tag, Tagged as _};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::Name;

/// RFC 2253 with every byte outside printable ASCII escaped: `CN=acme/d1,O=acme`, the last name of
/// the certificate first. Cloudflare's plain and `_rfc2253` forms are both written so
/// (<https://developers.cloudflare.com/ruleset-engine/rules-language/fields/reference/cf.tls_client_auth.cert_subject_dn/>).
pub(crate) fn rfc2253(name: &Name) -> String {
    let mut names: Vec<String> = name
        .iter_rdn()
        .map(|rdn| rdn.iter().map(|part| attribute(part, escape_rfc2253)).collect::<Vec<_>>().join("+"))
        .collect();
    names.reverse();
    names.join(",")
}

/// The slash form of old OpenSSL: `/O=acme/CN=acme/d1`, the first name of the certificate first.
/// Ambiguous by nature, since a slash in a value is not escaped; kept for rules that were written
/// for Cloudflare's `_legacy` fields.
pub(crate) fn legacy(name: &Name) -> String {
    name.iter().map(|part| format!("/{}", attribute(part, escape_legacy))).collect()
}

fn attribute(part: &AttributeTypeAndValue, escape: fn(&[u8]) -> String) -> String {
    let text = matches!(
        part.value.tag(),
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString | Tag::NumericString
    );
    let value = if text {
        escape(part.value.value())
    } else {
        format!("#{}", hex::encode_upper(part.value.to_der().unwrap_or_default()))
    };
    match short_name(&part.oid) {
        Some(name) => format!("{name}={value}"),
        None => format!("{}={value}", part.oid),
    }
}

/// The attribute types that have a short name.
pub(crate) const NAMES: [(&str, &str); 13] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.42", "GN"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The short name of an attribute type.
pub(crate) fn short_name(oid: &ObjectIdentifier) -> Option<&'static str> {
    let dotted = oid.to_string();
    NAMES.iter().find(|(known, _)| *known == dotted).map(|(_, name)| *name)
}

fn escape_rfc2253(value: &[u8]) -> String {
    let last = value.len().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, byte) in value.iter().copied().enumerate() {
        let edge = (byte == b' ' && (at == 0 || at == last)) || (byte == b'#' && at == 0);
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => text.extend(['\\', char::from(byte)]),
            b' ' | b'#' if edge => text.extend(['\\', char::from(byte)]),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:02X}")),
        }
    }
    text
}

fn escape_legacy(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.iter().copied() {
        match byte {
            0x20..=0x7e => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr as _;

    #[test]
    fn writes_both_orders() {
        let name = Name::from_str("CN=James Royal,OU=Access Admins,O=Access,L=Austin,ST=Texas,C=US").unwrap();
        assert_eq!(rfc2253(&name), "CN=James Royal,OU=Access Admins,O=Access,L=Austin,ST=Texas,C=US");
        assert_eq!(legacy(&name), "/C=US/ST=Texas/L=Austin/O=Access/OU=Access Admins/CN=James Royal");
    }

    #[test]
    fn a_comma_in_a_value_cannot_pass_for_the_end_of_it() {
        let name = Name::from_str(r"CN=d1,O=Evil\,CN=admin").unwrap();
        assert_eq!(rfc2253(&name), r"CN=d1,O=Evil\,CN=admin");
        assert_eq!(escape_rfc2253(b" a\"+\n# "), "\\ a\\\"\\+\\0A#\\ ");
        assert_eq!(escape_rfc2253("é".as_bytes()), "\\C3\\A9");
        assert_eq!(escape_legacy("é\r\n".as_bytes()), "\\xC3\\xA9\\x0D\\x0A");
    }
}
