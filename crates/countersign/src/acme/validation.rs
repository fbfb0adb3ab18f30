//! How a CA sees whose a name is: where it looks, and what it finds there.

use anyhow::Context as _;
use countersign_edge::HttpChallenges;
use countersign_tls::NameChallenges;
use instant_acme::{ChallengeType, KeyAuthorization};
use rcgen::{CertificateParams, CustomExtension, KeyPair};

/// An answer that is ready until this is dropped.
pub(super) type Answer = Box<dyn Send + Sync>;

/// Where the CA looks.
pub(super) enum Validation {
    /// Over plain HTTP, at the redirect (RFC 8555 section 8.3).
    Http(HttpChallenges),
    /// Over TLS, at the doors (RFC 8737).
    Tls(NameChallenges),
}

impl Validation {
    /// What the CA calls it.
    pub(super) const fn kind(&self) -> ChallengeType {
        match self {
            Self::Http(_) => ChallengeType::Http01,
            Self::Tls(_) => ChallengeType::TlsAlpn01,
        }
    }

    /// Has ready what the CA is to find for `name`.
    ///
    /// # Errors
    /// When no certificate can be made that says it.
    pub(super) fn answer(
        &self,
        name: &str,
        token: &str,
        authorization: &KeyAuthorization,
    ) -> anyhow::Result<Answer> {
        Ok(match self {
            Self::Http(challenges) => Box::new(challenges.answer(token, authorization.as_str())),
            Self::Tls(challenges) => {
                let made = certificate_about(name, authorization.digest().as_ref());
                let (certificate, key) = made.context("make the certificate that the CA wants to see")?;
                Box::new(challenges.answer(name, &certificate, key.serialized_der())?)
            }
        })
    }
}

/// A certificate that proves nothing but that whoever shows it knows `digest` (RFC 8737 section 3), DER, with a key
/// of its own.
fn certificate_about(name: &str, digest: &[u8]) -> Result<(Vec<u8>, KeyPair), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut said = CertificateParams::new(vec![name.to_owned()])?;
    said.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = said.self_signed(&key)?;
    Ok((certificate.der().to_vec(), key))
}
