//! A device that makes passkeys and shows them, with the browser that it is plugged into.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;

use crate::key::{KeyKind, TestKey};

/// A security key (WebAuthn) with one passkey. What it says can be spoiled.
#[derive(Debug)]
pub struct SecurityKey {
    /// What signs in it.
    pub key: TestKey,
    /// What it calls its passkey.
    pub credential: Vec<u8>,
    /// How many signatures it says it has made; 0: it does not count.
    pub count: u32,
    /// The name that it takes the page's for.
    pub relying_party: String,
    /// The page that the browser shows.
    pub origin: String,
    /// Whether somebody touches it.
    pub is_touched: bool,
}

/// What the browser gives a page.
#[derive(Clone, Debug)]
pub struct SecurityKeyAnswer {
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// The authenticator data.
    pub authenticator_data: Vec<u8>,
    /// The public key of a passkey that was made, or the signature of one that was shown.
    pub proof: Vec<u8>,
}

impl SecurityKey {
    /// A new one, for a page of the console on this machine.
    #[must_use]
    pub fn new() -> Self {
        let key = TestKey::generate(KeyKind::P256);
        let credential = digest(&SHA256, key.spki_der()).as_ref().to_vec();
        Self {
            key,
            credential,
            count: 0,
            relying_party: "localhost".to_owned(),
            origin: "http://localhost:8080".to_owned(),
            is_touched: true,
        }
    }

    /// Makes its passkey.
    #[must_use]
    pub fn make(&self, challenge: &str) -> SecurityKeyAnswer {
        let mut authenticator_data = self.authenticator_data(0x40);
        authenticator_data.extend([0; 16]);
        authenticator_data.extend(u16::try_from(self.credential.len()).unwrap_or(0).to_be_bytes());
        authenticator_data.extend(&self.credential);
        let client_data = self.client_data("webauthn.create", challenge);
        SecurityKeyAnswer { client_data, authenticator_data, proof: self.key.spki_der().to_vec() }
    }

    /// Shows it.
    #[must_use]
    pub fn show(&self, challenge: &str) -> SecurityKeyAnswer {
        let (authenticator_data, client_data) =
            (self.authenticator_data(0), self.client_data("webauthn.get", challenge));
        let signed = [&*authenticator_data, digest(&SHA256, &client_data).as_ref()].concat();
        SecurityKeyAnswer { client_data, authenticator_data, proof: self.key.sign_p256(&signed) }
    }

    fn client_data(&self, ceremony: &str, challenge: &str) -> Vec<u8> {
        let said =
            json!({ "type": ceremony, "challenge": challenge, "origin": self.origin, "crossOrigin": false });
        said.to_string().into_bytes()
    }

    fn authenticator_data(&self, flags: u8) -> Vec<u8> {
        let mut data = digest(&SHA256, self.relying_party.as_bytes()).as_ref().to_vec();
        data.push(flags | u8::from(self.is_touched));
        data.extend(self.count.to_be_bytes());
        data
    }
}

impl Default for SecurityKey {
    fn default() -> Self {
        Self::new()
    }
}
