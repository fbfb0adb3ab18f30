//! Secrets of this installation that lie outside the database, sealed as its CAs' keys are.

use countersign_ca::{SealError, SealedKey};
use zeroize::Zeroizing;

use crate::authority::Authority;

impl Authority {
    /// Seals a secret, which opens under this name only.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn seal_secret(&self, secret: &[u8], name: &str) -> Result<SealedKey, SealError> {
        self.registry.keys.kek.seal_secret(secret, name)
    }

    /// Opens such a secret.
    ///
    /// # Errors
    /// Fails closed: refuses what this installation did not seal under this name, or sealed with another
    /// key-encryption key.
    pub fn open_secret(&self, sealed: &SealedKey, name: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.registry.keys.kek.open_secret(sealed, name)
    }
}
