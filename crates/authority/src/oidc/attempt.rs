//! What ties a sign-in together: one secret, kept by the browser that began it, of which everything that the
//! provider sees is a hash under a label of its own. Nothing of it is on record here.

use countersign_ca::KeyError;
use countersign_core::ids::SecretHash;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::names::FreshSecret;

/// The secret of one sign-in.
pub(super) struct OidcSecret(Zeroizing<String>);

impl OidcSecret {
    pub(super) fn fresh() -> Result<Self, KeyError> {
        Ok(Self(Zeroizing::new(FreshSecret::new("cso_")?.text)))
    }

    /// As a browser shows it again; whatever it shows, what is derived of it fits nothing else.
    pub(super) fn of(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    pub(super) fn into_text(self) -> Zeroizing<String> {
        self.0
    }

    /// Comes back with the browser (OpenID Connect Core section 3.1.2.1).
    pub(super) fn state(&self) -> String {
        self.derived("state")
    }

    /// Whether this came back; compared in constant time.
    pub(super) fn is_state(&self, given: &str) -> bool {
        bool::from(self.state().as_bytes().ct_eq(given.as_bytes()))
    }

    /// Comes back within the ID token.
    pub(super) fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// Shown with the code (RFC 7636): 64 characters of 43 to 128.
    pub(super) fn verifier(&self) -> Zeroizing<String> {
        Zeroizing::new(self.derived("verifier"))
    }

    /// What the provider holds the verifier against: the method S256.
    pub(super) fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(self.verifier().as_bytes()))
    }

    fn derived(&self, what: &str) -> String {
        SecretHash::of(&format!("countersign oidc {what} v1\n{}", *self.0)).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_of_a_secret_differs_and_is_its_own_alone() {
        let (one, two) = (OidcSecret::fresh().unwrap(), OidcSecret::fresh().unwrap());
        let seen = [one.state(), one.nonce(), one.verifier().to_string(), one.challenge(), two.state()];
        for (place, text) in seen.iter().enumerate() {
            assert!(!seen[..place].contains(text) && !text.contains(&*one.0));
        }
        assert!(one.is_state(&one.state()) && !one.is_state(&two.state()) && !one.is_state(""));
        assert!(OidcSecret::of(&one.0).is_state(&one.state()));
    }
}
