//! Showing that a request comes from the device itself, and not from somebody who has its token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_api::client::{Client, ClientError};
use countersign_api::wire::agent::Proof as WireProof;
use countersign_core::proof::{ProofMessage, ProofSubject};
use countersign_core::time::Timestamp;
use countersign_tls::ClientError as TlsError;
use futures_util::future::BoxFuture;
use thiserror::Error;

use crate::config::{Config, Enrolment};
use crate::connect::{Connect, Showing};
use crate::key::{DeviceKey, KeyError};
use crate::renew::{Setback, is_expired};

/// Possession could not be shown, or the request that it was for did not succeed.
#[derive(Debug, Error)]
pub enum PossessionError {
    /// The saved certificate, key or CA cannot be used.
    #[error("set up the connection")]
    Tls(#[from] TlsError),
    /// The control plane refused, or could not be reached.
    #[error("ask the control plane")]
    Client(#[from] ClientError),
    /// The device's key cannot be used.
    #[error("use the device's key")]
    Key(#[from] KeyError),
}

impl PossessionError {
    /// What it means for when to try again.
    #[must_use]
    pub fn setback(&self) -> Setback {
        match self {
            Self::Client(error) => Setback::of(error),
            Self::Tls(_) | Self::Key(_) => Setback::Refused,
        }
    }
}

/// Asks for a challenge and signs it.
pub(crate) async fn prove(
    client: &Client,
    enrolment: &Enrolment,
    key: &DeviceKey,
    subject: ProofSubject,
) -> Result<WireProof, PossessionError> {
    let challenge = client.challenge(enrolment.token.expose()).await?;
    let message = ProofMessage {
        subject,
        trust_domain: &enrolment.trust_domain,
        device: enrolment.device,
        challenge: challenge.challenge_id,
        nonce: &challenge.nonce,
        expires_at: challenge.expires_at,
    };
    let signature = STANDARD.encode(key.sign(&message.signing_bytes())?);
    Ok(WireProof { challenge_id: challenge.challenge_id, signature })
}

/// A request on its way.
pub(crate) type Asking<T> = BoxFuture<'static, Result<T, ClientError>>;

/// A device that asks for something that only it may ask for.
pub(crate) struct Holder<'a> {
    pub(crate) connect: Connect,
    pub(crate) config: &'a Config,
    pub(crate) enrolment: &'a Enrolment,
    pub(crate) now: Timestamp,
}

impl Holder<'_> {
    /// Sends a request that needs possession of the device's key: over a connection that shows its
    /// certificate, and when that is refused or there is none to show, with a signature. Where an edge
    /// elsewhere ends TLS its word is not enough: then both. A device that never had a certificate has
    /// only its token.
    ///
    /// # Errors
    /// See [`PossessionError`]; that of the last way that was tried.
    pub(crate) async fn ask<T>(
        &self,
        subject: ProofSubject,
        request: impl Fn(Client, Option<WireProof>) -> Asking<T> + Sync,
    ) -> Result<T, PossessionError> {
        if let Some(showing) = self.shown() {
            match self.by_handshake(showing, &request).await {
                Err(PossessionError::Client(error)) if is_proof_wanted(&error) => {
                    return self.by_signature(showing, subject, &request).await;
                }
                // It may be the channel: something on the way may end TLS.
                Err(error) if error.setback() == Setback::Refused => {
                    tracing::debug!(%error, "showing the certificate did not work, trying a signature");
                }
                outcome => return outcome,
            }
        }
        self.by_signature(Showing::Nothing, subject, &request).await
    }

    async fn by_handshake<T>(
        &self,
        showing: Showing<'_>,
        request: &(impl Fn(Client, Option<WireProof>) -> Asking<T> + Sync),
    ) -> Result<T, PossessionError> {
        Ok(request(self.client(showing)?, None).await?)
    }

    async fn by_signature<T>(
        &self,
        showing: Showing<'_>,
        subject: ProofSubject,
        request: &(impl Fn(Client, Option<WireProof>) -> Asking<T> + Sync),
    ) -> Result<T, PossessionError> {
        let client = self.client(showing)?;
        let proof = match &self.enrolment.current {
            Some(current) => {
                let key = DeviceKey::from_pem(&current.key)?;
                Some(prove(&client, self.enrolment, &key, subject).await?)
            }
            None => None,
        };
        Ok(request(client, proof).await?)
    }

    fn shown(&self) -> Option<Showing<'_>> {
        let current = self.enrolment.current.as_ref()?;
        (!is_expired(&current.certificate, self.now))
            .then_some(Showing::Certificate(&current.certificate, &current.key))
    }

    /// A client that shows the certificate while it is good, and nothing otherwise.
    pub(crate) fn ordinary_client(&self) -> Result<Client, TlsError> {
        self.client(self.shown().unwrap_or(Showing::Nothing))
    }

    fn client(&self, showing: Showing<'_>) -> Result<Client, TlsError> {
        let ca_pem = self.config.ca_pem.as_deref().unwrap_or_default();
        self.connect.client(&self.config.server, ca_pem, showing)
    }
}

/// Whether the certificate is all right, and only a signature is missing.
fn is_proof_wanted(error: &ClientError) -> bool {
    error.answer().is_some_and(|answer| answer.has_code("PROOF_REQUIRED"))
}
