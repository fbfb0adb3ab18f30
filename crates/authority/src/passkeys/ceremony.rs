//! What a browser's answer has to say (WebAuthn level 2, sections 7.1 and 7.2) to be somebody's passkey of this
//! installation. Nothing is attested: whoever makes a passkey is known by their password and their session.

use aws_lc_rs::digest::{SHA256, digest};
use countersign_ca::{KeyError, PublicKey, SignatureError};
use countersign_store::PasskeyRow;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use super::{MadePasskey, ShownPasskey};

/// Where the console is, unless it is said: on this machine, by the one name that browsers take for it.
const LOCAL: &str = "localhost";

/// The flags of the authenticator data (section 6.1): somebody was there, and a credential is in it.
const USER_PRESENT: u8 = 0x01;
const HAS_CREDENTIAL: u8 = 0x40;

/// The longest name that a device may give a credential (section 4).
const CREDENTIAL_LIMIT: usize = 1023;

/// What passkeys are made for and shown to: the console, at the one place where browsers reach it.
pub(crate) struct RelyingParty {
    id: String,
    /// `None`: this machine, at any port.
    origin: Option<String>,
}

/// A passkey is refused.
#[derive(Debug, Error)]
pub enum PasskeyFault {
    /// What the browser sent cannot be read.
    #[error("the browser's answer cannot be read")]
    Malformed,
    /// It is the answer to something else.
    #[error("the browser was asked for something else")]
    OtherCeremony,
    /// Another page asked for it.
    #[error("it is for {0:?}, where the console is not")]
    Origin(String),
    /// It is for another name.
    #[error("it is for another name than the console's")]
    RelyingParty,
    /// Nobody touched the device.
    #[error("nobody confirmed it on the device")]
    Absent,
    /// The key is of no kind that is taken.
    #[error("its key is not taken")]
    Key(#[source] KeyError),
    /// Somebody else signed.
    #[error("it is not signed by the passkey")]
    Signature(#[source] SignatureError),
    /// It was asked for once, or too long ago, or not at all; or somebody has this passkey already.
    #[error("it was used before, or took too long")]
    Used,
}

/// A passkey that may be put on record.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) challenge: String,
    pub(super) credential: Vec<u8>,
    pub(super) public_key: PublicKey,
    pub(super) count: u32,
}

/// A signature of a passkey's.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) challenge: String,
    pub(crate) count: u32,
}

/// What the browser vouches for (section 5.8.1).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

/// What the device vouches for (section 6.1).
struct AuthenticatorData<'a> {
    relying_party: &'a [u8; 32],
    flags: u8,
    count: u32,
    rest: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (relying_party, rest) = bytes.split_first_chunk()?;
        let (flags, rest) = rest.split_first()?;
        let (count, rest) = rest.split_first_chunk()?;
        Some(Self { relying_party, flags: *flags, count: u32::from_be_bytes(*count), rest })
    }

    /// The name of the credential that was made (section 6.5.1).
    fn credential(&self) -> Option<&'a [u8]> {
        let (_model, rest) = self.rest.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let is_one = self.flags & HAS_CREDENTIAL != 0 && (1..=CREDENTIAL_LIMIT).contains(&length);
        rest.get(..length).filter(|_| is_one)
    }
}

impl RelyingParty {
    /// The console at this URL; without one, on this machine.
    pub(crate) fn at(console_url: Option<&str>) -> Self {
        let origin = console_url.map(|url| url.trim_end_matches('/').to_lowercase());
        let host = origin.as_deref().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        let id = host.map_or(LOCAL, |host| host.split(':').next().unwrap_or(host)).to_owned();
        Self { id, origin }
    }

