//! ID tokens: whether the provider really said so, to us, now, and about this sign-in (OpenID Connect Core
//! section 3.1.3.7).

use countersign_core::time::Timestamp;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use super::attempt::OidcSecret;

/// Signatures that are taken. None of them has a secret that we and the provider share, and `none` is not one.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

/// How far the provider's clock may be off.
const SKEW_SECONDS: i64 = 60;

/// Why an ID token is refused; in the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdTokenFault {
    /// It cannot be read.
    #[error("malformed")]
    Malformed,
    /// It is signed in a way that is not taken, or not at all.
    #[error("algorithm")]
    Algorithm,
    /// The key is none of the provider's.
    #[error("unknown_key")]
    UnknownKey,
    /// The signature is not that key's.
    #[error("signature")]
    Signature,
    /// Somebody else issued it.
    #[error("issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("audience")]
    Audience,
    /// It is over, or not good yet.
    #[error("time")]
    Time,
    /// It is of another sign-in.
    #[error("nonce")]
    Nonce,
}

/// What an ID token has to say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    pub(super) secret: &'a OidcSecret,
    pub(super) now: Timestamp,
}

/// What the provider says of somebody.
pub(super) struct Claims {
    pub(super) issuer: String,
    pub(super) subject: String,
    /// Their e-mail address, unless the provider says that it has not verified it.
    pub(super) email: Option<String>,
    all: Map<String, Value>,
}

impl Claims {
    /// Whether a claim is this, or has it in its list. A name that is none of a claim leads into objects by its
    /// dots, as in `realm_access.roles`.
    pub(super) fn has(&self, claim: &str, value: &str) -> bool {
        let direct = self.all.get(claim);
        let found = direct.or_else(|| {
            let mut parts = claim.split('.');
            let first = self.all.get(parts.next()?)?;
            parts.try_fold(first, |at, part| at.get(part))
        });
        match found {
            Some(Value::String(text)) => text == value,
            Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(value)),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
        }
    }
}

#[derive(Deserialize)]
struct Standard {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Verifies an ID token with the provider's keys.
///
/// # Errors
/// Fails closed: see [`IdTokenFault`].
pub(super) fn verify(token: &str, keys: &JwkSet, expected: &Expected<'_>) -> Result<Claims, IdTokenFault> {
    let header = decode_header(token).map_err(|_unreadable| IdTokenFault::Algorithm)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(IdTokenFault::Algorithm);
    }
    let key = key_of(keys, header.kid.as_deref(), header.alg).ok_or(IdTokenFault::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|_unusable| IdTokenFault::UnknownKey)?;
    let mut validation = Validation::new(header.alg);
    // What the token says is checked below: by our clock, and saying what is wrong.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let decoded = decode::<Map<String, Value>>(token, &key, &validation);
    let all = decoded.map_err(|_not_its| IdTokenFault::Signature)?.claims;
    let claims: Standard =
        serde_json::from_value(Value::Object(all.clone())).map_err(|_odd| IdTokenFault::Malformed)?;
    check(&claims, expected)?;
    let email = claims.email.filter(|email| claims.email_verified != Some(false) && is_address(email));
    Ok(Claims { issuer: claims.iss, subject: claims.sub, email, all })
}

fn check(claims: &Standard, expected: &Expected<'_>) -> Result<(), IdTokenFault> {
    if claims.iss != expected.issuer {
        return Err(IdTokenFault::Issuer);
    }
    let is_for_us = match &claims.aud {
        Audience::One(one) => one == expected.client,
        // Of several somebody has to be the one that it was given to.
        Audience::Several(all) => {
            all.iter().any(|one| one == expected.client) && (all.len() == 1 || claims.azp.is_some())
        }
    };
    let is_ours = claims.azp.as_deref().is_none_or(|azp| azp == expected.client);
    if !is_for_us || !is_ours {
        return Err(IdTokenFault::Audience);
    }
    let now = expected.now.secs();
    let is_early = claims.iat.max(claims.nbf.unwrap_or(claims.iat)) > now + SKEW_SECONDS;
    if is_early || claims.exp <= now - SKEW_SECONDS {
        return Err(IdTokenFault::Time);
    }
    let nonce = claims.nonce.as_deref().unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(expected.secret.nonce().as_bytes())) {
        return Err(IdTokenFault::Nonce);
    }
    if claims.sub.is_empty() || claims.sub.len() > 255 { Err(IdTokenFault::Malformed) } else { Ok(()) }
}

/// The key that a token names; without a name, the only one that could have signed it.
fn key_of<'a>(keys: &'a JwkSet, id: Option<&str>, algorithm: Algorithm) -> Option<&'a Jwk> {
    let signs = |key: &&Jwk| {
        let common = &key.common;
        let is_for_signing = !matches!(common.public_key_use, Some(PublicKeyUse::Encryption));
        is_for_signing && common.key_algorithm.is_none_or(|one| one == KeyAlgorithm::from(algorithm))
    };
    match id {
        Some(id) => keys.find(id).filter(signs),
        None => {
            let mut candidates = keys.keys.iter().filter(signs);
            candidates.next().filter(|_first| candidates.next().is_none())
        }
    }
}

/// An e-mail address, as far as it can be told without writing to it.
fn is_address(email: &str) -> bool {
    let parts = email.split_once('@');
    let is_plausible =
        parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    is_plausible && email.len() <= 254 && !email.contains(char::is_whitespace)
}
