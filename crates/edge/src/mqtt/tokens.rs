//! Devices that show a provisioning token in the place of a certificate: who says which device it is, and that
//! nobody behind the door reads it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;

use countersign_core::snapshot::{CertificateClaim, DeviceKey};
use memchr::memmem;
use serde_json::Value;

use super::upstream::Password;
use super::wire::Connect;

/// The member of a payload that holds the token.
const MEMBER: &str = "provision_token";

/// What a device says of itself.
#[derive(Clone, Debug)]
pub struct Login {
    /// Which device it says it is: its user name is `tenant/device`.
    pub device: DeviceKey,
    /// Its password.
    pub token: Password,
    /// Where it comes from.
    pub from: IpAddr,
}

/// Why a device is not let in by what it said. To the device all of it is one; each has a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// It names no device, or there is none such; or it guessed too often.
    Failed,
    /// It shows no token.
    Missing,
    /// No token is set for it.
    NotSet,
    /// Its token is another one.
    Invalid,
    /// Its tenant's devices show certificates.
    CertificateRequired,
}

impl TokenRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Failed => "AUTH_FAILED",
            Self::Missing => "TOKEN_MISSING",
            Self::NotSet => "TOKEN_NOT_SET_IN_REGISTRY",
            Self::Invalid => "TOKEN_INVALID",
            Self::CertificateRequired => "CERT_REQUIRED",
        }
    }
}

/// What came of looking for a token.
pub type Recognising = Pin<Box<dyn Future<Output = Result<CertificateClaim, TokenRefusal>> + Send>>;

/// Knows the tokens of devices.
pub trait Tokens: fmt::Debug + Send + Sync + 'static {
    /// Which device it is, by its token. Whether it is let in is the door's to judge.
    fn recognise(&self, login: Login) -> Recognising;
}

impl Login {
    /// What a CONNECT says.
    pub(super) fn of(connect: &Connect<'_>, from: IpAddr) -> Result<Self, TokenRefusal> {
        let (tenant, device) =
            connect.user_name.and_then(|name| name.split_once('/')).ok_or(TokenRefusal::Failed)?;
        let failed = |_no_name| TokenRefusal::Failed;
        let device = (tenant.parse().map_err(failed)?, device.parse().map_err(failed)?);
        let token = connect.password.filter(|token| !token.is_empty()).ok_or(TokenRefusal::Missing)?;
        let token = str::from_utf8(token).map_err(|_no_text| TokenRefusal::Invalid)?;
        Ok(Self { device, token: Password::new(token), from })
    }
}

/// A payload as whoever is behind the door may see it. `None`: a token may be in it that cannot be taken out.
pub(super) fn without_token(payload: &[u8]) -> Option<Cow<'_, [u8]>> {
    // Its name may be written with escapes.
    if !holds(payload, MEMBER) && !holds(payload, "\\u") {
        return Some(Cow::Borrowed(payload));
    }
    let bare = match serde_json::from_slice(payload) {
        Ok(Value::Object(mut members)) => match members.remove(MEMBER) {
            Some(_token) => Cow::Owned(Value::Object(members).to_string().into_bytes()),
            None => Cow::Borrowed(payload),
        },
        Ok(_) | Err(_) => Cow::Borrowed(payload),
    };
    (!holds(&bare, MEMBER)).then_some(bare)
}

fn holds(payload: &[u8], text: &str) -> bool {
    memmem::find(payload, text.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::wire::{Properties, Version};

    fn login(user_name: Option<&str>, password: Option<&[u8]>) -> Result<Login, TokenRefusal> {
        let connect = Connect {
            version: Version::V5,
            is_clean: true,
            keep_alive: 0,
            properties: Properties::default(),
            client_id: "",
            will: None,
            user_name,
            password,
        };
        Login::of(&connect, [192, 0, 2, 1].into())
    }

    #[test]
    fn a_login_names_a_device_and_shows_a_token() {
        let good = login(Some("acme/d1"), Some(b"secret")).unwrap();
        assert_eq!((good.device.0.as_str(), good.device.1.as_str()), ("acme", "d1"));
        assert!(!format!("{good:?}").contains("secret"));
        for (name, password, refusal) in [
            (None, Some(&b"x"[..]), TokenRefusal::Failed),
            (Some("acme"), Some(b"x"), TokenRefusal::Failed),
            (Some("acme/d1/x"), Some(b"x"), TokenRefusal::Failed),
            (Some("ACME/d1"), Some(b"x"), TokenRefusal::Failed),
            (Some("acme/d1"), None, TokenRefusal::Missing),
            (Some("acme/d1"), Some(b""), TokenRefusal::Missing),
            (Some("acme/d1"), Some(b"\xff"), TokenRefusal::Invalid),
        ] {
            assert_eq!(login(name, password).unwrap_err(), refusal, "{name:?} {password:?}");
        }
    }

    #[test]
    fn nobody_behind_the_door_sees_a_token() {
        let bare = |payload: &'static [u8]| without_token(payload).map(Cow::into_owned);
        assert_eq!(bare(b"\xff\x00").unwrap(), b"\xff\x00");
        assert_eq!(bare(br#"{"b":1, "a":"\u00e9"}"#).unwrap(), br#"{"b":1, "a":"\u00e9"}"#, "untouched");
        assert_eq!(bare(br#"{"a":1,"provision_token":"s3cret"}"#).unwrap(), br#"{"a":1}"#);
        assert_eq!(bare(br#"{"a":1,"provision_\u0074oken":"s3cret"}"#).unwrap(), br#"{"a":1}"#);
        assert_eq!(bare(br#"{"provision_token":"s3cret""#), None, "fails closed");
        assert_eq!(bare(br#"[{"provision_token":"s3cret"}]"#), None);
    }
}