    /// Its name, which browsers and devices know it by.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn is_at(&self, origin: &str) -> bool {
        match &self.origin {
            Some(own) => own == origin,
            None => origin.strip_prefix("http://localhost").is_some_and(|port| {
                port.is_empty()
                    || port
                        .strip_prefix(':')
                        .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
            }),
        }
    }

    /// Reads a passkey that was made. Fails closed: for another ceremony, place or name, or with nobody there.
    pub(super) fn made(&self, made: &MadePasskey) -> Result<Made, PasskeyFault> {
        let client = self.client_data(&made.client_data, "webauthn.create")?;
        let device = self.authenticator_data(&made.authenticator_data)?;
        let credential = device.credential().ok_or(PasskeyFault::Malformed)?.to_vec();
        let public_key = PublicKey::from_spki_der(&made.public_key).map_err(PasskeyFault::Key)?;
        Ok(Made { challenge: client.challenge, credential, public_key, count: device.count })
    }

    /// Reads a passkey that was shown, and verifies its signature. Fails closed, as [`Self::made`]; whether the
    /// challenge and the count are good is for the caller to ask.
    pub(crate) fn shown(&self, shown: &ShownPasskey, passkey: &PasskeyRow) -> Result<Signed, PasskeyFault> {
        let client = self.client_data(&shown.client_data, "webauthn.get")?;
        let device = self.authenticator_data(&shown.authenticator_data)?;
        let key = PublicKey::from_spki_der(&passkey.public_key).map_err(PasskeyFault::Key)?;
        let signed = [&*shown.authenticator_data, digest(&SHA256, &shown.client_data).as_ref()].concat();
        key.verify(&signed, &shown.signature).map_err(PasskeyFault::Signature)?;
        Ok(Signed { challenge: client.challenge, count: device.count })
    }

    fn client_data(&self, bytes: &[u8], ceremony: &str) -> Result<ClientData, PasskeyFault> {
        let client: ClientData = serde_json::from_slice(bytes).map_err(|_unfit| PasskeyFault::Malformed)?;
        if client.r#type != ceremony {
            return Err(PasskeyFault::OtherCeremony);
        }
        if client.cross_origin || !self.is_at(&client.origin) {
            return Err(PasskeyFault::Origin(client.origin.chars().take(200).collect()));
        }
        Ok(client)
    }

    fn authenticator_data<'a>(&self, bytes: &'a [u8]) -> Result<AuthenticatorData<'a>, PasskeyFault> {
        let device = AuthenticatorData::read(bytes).ok_or(PasskeyFault::Malformed)?;
        let own = digest(&SHA256, self.id.as_bytes());
        if !bool::from(own.as_ref().ct_eq(device.relying_party)) {
            return Err(PasskeyFault::RelyingParty);
        }
        if device.flags & USER_PRESENT == 0 {
            return Err(PasskeyFault::Absent);
        }
        Ok(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_is_where_it_is_said_and_nowhere_else() {
        let named = RelyingParty::at(Some("https://Console.example.com:8443/"));
        assert_eq!(named.id(), "console.example.com");
        assert!(named.is_at("https://console.example.com:8443"));
        for elsewhere in [
            "http://console.example.com:8443",
            "https://console.example.com",
            "https://console.example.com:84430",
            "https://console.example.com.evil.example:8443",
            "http://localhost",
            "",
        ] {
            assert!(!named.is_at(elsewhere), "{elsewhere}");
        }
        let local = RelyingParty::at(None);
        assert_eq!(local.id(), "localhost");
        assert!(local.is_at("http://localhost") && local.is_at("http://localhost:8080"));
        for elsewhere in
            ["https://localhost", "http://localhost.evil.example", "http://localhost:80.evil.example", ""]
        {
            assert!(!local.is_at(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn whatever_is_cut_short_or_claims_more_than_it_has_is_not_read() {
        let mut whole = [0; 37].to_vec();
        whole[32] = USER_PRESENT | HAS_CREDENTIAL;
        whole.extend([0; 16]);
        whole.extend([0, 3, 7, 8, 9]);
        assert_eq!(AuthenticatorData::read(&whole).unwrap().credential(), Some(&[7, 8, 9][..]));
        for length in 0..whole.len() {
            let read = AuthenticatorData::read(&whole[..length]);
            assert!(read.is_none_or(|data| data.credential().is_none()), "{length}");
        }
        for (place, octet) in [(32, USER_PRESENT), (54, 0), (53, 0xff)] {
            let mut other = whole.clone();
            other[place] = octet;
            assert!(AuthenticatorData::read(&other).unwrap().credential().is_none(), "{place}");
        }
    }
}
