//! The door's side of TLS.

use std::sync::Arc;

use countersign_core::snapshot::TrustSnapshot;
use countersign_core::time::Clock;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::credential::ServerCredentials;
use crate::handshake::HandshakeError;
use crate::peer::Peer;
use crate::stream::ServerStream;

/// Whether a listener asks for a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAuth {
    /// It does not.
    None,
    /// It asks, accepts any chain whose key the peer proves to have, and leaves the verdict to the
    /// door: an expired device must be able to reach renewal.
    Optional,
    /// It asks, and refuses inside the handshake what is not in good standing.
    Required,
}

/// A door's TLS could not be set up.
#[derive(Debug, Error)]
#[error("set up TLS for a door")]
pub struct DoorTlsError(#[source] rustls::Error);

/// The TLS of one listener, with one client-authentication policy.
#[derive(Clone, Debug)]
pub struct DoorTls {
    #[expect(dead_code, reason = "filled in next")]
    snapshots: watch::Receiver<Arc<TrustSnapshot>>,
}

impl DoorTls {
    /// TLS for one listener. ALPN offers `h2` and `http/1.1`; see [`Self::with_protocols`].
    ///
    /// # Errors
    /// When the TLS library refuses the configuration.
    pub fn new(
        credentials: Arc<ServerCredentials>,
        snapshots: watch::Receiver<Arc<TrustSnapshot>>,
        client_auth: ClientAuth,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DoorTlsError> {
        let _ = (credentials, client_auth, clock);
        Ok(Self { snapshots })
    }

    /// The same with other ALPN protocols, preferred first; none turns ALPN off.
    #[must_use]
    pub fn with_protocols(self, protocols: &[&[u8]]) -> Self {
        let _ = protocols;
        self
    }

    /// Does the server's side of the handshake and judges what the peer showed, also when it resumed
    /// a session. The caller bounds the time it may take.
    ///
    /// # Errors
    /// Fails closed: under [`ClientAuth::Required`] whatever is not in good standing is refused.
    pub async fn accept<IO>(&self, io: IO) -> Result<(ServerStream<IO>, Peer), HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        drop(io);
        Err(HandshakeError::Connection(std::io::ErrorKind::Unsupported.into()))
    }
}
