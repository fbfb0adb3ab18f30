//! An app that shows one-time codes.

use aws_lc_rs::hmac;
use countersign_core::time::Timestamp;

/// An app that was given a key, and shows its one-time codes (RFC 6238).
#[derive(Debug)]
pub struct AuthenticatorApp {
    key: Vec<u8>,
}

impl AuthenticatorApp {
    /// With a key in base32, as it is typed in.
    ///
    /// # Panics
    /// For what is no base32.
    #[must_use]
    pub fn with_key(base32: &str) -> Self {
        Self { key: data_encoding::BASE32_NOPAD.decode(base32.as_bytes()).expect("base32") }
    }

    /// The code at a moment.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn code_at(&self, now: Timestamp) -> String {
        let step = u64::try_from(now.secs()).expect("after 1970") / 30;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.key);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let from = usize::from(tag.as_ref().last().expect("20 octets") & 15);
        let chosen = tag.as_ref().get(from..from + 4).expect("within 20 octets");
        let number = u32::from_be_bytes(chosen.try_into().expect("four octets")) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }
}
