//! Keeping the CA certificates that the control plane is recognised by up to date.

use countersign_api::client::{Client, ClientError};
use countersign_core::time::Timestamp;
use countersign_tls::ClientError as TlsError;
use thiserror::Error;

use crate::config::{Config, Enrolment};
use crate::connect::Connect;
use crate::key::sha256;
use crate::possession::Holder;
use crate::renew::Setback;

/// The CA certificates stay as they are.
#[derive(Debug, Error)]
pub enum TrustError {
    /// They could not be fetched.
    #[error("fetch the CA certificates")]
    Fetch(#[source] ClientError),
    /// What was fetched are no CA certificates.
    #[error("read the fetched CA certificates")]
    Unreadable(#[from] TlsError),
    /// The control plane is not recognised by what it sent.
    #[error("recognise the control plane by the fetched CA certificates")]
    NotUnderThem(#[source] ClientError),
}

impl TrustError {
    /// What it means for when to try again.
    #[must_use]
    pub fn setback(&self) -> Setback {
        match self {
            Self::Fetch(error) => Setback::of(error),
            Self::Unreadable(_) | Self::NotUnderThem(_) => Setback::Refused,
        }
    }
}

/// Lower-case hex SHA-256 of CA certificates as they are kept, as heartbeats report it.
#[must_use]
pub fn bundle_hash(ca_pem: &str) -> String {
    hex::encode(sha256(ca_pem.as_bytes()))
}

/// Fetches the CA certificates over a connection that those in use have vouched for; `None` when
/// they are the ones in use.
///
/// # Errors
/// See [`TrustError`]. Fails closed: new ones are given back only once the control plane has been
/// reached under them, so that a wrong answer cannot lock the device out.
pub(crate) async fn fetch(
    connect: Connect,
    client: &Client,
    config: &Config,
    enrolment: &Enrolment,
    now: Timestamp,
) -> Result<Option<String>, TrustError> {
    let token = enrolment.token.expose();
    let fetched = client.trust_bundle(token, &enrolment.agent).await.map_err(TrustError::Fetch)?;
    if config.ca_pem.as_deref() == Some(fetched.as_str()) {
        return Ok(None);
    }
    let config = Config { ca_pem: Some(fetched.clone()), ..config.clone() };
    let under_them = Holder { connect, config: &config, enrolment, now }.ordinary_client()?;
    // Only the server's side matters, and any answer of it proves that.
    match under_them.trust_bundle(token, &enrolment.agent).await {
        Err(error) if error.answer().is_none() => Err(TrustError::NotUnderThem(error)),
        Ok(_) | Err(_) => Ok(Some(fetched)),
    }
}
