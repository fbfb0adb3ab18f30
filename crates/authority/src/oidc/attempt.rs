//! What ties a sign-in together: one secret, kept by the browser that began it, of which everything that the
//! provider sees is a hash under a label of its own. Nothing of it is on record here.

use countersign_ca::KeyError;
use countersign_core::ids::SecretHash;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::names::FreshSecret;

/// What the secret of a sign-in begins with.
const PREFIX: &str = "cso_";

/// The secret of one sign-in.
pub(super) struct OidcSecret(Zeroizing<String>);

impl OidcSecret {
    pub(super) fn fresh() -> Result<Self, KeyError> {
        Ok(Self(Zeroizing::new(FreshSecret::new(PREFIX)?.text)))
    }

    /// As a browser shows it again. Fails closed: a browser that has none is not taken to have the empty one,
    /// of which anybody can derive everything.
    pub(super) fn of(text: &str) -> Option<Self> {
        let random = text.strip_prefix(PREFIX)?;
        let is_one = random.len() == 64 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| Self(Zeroizing::new(text.to_owned())))
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
        assert!(OidcSecret::of(&one.0).unwrap().is_state(&one.state()));
    }

    #[test]
    fn a_browser_that_kept_nothing_has_no_secret() {
        for text in ["", "cso_", "cso_00", &"0".repeat(64), &format!("cso_{}", "x".repeat(64))] {
            assert!(OidcSecret::of(text).is_none(), "{text}");
        }
    }
}
