//! The handshake of WebSockets, as far as a door that changes the version of HTTP does it in others' stead
//! (RFC 6455 section 4, RFC 8441 section 5).

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// RFC 6455 section 1.3.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A key for a handshake that we begin.
pub(super) fn key() -> HeaderValue {
    let mut nonce = [0_u8; 16];
    // It proves nothing; without randomness it is still answered rightly or not.
    let _unlikely = rand::fill(&mut nonce);
    HeaderValue::try_from(STANDARD.encode(nonce)).unwrap_or(HeaderValue::from_static(""))
}

/// What proves that the handshake with this key was understood.
pub(super) fn accept(key: &HeaderValue) -> Option<HeaderValue> {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(MAGIC);
    HeaderValue::try_from(STANDARD.encode(hash.finish())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfcs_example_holds() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_are_sixteen_bytes_and_differ() {
        let keys = [key(), key()];
        assert_ne!(keys[0], keys[1]);
        assert!(keys.iter().all(|key| STANDARD.decode(key.as_bytes()).unwrap().len() == 16));
    }
}
