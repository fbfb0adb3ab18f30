//! DER, written by hand: a test must be able to write what no library would.

use std::net::IpAddr;

use countersign_core::time::Timestamp;

/// A tag, a length and a value.
pub(crate) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let significant: Vec<u8> = length.iter().copied().skip_while(|byte| *byte == 0).collect();
    let mut der = vec![tag];
    match significant.as_slice() {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        long => {
            der.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            der.extend_from_slice(long);
        }
    }
    der.extend_from_slice(value);
    der
}

/// The parts one after the other, in a SEQUENCE.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// A non-negative INTEGER.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [first, ..] if first & 0x80 != 0 => tlv(0x02, &[&[0], bytes].concat()),
        _ => tlv(0x02, bytes),
    }
}

/// A BIT STRING of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], bytes].concat())
}

/// An OBJECT IDENTIFIER.
pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    let oid: Result<const_oid::ObjectIdentifier, _> = dotted.parse();
    tlv(0x06, oid.as_ref().map(const_oid::ObjectIdentifier::as_bytes).unwrap_or_default())
}

/// A distinguished name of UTF8Strings, in the order given.
pub(crate) fn name(parts: &[(&str, &str)]) -> Vec<u8> {
    let rdn = |(kind, text): &(&str, &str)| tlv(0x31, &sequence(&[&oid(kind), &tlv(0x0c, text.as_bytes())]));
    tlv(0x30, &parts.iter().map(rdn).collect::<Vec<_>>().concat())
}

/// A validity: UTCTime until 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5).
pub(crate) fn validity(not_before: Timestamp, not_after: Timestamp) -> Vec<u8> {
    sequence(&[&time(not_before), &time(not_after)])
}

fn time(at: Timestamp) -> Vec<u8> {
    let text: String =
        at.floor_to_second().to_string().chars().filter(|c| c.is_ascii_digit() || *c == 'Z').collect();
    let year: u32 = text.chars().take(4).collect::<String>().parse().unwrap_or_default();
    if (1950..2050).contains(&year) {
        tlv(0x17, text.chars().skip(2).collect::<String>().as_bytes())
    } else {
        tlv(0x18, text.as_bytes())
    }
}

/// An extension.
pub(crate) fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(0x01, &[0xff]) } else { Vec::new() };
    sequence(&[&oid(id), &critical, &tlv(0x04, value)])
}

/// A SAN value.
pub(crate) fn alternative_names(uris: &[String], dns: &[String], ips: &[IpAddr]) -> Vec<u8> {
    let mut names: Vec<Vec<u8>> = uris.iter().map(|uri| tlv(0x86, uri.as_bytes())).collect();
    names.extend(dns.iter().map(|name| tlv(0x82, name.as_bytes())));
    names.extend(ips.iter().map(|ip| match ip {
        IpAddr::V4(ip) => tlv(0x87, &ip.octets()),
        IpAddr::V6(ip) => tlv(0x87, &ip.octets()),
    }));
    tlv(0x30, &names.concat())
}

/// PEM.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap_or_default()
}
