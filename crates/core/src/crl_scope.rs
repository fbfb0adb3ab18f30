//! What a CRL is about: all certificates of its issuer, or those of one shard.

use std::fmt;
use std::str::FromStr;

use crate::ids::SerialNumber;

/// Which certificates of an issuer a CRL is about. Serial numbers are random, so the last octet parts
/// them evenly; it is the same for ever, so a certificate can name the list that will have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CrlScope {
    /// All of them.
    Whole,
    /// Those whose serial number ends in this octet.
    Shard(u8),
}

/// Text that names no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the scope of a CRL: two lower-case hex digits or {ALL} are expected")]
pub struct NoCrlScope;

const ALL: &str = "all";

impl CrlScope {
    /// The shard of a certificate.
    #[must_use]
    pub fn of(serial: &SerialNumber) -> Self {
        Self::Shard(serial.as_bytes().last().copied().unwrap_or_default())
    }
}

impl fmt::Display for CrlScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str(ALL),
            Self::Shard(octet) => write!(f, "{octet:02x}"),
        }
    }
}

impl FromStr for CrlScope {
    type Err = NoCrlScope;
    fn from_str(text: &str) -> Result<Self, NoCrlScope> {
        match text.as_bytes() {
            _ if text == ALL => Ok(Self::Whole),
            [b'0'..=b'9' | b'a'..=b'f', b'0'..=b'9' | b'a'..=b'f'] => {
                u8::from_str_radix(text, 16).map(Self::Shard).map_err(|_not_hex| NoCrlScope)
            }
            _ => Err(NoCrlScope),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_reads_back_as_it_was_written() {
        for scope in (0..=255).map(CrlScope::Shard).chain([CrlScope::Whole]) {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        for text in ["", "a", "A7", "+7", "0a7", "ALL", "zz"] {
            assert_eq!(text.parse::<CrlScope>(), Err(NoCrlScope), "{text}");
        }
    }

    #[test]
    fn a_certificate_is_in_the_shard_of_its_last_octet() {
        let serial = |text: &str| text.parse::<SerialNumber>().unwrap();
        assert_eq!(CrlScope::of(&serial("0102a7")), CrlScope::Shard(0xa7));
        assert_eq!(CrlScope::of(&serial("7")), CrlScope::Shard(7));
        assert_eq!(CrlScope::of(&serial("0102a7")).to_string(), "a7");
    }
}
