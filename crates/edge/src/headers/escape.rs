//! Percent-encoding, as proxies write certificates into headers.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How many characters of base64 a line of PEM has (RFC 7468 section 2).
const LINE: usize = 64;

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub(super) fn percent(text: &str) -> String {
    percent_but(text, |_byte| false)
}

/// The same, leaving what `plain` names as it is.
pub(super) fn percent_but(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len().saturating_mul(5) / 4);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || plain(byte) {
            escaped.push(char::from(byte));
        } else {
            // To a String this cannot fail.
            let _never = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// A certificate in PEM, percent-encoded: what nginx's `$ssl_client_escaped_cert` holds.
pub(super) fn percent_pem(der: &[u8]) -> String {
    percent(&pem(der))
}

fn pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(LINE) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_could_end_a_value_stays() {
        assert_eq!(percent("aZ9-._~"), "aZ9-._~");
        assert_eq!(percent("a b\r\n\",;=+/%é"), "a%20b%0D%0A%22%2C%3B%3D%2B%2F%25%C3%A9");
    }

    #[test]
    fn a_certificate_is_written_as_nginx_writes_it() {
        let escaped = percent_pem(&[0xff; 50]);
        assert!(escaped.starts_with("-----BEGIN%20CERTIFICATE-----%0A"), "{escaped}");
        assert!(escaped.ends_with("%3D%0A-----END%20CERTIFICATE-----%0A"), "{escaped}");
        let lines: Vec<_> = escaped.split("%0A").collect();
        assert_eq!(lines[1].replace("%2F", "/").len(), LINE, "{lines:?}");
    }
}
