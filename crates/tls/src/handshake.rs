//! Why a handshake at a door did not finish.

use std::io;

use countersign_core::access::Refusal;
use thiserror::Error;

/// Why a handshake at a door did not finish.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The certificate the listener requires is missing or not good enough.
    #[error("refused in the handshake: {0}")]
    Refused(Refusal),
    /// The peer could not prove that it has the key of the certificate it showed.
    #[error("the peer did not prove possession of its key")]
    ProofFailed(#[source] rustls::Error),
    /// No version, cipher suite or key exchange in common.
    #[error("nothing in common with the peer")]
    Incompatible(#[source] rustls::Error),
    /// What came in is not TLS, or breaks its rules.
    #[error("the peer does not speak proper TLS")]
    Protocol(#[source] rustls::Error),
    /// The peer ended the handshake with an alert, most often because it does not trust us.
    #[error("the peer ended the handshake")]
    PeerAlert(#[source] rustls::Error),
    /// The connection broke or was closed.
    #[error("the connection ended during the handshake")]
    Connection(#[source] io::Error),
}

impl HandshakeError {
    /// The stable code, for logs, metrics and `countersign explain`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::ProofFailed(_) => "TLS_PROOF_FAILED",
            Self::Incompatible(_) => "TLS_INCOMPATIBLE",
            Self::Protocol(_) => "TLS_PROTOCOL_ERROR",
            Self::PeerAlert(_) => "TLS_PEER_ALERT",
            Self::Connection(_) => "TLS_CONNECTION_LOST",
        }
    }
}
