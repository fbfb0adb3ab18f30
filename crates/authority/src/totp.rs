//! One-time codes by the clock (RFC 6238): HMAC-SHA-1, six digits, thirty seconds, as every app has them.

use aws_lc_rs::hmac;
use countersign_ca::{KeyError, random_bytes};
use countersign_core::time::Timestamp;
use data_encoding::BASE32_NOPAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The length that RFC 4226 section 4 recommends.
const KEY_LENGTH: usize = 20;

/// RFC 6238 section 4.
const STEP_MILLIS: u64 = 30_000;

/// How many steps a clock may be off, either way.
const SKEW: u64 = 1;

const DIGITS: usize = 6;
const MODULUS: u32 = 1_000_000;

/// The key of somebody's one-time codes.
pub(crate) struct TotpKey(Zeroizing<Vec<u8>>);

impl TotpKey {
    pub(crate) fn fresh() -> Result<Self, KeyError> {
        Ok(Self(Zeroizing::new(random_bytes::<KEY_LENGTH>()?.to_vec())))
    }

    pub(crate) const fn from_octets(octets: Zeroizing<Vec<u8>>) -> Self {
        Self(octets)
    }

    pub(crate) fn as_octets(&self) -> &[u8] {
        &self.0
    }

    /// As people type it into an app.
    pub(crate) fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(&self.0))
    }

    /// The time step whose code this is, if it is one of now. Every candidate is compared, in constant time.
    pub(crate) fn step_of(&self, code: &str, now: Timestamp) -> Option<u64> {
        let present = step_at(now);
        let candidates = present.saturating_sub(SKEW)..=present.saturating_add(SKEW);
        let is_of = |step: &u64| bool::from(self.code_at(*step).as_bytes().ct_eq(code.as_bytes()));
        candidates.filter(is_of).fold(None, |_, step| Some(step))
    }

    /// The code of a time step (RFC 4226 section 5.3).
    fn code_at(&self, step: u64) -> Zeroizing<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let offset = tag.as_ref().last().map_or(0, |last| usize::from(last & 0x0f));
        let chosen = tag.as_ref().get(offset..).and_then(<[u8]>::first_chunk);
        let number = u32::from_be_bytes(*chosen.unwrap_or(&[0; 4])) & 0x7fff_ffff;
        Zeroizing::new(format!("{:0DIGITS$}", number % MODULUS))
    }
}

fn step_at(now: Timestamp) -> u64 {
    u64::try_from(now.millis()).unwrap_or(0) / STEP_MILLIS
}

/// Whether this could be a one-time code at all.
pub(crate) fn is_code(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TotpKey {
        TotpKey::from_octets(Zeroizing::new(b"12345678901234567890".to_vec()))
    }

    #[test]
    fn codes_are_those_of_the_rfcs() {
        let hotp = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871"];
        for (step, code) in (0..).zip(hotp) {
            assert_eq!(*key().code_at(step), code, "RFC 4226 appendix D");
        }
        // RFC 6238 appendix B has eight digits; these are the last six.
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            let now = Timestamp::from_secs(seconds);
            assert_eq!(key().step_of(code, now), Some(step_at(now)));
        }
        assert_eq!(*key().base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn one_step_before_and_after_is_taken_and_no_other() {
        let at = |step: u64| Timestamp::from_millis(i64::try_from(step * STEP_MILLIS).unwrap());
        let code = key().code_at(1000);
        for step in [999, 1000, 1001] {
            assert_eq!(key().step_of(&code, at(step)), Some(1000));
        }
        for step in [998, 1002] {
            assert_eq!(key().step_of(&code, at(step)), None, "{step}");
        }
        let last = Timestamp::from_millis(i64::try_from(1002 * STEP_MILLIS).unwrap() - 1);
        assert_eq!(key().step_of(&code, last), Some(1000));
        for wrong in ["", "000000", &format!("{}0", *code)] {
            assert_eq!(key().step_of(wrong, at(1000)), None, "{wrong}");
        }
    }

    #[test]
    fn six_digits_are_a_code() {
        assert!(is_code("012345"));
        for other in ["", "12345", "1234567", "12345a", "１２３４５６"] {
            assert!(!is_code(other), "{other}");
        }
    }
}
