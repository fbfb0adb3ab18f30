//! Why a handshake at a door did not finish.

use std::io;

use countersign_core::access::Refusal;
use rustls::{CertificateError, Error};
use thiserror::Error as ThisError;

/// Why a handshake at a door did not finish.
#[derive(Debug, ThisError)]
pub enum HandshakeError {
    /// The certificate the listener requires is missing or not good enough.
    #[error("refused in the handshake: {0}")]
    Refused(Refusal),
    /// The peer could not prove that it has the key of the certificate it showed.
    #[error("the peer did not prove possession of its key")]
    ProofFailed(#[source] Error),
    /// No version, cipher suite or key exchange in common.
    #[error("nothing in common with the peer")]
    Incompatible(#[source] Error),
    /// What came in is not TLS, or breaks its rules.
    #[error("the peer does not speak proper TLS")]
    Protocol(#[source] Error),
    /// The peer ended the handshake with an alert, most often because it does not trust us.
    #[error("the peer ended the handshake")]
    PeerAlert(#[source] Error),
    /// A CA asked over TLS whose a name is, and was answered (RFC 8737): nothing else is said over such a
    /// connection.
    #[error("a CA asked whose a name is")]
    NameAsked,
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
            Self::NameAsked => "TLS_NAME_ASKED",
            Self::Connection(_) => "TLS_CONNECTION_LOST",
        }
    }

    /// Sorts what the TLS library reported; `refused` is what our verifier said, if it did.
    pub(crate) fn sort(error: io::Error, refused: Option<Refusal>) -> Self {
        if let Some(refusal) = refused {
            return Self::Refused(refusal);
        }
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return Self::Connection(error);
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "the TLS library's list of errors grows")]
        match tls.clone() {
            Error::NoCertificatesPresented => Self::Refused(Refusal::MtlsRequired),
            tls @ Error::InvalidCertificate(CertificateError::BadSignature) => Self::ProofFailed(tls),
            tls @ Error::PeerIncompatible(_) => Self::Incompatible(tls),
            tls @ Error::AlertReceived(_) => Self::PeerAlert(tls),
            tls => Self::Protocol(tls),
        }
    }
}
