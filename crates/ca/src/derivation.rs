//! From a passphrase to a key-encryption key: Argon2id (RFC 9106). What it was run with lies beside
//! every key that is sealed so, and so moves with the database.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::key::KeyError;
use crate::random::random_bytes;

/// How long the stored form is.
pub(crate) const LENGTH: usize = 28;

const SALT_LENGTH: usize = 16;

/// The second recommended option of RFC 9106 section 4: 64 MiB, three passes, four lanes.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// More than this nobody wrote here: a database must not make a start take hours or all memory.
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_PASSES: u32 = 64;
const MOST_LANES: u32 = 64;

/// What Argon2id is run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Derivation {
    salt: [u8; SALT_LENGTH],
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Derivation {
    /// A new one, with a salt of its own.
    pub(crate) fn fresh() -> Result<Self, KeyError> {
        let salt = random_bytes()?;
        Ok(Self { salt, memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES })
    }

    /// As it is stored: the salt, then the numbers, the highest octet first.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let numbers = [self.memory_kib, self.passes, self.lanes].map(u32::to_be_bytes);
        [self.salt.as_slice(), numbers.as_flattened()].concat()
    }

    /// As it was stored; `None` for what nobody stored.
    pub(crate) fn from_bytes(bytes: &[u8; LENGTH]) -> Option<Self> {
        let (salt, rest) = bytes.split_first_chunk()?;
        let (memory, rest) = rest.split_first_chunk()?;
        let (passes, rest) = rest.split_first_chunk()?;
        let lanes = rest.first_chunk()?;
        let [memory_kib, passes, lanes] = [memory, passes, lanes].map(|octets| u32::from_be_bytes(*octets));
        let known = (1..=MOST_LANES).contains(&lanes)
            && (1..=MOST_PASSES).contains(&passes)
            && (8 * lanes..=MOST_MEMORY_KIB).contains(&memory_kib);
        known.then_some(Self { salt: *salt, memory_kib, passes, lanes })
    }

    /// The key that a passphrase gives.
    pub(crate) fn key_of<const N: usize>(&self, passphrase: &str) -> Result<Zeroizing<[u8; N]>, KeyError> {
        let failed = |_error| KeyError::Crypto("derive a key from the passphrase");
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(N)).map_err(failed)?;
        let mut key = Zeroizing::new([0; N]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &self.salt, key.as_mut_slice())
            .map_err(failed)?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Derivation = Derivation { salt: [2; SALT_LENGTH], memory_kib: 32, passes: 3, lanes: 4 };

    #[test]
    fn it_reads_back_and_gives_the_same_key() {
        let bytes: [u8; LENGTH] = SMALL.to_bytes().try_into().unwrap();
        let again = Derivation::from_bytes(&bytes).unwrap();
        assert_eq!(again, SMALL);
        let key = SMALL.key_of::<32>("passphrase").unwrap();
        assert_eq!(key, again.key_of("passphrase").unwrap());
        assert_ne!(key, again.key_of("Passphrase").unwrap());
        let salted = Derivation { salt: [3; SALT_LENGTH], ..SMALL };
        assert_ne!(key, salted.key_of("passphrase").unwrap());
    }

    #[test]
    fn numbers_that_nobody_stored_are_refused() {
        for wrong in [
            Derivation { memory_kib: 31, ..SMALL },
            Derivation { memory_kib: MOST_MEMORY_KIB + 1, ..SMALL },
            Derivation { passes: 0, ..SMALL },
            Derivation { passes: u32::MAX, ..SMALL },
            Derivation { lanes: 0, ..SMALL },
            Derivation { lanes: u32::MAX, ..SMALL },
        ] {
            let bytes: [u8; LENGTH] = wrong.to_bytes().try_into().unwrap();
            assert_eq!(Derivation::from_bytes(&bytes), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_new_one_has_a_salt_of_its_own() {
        assert_ne!(Derivation::fresh().unwrap(), Derivation::fresh().unwrap());
    }
}
