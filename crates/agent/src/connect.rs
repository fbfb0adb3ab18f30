//! How the agent reaches its control plane: whom it trusts and what it shows.

use std::time::Duration;

use countersign_api::client::{Client, REQUEST_TIMEOUT, ServerUrl};
use countersign_tls::{ClientError as TlsError, ClientIdentity, ClientTls, ServerTrust};

use crate::config::HeldCertificate;
use crate::secret::Secret;

/// What is shown in the handshake.
#[derive(Clone, Copy, Debug)]
pub enum Showing<'a> {
    /// No certificate.
    Nothing,
    /// This one, with its key.
    Certificate(&'a HeldCertificate, &'a Secret),
}

/// Makes clients; holds what is the same for all of them.
#[derive(Clone, Copy, Debug)]
pub struct Connect {
    timeout: Duration,
}

impl Default for Connect {
    fn default() -> Self {
        Self { timeout: REQUEST_TIMEOUT }
    }
}

impl Connect {
    /// Clients that wait this long for an answer.
    #[must_use]
    pub const fn with_timeout(timeout: Duration) -> Self {
        Self { timeout }
    }

    /// A client of `server` under one of the roots in `ca_pem`.
    ///
    /// # Errors
    /// When the roots, the certificate or its key cannot be used.
    pub fn client(&self, server: &ServerUrl, ca_pem: &str, showing: Showing<'_>) -> Result<Client, TlsError> {
        Ok(self.over(server, &Self::tls(ca_pem, showing)?))
    }

    /// TLS under one of the roots in `ca_pem`.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub fn tls(ca_pem: &str, showing: Showing<'_>) -> Result<ClientTls, TlsError> {
        let identity = match showing {
            Showing::Nothing => None,
            Showing::Certificate(certificate, key) => {
                Some(ClientIdentity::from_pem(certificate.full_chain_pem(), key.expose()))
            }
        };
        ClientTls::new(&ServerTrust::Roots(ca_pem.to_owned()), identity.as_ref())
    }

    /// A client of `server` over TLS that is set up already.
    #[must_use]
    pub fn over(&self, server: &ServerUrl, tls: &ClientTls) -> Client {
        Client::new(server.clone(), tls).with_timeout(self.timeout)
    }
}
