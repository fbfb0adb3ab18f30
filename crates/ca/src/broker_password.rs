//! Passwords as Mosquitto's dynamic-security plugin keeps them: PBKDF2-HMAC-SHA512 (RFC 8018 section 5.2).

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;

use crate::key::KeyError;
use crate::random::random_bytes;

/// As long as version 2.0 wants it; later ones take any.
const SALT_LENGTH: usize = 12;

/// As many as Mosquitto's own tools write: its one thread does this work at every connection. Passwords that
/// people choose would want more.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(100);

/// A password, hashed with a salt of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerPassword {
    /// The hash.
    pub hash: [u8; 64],
    /// The salt.
    pub salt: [u8; SALT_LENGTH],
    /// How often it was hashed.
    pub iterations: u32,
}

impl BrokerPassword {
    /// Hashes a password that was made by chance.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn of_random(password: &str) -> Result<Self, KeyError> {
        let salt = random_bytes()?;
        Ok(Self::with_salt(password, salt))
    }

    fn with_salt(password: &str, salt: [u8; SALT_LENGTH]) -> Self {
        let mut hash = [0; 64];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, ITERATIONS, &salt, password.as_bytes(), &mut hash);
        Self { hash, salt, iterations: ITERATIONS.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_another_library_makes_of_it() {
        // python3: hashlib.pbkdf2_hmac('sha512', b'secret', b'salt-of-12-b', 101).hex()
        let made = BrokerPassword::with_salt("secret", *b"salt-of-12-b");
        assert_eq!(
            hex::encode(made.hash),
            "00e9be1aec8e47d0c64ee27ebd10fcc23b50340887ac7cba6d9d708726a8ce53a15bda27c87cda330c29cb8c8648ff88e9e35899d660fe95c5386fb2301a0ef6"
        );
        assert_eq!(made.iterations, 101);
        assert_ne!(
            BrokerPassword::of_random("a").unwrap().salt,
            BrokerPassword::of_random("a").unwrap().salt
        );
    }
}
